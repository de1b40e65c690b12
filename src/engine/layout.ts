// Where things lie in the memory shared with the engine: the mirror of addon/engine/layout.h, checked at load.
//
// These are const enums because the compiler writes their values into the code: a constant of another module would be a
// property load on the message path.
export const enum EngineWord {
  DirtyCount = 0,
  EventsProduced = 1,
  EventsConsumed = 2
}

export const enum SlotWord {
  Tail = 0,
  JumpEnd = 1,
  DrainNeed = 2,
  Head = 3,
  Rewinds = 4,
  RewindsSeen = 5
}

/** The counters of a connection that JavaScript writes. */
export const enum SlotCounter {
  MessagesSent = 0,
  BackPressured = 1
}

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
  SlabIdle = 13
}

export const enum Layout {
  EngineCountersOffset = 512,
  EngineCounters = 16,
  ErrorTooManyServers = 0x10000,
  ErrorOutOfMemory = 0x10002,
  ServersMax = 64,
  ServerCountersOffset = 1024,
  ServerCountersBytes = 256,
  ServerCounters = 32,
  SlotsMax = 65536,
  DirtyOffset = ServerCountersOffset + ServersMax * ServerCountersBytes,
  EventsOffset = DirtyOffset + SlotsMax * 4,
  EventWords = 8,
  SlotCountersOffset = 64,
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

const mirror: Readonly<Record<string, number>> = {
  errorTooManyServers: Layout.ErrorTooManyServers,
  errorOutOfMemory: Layout.ErrorOutOfMemory,
  serversMax: Layout.ServersMax,
  engineCountersOffset: Layout.EngineCountersOffset,
  serverCountersOffset: Layout.ServerCountersOffset,
  serverCountersBytes: Layout.ServerCountersBytes,
  slotsMax: Layout.SlotsMax,
  dirtyOffset: Layout.DirtyOffset,
  eventsOffset: Layout.EventsOffset,
  eventWords: Layout.EventWords,
  slotBytes: Layout.SlotBytes,
  slotCountersOffset: Layout.SlotCountersOffset,
  slotFrontOffset: Layout.SlotFrontOffset,
  sparePerSlab: Layout.SparePerSlab
}

/** The first number in which the addon's layout differs; undefined when both are of the same build. */
export function layoutMismatch(layout: Readonly<Record<string, number>> | undefined): string | undefined {
  return Object.keys(mirror).find((name) => layout?.[name] !== mirror[name])
}
