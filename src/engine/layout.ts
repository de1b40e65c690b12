// All numbers that JavaScript and native code must agree on: where things lie in the memory they share, what events are made of, and
// codes. The addon exports its own table (addon/binding/border.h), and border.ts refuses to load unless both are equal, name by name.
//
// These are const enums because the compiler writes their values into the code: a constant of another module would be a property load
// on the message path. `preserveConstEnums` keeps them as objects, too, which border.ts compares.

/** Control words of an engine (int32), at the start of the core memory. */
export const enum EngineWord {
  DirtyCount = 0,
  EventsProduced = 1,
  EventsConsumed = 2,
  GoesOn = 3
}

/** Bits of the word `GoesOn`. */
export const enum GoesOn {
  Shared = 1,
  Rings = 2
}

/** Words of frames that many connections are sent from (int32); addon/engine/shared_frames.h explains them. */
export const enum ShareWord {
  Bytes = 0,
  Count = 1,
  TimeUs = 2,
  Next = 3,
  Unsent = 4,
  Refused = 5,
  Size = 6
}

/** Control words of a slot (int32). */
export const enum SlotWord {
  Tail = 0,
  JumpEnd = 1,
  DrainNeed = 2,
  Head = 3,
  Rewinds = 4,
  RewindsSeen = 5,
  Sent = 6,
  RewindTo = 7
}

/** Counters of a connection (float64). JavaScript writes the first two; the engine adds to the first what it sends from a shared copy. */
export const enum ConnectionCounter {
  MessagesSent = 0,
  BackPressured = 1,
  MessagesReceived = 2,
  BytesReceived = 3,
  BytesSent = 4,
  Receives = 5,
  Sends = 6
}

/** Counters of a server (float64). */
export const enum ServerCounter {
  Accepted = 0,
  AcceptErrors = 1,
  Handshakes = 2,
  Peers = 3,
  Connected = 4,
  Disconnected = 5,
  Refused = 6,
  ProtocolErrors = 7,
  DuplicateIds = 8,
  HandshakeTimeouts = 9,
  TooManyHandshakes = 10,
  ServerFull = 11,
  MessagesReceived = 12,
  BytesReceived = 13,
  BytesSent = 14,
  HeartbeatTimeouts = 15,
  IdleTimeouts = 16,
  Ended = 17,
  LingersCut = 18,
  NewcomersEvicted = 19,
  Suspended = 20,
  Resumed = 21,
  SessionsLost = 22
}

/** Counters of an engine (float64). */
export const enum EngineCounter {
  Polls = 0,
  Events = 1,
  Receives = 2,
  Sends = 3,
  SendsBlocked = 4,
  BytesReceived = 5,
  BytesSent = 6,
  MessagesReceived = 7,
  MessagesAssembled = 8,
  Corruptions = 9
}

/** Places of an array that `readStatus` fills; src/diagnostics.ts explains each. */
export const enum StatusField {
  Connection = 0,
  AtNs = 1,
  PingUs = 2,
  MessagesIn = 3,
  MessagesOut = 4,
  BytesIn = 5,
  BytesOut = 6,
  MessagesInPerSecond = 7,
  MessagesOutPerSecond = 8,
  BytesInPerSecond = 9,
  BytesOutPerSecond = 10,
  PendingBytes = 11,
  UnacknowledgedBytes = 12,
  KernelRttUs = 13,
  KernelRttDeviationUs = 14,
  KernelRttMinUs = 15,
  Retransmits = 16,
  RetransmittedBytes = 17,
  CongestionWindowBytes = 18,
  Count = 19
}

/** What an event says; addon/engine/events.h explains each. */
export const enum EventKind {
  Run = 1,
  Message = 2,
  Connected = 3,
  Disconnected = 4,
  Drain = 5,
  ConnectFailed = 6,
  Released = 7,
  Refused = 8,
  AcceptError = 9,
  SlotsLow = 10,
  Asked = 11,
  Reached = 12,
  SlabIdle = 13,
  Pong = 14,
  Suspended = 15,
  Resumed = 16,
  Idle = 17,
  Ended = 18,
  TopicRequest = 19,
  TopicAnswer = 20
}

/** The words with which every event begins: the kind, and the slot or server that it is about. */
export const enum Event {
  Kind = 0,
  Owner = 1
}

/** The other words of `Run`. */
export const enum RunEvent {
  Slab = 2,
  Offset = 3,
  Bytes = 4,
  Count = 5,
  Before = 6,
  AfterNs = 7
}

/** The other words of `Message`. */
export const enum MessageEvent {
  Slab = 2,
  Offset = 3,
  Length = 4,
  Channel = 5,
  Before = 6,
  AfterNs = 7
}

/** The other words of `Connected` and `Asked`. */
export const enum GreetingEvent {
  Slab = 2,
  Offset = 3,
  IdBytes = 4,
  CredentialBytes = 5,
  /** The protocol, and above its 8 bits the number of the server plus 1, or 0 for a client's greeting. */
  Origin = 6,
  LengthMax = 7
}

/** The other words of `Disconnected` and `ConnectFailed`. */
export const enum EndEvent {
  Slab = 2,
  Offset = 3,
  Length = 4,
  Code = 5,
  Errno = 6,
  Unacknowledged = 7
}

export const enum ResumedEvent {
  By = 2,
  LengthMax = 3
}

/** The other words of `Released`. */
export const enum ReleasedEvent {
  Server = 2,
  SlotsLeft = 3
}

/** The other words of `Refused`. */
export const enum RefusedEvent {
  Peer = 2,
  Code = 5,
  Errno = 6,
  Count = 7
}

/** The other words of `TopicRequest` and `TopicAnswer`. Its text is where that of `Disconnected` is. */
export const enum TopicEvent {
  Slab = 2,
  Offset = 3,
  Length = 4,
  Request = 5,
  /** The opcode of a request, or the code of an answer. */
  What = 6
}

/** The other word of `AcceptError`. */
export const enum AcceptErrorEvent {
  Errno = 6
}

/** Places and sizes, in bytes unless the name says otherwise. */
export const enum Layout {
  EngineCountersOffset = 512,
  /** How many float64 there are; not all are in use. */
  EngineCounters = 16,
  /** Among them: when the first bytes of the batch were received, in nanoseconds on the monotonic clock. */
  EngineReceivedNs = 15,
  ServersMax = 64,
  ServerAddressesMax = 16,
  ServerCountersOffset = 1024,
  ServerCountersBytes = 256,
  ServerCounters = 32,
  SlotsMax = 65536,
  DirtyOffset = ServerCountersOffset + ServersMax * ServerCountersBytes,
  EventsOffset = DirtyOffset + SlotsMax * 4,
  EventWords = 8,
  SlotCountersOffset = 64,
  /** Among the counters of a slot: how long the last answer to a PING took, in microseconds; 0 while there is none. */
  SlotPingUs = 7,
  SlotCounters = 8,
  SlotFrontOffset = SlotCountersOffset + SlotCounters * 8,
  SlotFrontBytes = 512,
  SlotBytes = SlotFrontOffset + SlotFrontBytes,
  /** Assembly buffers in each slab beyond one per slot. */
  SparePerSlab = 16
}

/** The header of a frame (docs/protocol.md). */
export const enum Header {
  Bytes = 4,
  LengthMask = 0x00ffffff,
  ChannelShift = 24,
  ChannelMax = 127
}

/** The most bytes of what travels in control frames. */
export const enum Limit {
  PeerIdBytes = 255,
  CredentialBytes = 512,
  ReasonBytes = 256,
  TopicNameBytes = 255,
  /** How many requests to be in topics may be unanswered on one connection. */
  TopicRequests = 8
}

/** What native functions return beside the system's errno values, which are smaller. */
export const enum NativeError {
  TooManyServers = 0x10000,
  NoSlot = 0x10001,
  OutOfMemory = 0x10002
}

/** Options that can change while there is a connection. */
export const enum Setting {
  LingerMs = 0,
  HeartbeatMs = 1,
  IdleTimeoutMs = 2,
  NoDelay = 3,
  KeepAliveMs = 4,
  UserTimeoutMs = 5
}

export const enum Protocol {
  Native = 1,
  Classic = 2
}

/** What a greeting's origin says beside the protocol. */
export const enum Greeted {
  InSession = 0x80,
  HasTopics = 0x40
}

/** What a client asks of a topic. */
export const enum TopicOpcode {
  Subscribe = 8,
  Unsubscribe = 9
}

/** The option `waitStrategy`. */
export const enum Strategy {
  Blocking = 0,
  Spin = 1,
  Hybrid = 2,
  Manual = 3,
  Adaptive = 4
}

/** Why a connection ends: docs/protocol.md for those below 2000; the others are known to this side alone. */
export const enum Code {
  Normal = 1000,
  GoingAway = 1001,
  ProtocolError = 1002,
  MessageTooLong = 1003,
  HandshakeTimeout = 1010,
  MalformedHello = 1011,
  UnsupportedVersion = 1012,
  InvalidPeerId = 1013,
  DuplicatePeerId = 1014,
  Replaced = 1015,
  ServerFull = 1016,
  TooManyHandshakes = 1017,
  Unauthorized = 1018,
  HeartbeatTimeout = 1019,
  SessionLost = 1020,
  SlowConsumer = 1021,
  SubscribeRefused = 1022,
  IdleTimeout = 1023,
  PeerLeft = 2000,
  ConnectionFailed = 2001,
  ConnectFailed = 2002,
  ConnectTimeout = 2003,
  MalformedWelcome = 2004,
  MemoryCorrupted = 2005,
  Aborted = 2006,
  OutOfMemory = 2007
}
