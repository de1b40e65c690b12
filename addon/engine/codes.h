// The reasons why a connection ends: those that CLOSE and REJECT frames carry, and those that only this side knows.
// docs/protocol.md is the normative list; src/reason.ts gives each code its name and sentence.
#pragma once

#include <cstdint>

namespace zerio {

enum class Code : uint16_t {
  None = 0,
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
  // Never on the wire.
  PeerLeft = 2000,
  ConnectionFailed = 2001,
  ConnectFailed = 2002,
  ConnectTimeout = 2003,
  MalformedWelcome = 2004,
  MemoryCorrupted = 2005,
  Aborted = 2006,
  OutOfMemory = 2007,
};

// The codes that only this side knows. In a frame they are an error.
inline constexpr uint16_t kLocalCodeMin = 2000;
inline constexpr uint16_t kLocalCodeMax = 2999;

}  // namespace zerio
