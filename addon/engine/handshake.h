// The control frames of version 1: their opcodes, layouts, writers and strict readers. docs/protocol.md is the normative text.
#pragma once

#include <cstdint>
#include <string_view>

#include "codes.h"

namespace zerio {

// The opcode of a control frame is where a data frame has its channel.
enum class Opcode : uint8_t { Hello = 1, Welcome = 2, Reject = 3, Ping = 4, Pong = 5, Close = 6 };

inline constexpr uint32_t kMagic = 0x4f49525a;  // "ZRIO" on the wire
inline constexpr uint8_t kVersion = 1;
inline constexpr uint32_t kPeerIdBytesMax = 255;
inline constexpr uint32_t kCredentialBytesMax = 512;
inline constexpr uint32_t kReasonBytesMax = 256;
inline constexpr uint32_t kPingBytes = 8;

// HELLO and WELCOME share one layout; a WELCOME has no credential.
struct Greeting {
  uint32_t length_max = 0;  // the longest data payload that the sender of the greeting accepts
  std::string_view id;
  std::string_view credential;
};
inline constexpr uint32_t kGreetingBytes = 16;

// CLOSE and REJECT share one layout.
struct Farewell {
  uint16_t code = 0;
  std::string_view reason;
};
inline constexpr uint32_t kFarewellBytes = 2;

inline constexpr uint32_t kControlFrameBytesMax = 4 + kGreetingBytes + kPeerIdBytesMax + kCredentialBytesMax;

// Write one whole frame to `out`, which has room for kControlFrameBytesMax bytes, and return its size.
uint32_t write_greeting(uint8_t* out, Opcode opcode, const Greeting& greeting);
uint32_t write_farewell(uint8_t* out, Opcode opcode, const Farewell& farewell);
uint32_t write_echo(uint8_t* out, Opcode opcode, const uint8_t* payload);
// The classic handshake: a data frame that holds the id.
uint32_t write_classic_id(uint8_t* out, std::string_view id);

// Code::None, or what is wrong with the payload. The views point into it.
Code read_greeting(const uint8_t* payload, uint32_t length, Greeting& out);
Code read_farewell(const uint8_t* payload, uint32_t length, Farewell& out);

// A native id is 1 to 255 bytes of valid UTF-8 without control characters, a classic one of printable ASCII.
[[nodiscard]] bool is_native_id(std::string_view id);
[[nodiscard]] bool is_classic_id(std::string_view id);
[[nodiscard]] bool is_utf8(std::string_view text);

}  // namespace zerio
