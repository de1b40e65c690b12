// Where things lie in the memory that JavaScript and the engine share.
// src/engine/layout.ts mirrors these numbers. The addon exports all of them (addon/binding/border.h), and JavaScript refuses to
// load unless both sides agree.
#pragma once

#include <cstdint>

namespace zerio::layout {

// Engine words (int32), at the start of the core memory. The comment names the only writer.
inline constexpr uint32_t kWordDirtyCount = 0;      // JavaScript: how many slots in the dirty list have unsent bytes
inline constexpr uint32_t kWordEventsProduced = 1;  // engine: events in the event ring
inline constexpr uint32_t kWordEventsConsumed = 2;  // JavaScript: events already dispatched
inline constexpr uint32_t kWordGoesOn = 3;          // JavaScript: what its next flush has beside the dirty list (kGoesOn…)

// Bits of kWordGoesOn: connections that are sent from a copy, and rings.
inline constexpr int32_t kGoesOnShared = 1;
inline constexpr int32_t kGoesOnRings = 2;

// Engine counters (float64), written by the engine only.
inline constexpr uint32_t kEngineCountersOffset = 512;
inline constexpr uint32_t kEngineCounterPolls = 0;
inline constexpr uint32_t kEngineCounterEvents = 1;
inline constexpr uint32_t kEngineCounterReceives = 2;
inline constexpr uint32_t kEngineCounterSends = 3;
inline constexpr uint32_t kEngineCounterSendsBlocked = 4;
inline constexpr uint32_t kEngineCounterBytesReceived = 5;
inline constexpr uint32_t kEngineCounterBytesSent = 6;
inline constexpr uint32_t kEngineCounterMessagesReceived = 7;
inline constexpr uint32_t kEngineCounterMessagesAssembled = 8;
inline constexpr uint32_t kEngineCounterCorruptions = 9;
inline constexpr uint32_t kEngineReceivedNs = 15;  // when the first bytes of the batch were received, on the monotonic clock
inline constexpr uint32_t kEngineCounters = 16;

// What making an engine, listen() and connect() return beside the system's errno values, which are small.
inline constexpr int kErrorTooManyServers = 0x10000;
inline constexpr int kErrorNoSlot = 0x10001;
inline constexpr int kErrorOutOfMemory = 0x10002;

// Counters of one server (float64), written by the engine only.
inline constexpr uint32_t kServersMax = 64;
inline constexpr uint32_t kServerAddressesMax = 16;
inline constexpr uint32_t kServerCountersOffset = 1024;
inline constexpr uint32_t kServerCounters = 32;
inline constexpr uint32_t kServerCountersBytes = kServerCounters * 8;
inline constexpr uint32_t kServerCounterAccepted = 0;
inline constexpr uint32_t kServerCounterAcceptErrors = 1;
inline constexpr uint32_t kServerCounterHandshakes = 2;  // gauge
inline constexpr uint32_t kServerCounterPeers = 3;       // gauge
inline constexpr uint32_t kServerCounterConnected = 4;
inline constexpr uint32_t kServerCounterDisconnected = 5;
inline constexpr uint32_t kServerCounterRefused = 6;
inline constexpr uint32_t kServerCounterProtocolErrors = 7;
inline constexpr uint32_t kServerCounterDuplicateIds = 8;
inline constexpr uint32_t kServerCounterHandshakeTimeouts = 9;
inline constexpr uint32_t kServerCounterTooManyHandshakes = 10;
inline constexpr uint32_t kServerCounterServerFull = 11;
inline constexpr uint32_t kServerCounterMessagesReceived = 12;
inline constexpr uint32_t kServerCounterBytesReceived = 13;
inline constexpr uint32_t kServerCounterBytesSent = 14;
inline constexpr uint32_t kServerCounterHeartbeatTimeouts = 15;
inline constexpr uint32_t kServerCounterIdleTimeouts = 16;
inline constexpr uint32_t kServerCounterEnded = 17;  // gauge
inline constexpr uint32_t kServerCounterLingersCut = 18;
inline constexpr uint32_t kServerCounterNewcomersEvicted = 19;
inline constexpr uint32_t kServerCounterSuspended = 20;  // gauge
inline constexpr uint32_t kServerCounterResumed = 21;
inline constexpr uint32_t kServerCounterSessionsLost = 22;

// The dirty list (int32 slots), written by JavaScript, read by flush.
inline constexpr uint32_t kSlotsMax = 65536;
inline constexpr uint32_t kDirtyOffset = kServerCountersOffset + kServersMax * kServerCountersBytes;
inline constexpr uint32_t kEventsOffset = kDirtyOffset + kSlotsMax * 4;

static_assert(kEngineCountersOffset + kEngineCounters * 8 <= kServerCountersOffset);

// One event: eight int32 words, the kind first (events.h).
inline constexpr uint32_t kEventWords = 8;
inline constexpr uint32_t kEventBytes = kEventWords * 4;

// One slot: words (int32), counters (float64), and the front of the send ring.
inline constexpr uint32_t kSlotTail = 0;         // JavaScript: where the next frame goes
inline constexpr uint32_t kSlotJumpEnd = 1;      // JavaScript: where the frames before the last jump end
inline constexpr uint32_t kSlotDrainNeed = 2;    // JavaScript: bytes that did not fit; 0 when the program waits for none
inline constexpr uint32_t kSlotHead = 3;         // engine: first byte that is still needed
inline constexpr uint32_t kSlotRewinds = 4;      // JavaScript: how often it has begun again because the ring was empty
inline constexpr uint32_t kSlotRewindsSeen = 5;  // engine: how many of these the head has followed
inline constexpr uint32_t kSlotSent = 6;         // engine, in a session only: first byte that the socket has not taken
inline constexpr uint32_t kSlotRewindTo = 7;     // JavaScript: where it began last
inline constexpr uint32_t kSlotCountersOffset = 64;
inline constexpr uint32_t kSlotCounterMessagesSent = 0;      // JavaScript; the engine adds what it sends from a shared copy
inline constexpr uint32_t kSlotCounterBackPressured = 1;     // JavaScript
inline constexpr uint32_t kSlotCounterMessagesReceived = 2;  // engine
inline constexpr uint32_t kSlotCounterBytesReceived = 3;     // engine
inline constexpr uint32_t kSlotCounterBytesSent = 4;         // engine
inline constexpr uint32_t kSlotCounterReceives = 5;          // engine
inline constexpr uint32_t kSlotCounterSends = 6;             // engine
inline constexpr uint32_t kSlotPingUs = 7;                   // engine: how long the last answer to a PING took; 0: none came
inline constexpr uint32_t kSlotCounters = 8;
inline constexpr uint32_t kSlotFrontOffset = kSlotCountersOffset + kSlotCounters * 8;
inline constexpr uint32_t kSlotFrontBytes = 512;
inline constexpr uint32_t kSlotBytes = kSlotFrontOffset + kSlotFrontBytes;

// The words of a shared copy (int32; shared_frames.h), in memory of their own.
inline constexpr uint32_t kShareBytes = 0;    // JavaScript: how long the frames are
inline constexpr uint32_t kShareCount = 1;    // JavaScript: how many connections share them
inline constexpr uint32_t kShareTimeUs = 2;   // JavaScript: how long one call may take; 0: until all is sent
inline constexpr uint32_t kShareNext = 3;     // engine: the place where the next call goes on
inline constexpr uint32_t kShareUnsent = 4;   // both: how many connections have not been sent all
inline constexpr uint32_t kShareRefused = 5;  // engine: of how many connections the system refused something
inline constexpr uint32_t kShareWords = 6;

}  // namespace zerio::layout
