// The control frames of version 1: their opcodes, layouts, writers and strict readers. docs/protocol.md is the normative text.
#pragma once

#include <cstdint>
#include <string_view>

#include "codes.h"

namespace zerio {

// The opcode of a control frame is where a data frame has its channel.
enum class Opcode : uint8_t {
  Hello = 1,
  Welcome = 2,
  Reject = 3,
  Ping = 4,
  Pong = 5,
  Close = 6,
  Acknowledge = 7,
  Subscribe = 8,
  Unsubscribe = 9,
  Subscription = 10
};

inline constexpr uint32_t kMagic = 0x4f49525a;  // "ZRIO" on the wire
inline constexpr uint8_t kVersion = 1;
inline constexpr uint32_t kPeerIdBytesMax = 255;
inline constexpr uint32_t kCredentialBytesMax = 512;
inline constexpr uint32_t kReasonBytesMax = 256;
inline constexpr uint32_t kPingBytes = 8;
inline constexpr uint32_t kAcknowledgeBytes = 8;
inline constexpr uint32_t kTopicNameBytesMax = 255;
// Of all extensions of a greeting together.
inline constexpr uint32_t kExtensionsBytesMax = 512;

// HELLO and WELCOME share one layout; a WELCOME has no credential.
struct Greeting {
  uint32_t length_max = 0;  // the longest data payload that the sender of the greeting accepts
  std::string_view id;
  std::string_view credential;
  std::string_view extensions;  // type, length and value of each, checked
};
inline constexpr uint32_t kGreetingBytes = 16;

enum class Extension : uint16_t { Session = 1, Topics = 2 };
inline constexpr uint32_t kExtensionHeaderBytes = 4;

// The extension SESSION. In HELLO, a token of zeros asks for a new session.
struct SessionToken {
  static constexpr uint32_t kBytes = 16;

  uint8_t bytes[kBytes] = {};

  [[nodiscard]] bool is_zero() const;
  // Takes as long however much of it is right.
  [[nodiscard]] bool equals(const SessionToken& other) const;
};
struct SessionGreeting {
  SessionToken token;
  uint64_t received = 0;  // messages that the sender of the greeting has received in this session
  uint32_t keep_ms = 0;   // WELCOME alone: how long the server keeps a session whose connection broke
};
inline constexpr uint32_t kSessionHelloBytes = SessionToken::kBytes + 8;
inline constexpr uint32_t kSessionWelcomeBytes = kSessionHelloBytes + 4;

// CLOSE and REJECT share one layout.
struct Farewell {
  uint16_t code = 0;
  std::string_view reason;
};
inline constexpr uint32_t kFarewellBytes = 2;

// SUBSCRIBE and UNSUBSCRIBE share one layout.
struct TopicRequest {
  uint32_t request = 0;  // the client's number for it, which the answer repeats
  std::string_view name;
};
inline constexpr uint32_t kTopicRequestBytes = 4;
// So many may be unanswered on one connection.
inline constexpr uint32_t kTopicRequestsMax = 8;

// SUBSCRIPTION. The code is 0 when the server has done what was asked for.
struct TopicAnswer {
  uint32_t request = 0;
  uint16_t code = 0;
  std::string_view reason;
};
inline constexpr uint32_t kTopicAnswerBytes = 6;

// All extensions that this side writes.
inline constexpr uint32_t kExtensionsWrittenMax = kExtensionHeaderBytes + kSessionWelcomeBytes + kExtensionHeaderBytes;
// The longest frame that this side writes.
inline constexpr uint32_t kControlFrameBytesMax =
    4 + kGreetingBytes + kPeerIdBytesMax + kCredentialBytesMax + kExtensionsWrittenMax;

// Write one whole frame to `out`, which has room for kControlFrameBytesMax bytes, and return its size.
uint32_t write_greeting(uint8_t* out, Opcode opcode, const Greeting& greeting);
uint32_t write_farewell(uint8_t* out, Opcode opcode, const Farewell& farewell);
uint32_t write_echo(uint8_t* out, Opcode opcode, const uint8_t* payload);
uint32_t write_acknowledge(uint8_t* out, uint64_t received);
// Writes the extension SESSION as part of a greeting of this opcode to `out`, which has room for it; returns its size.
uint32_t write_session(uint8_t* out, Opcode opcode, const SessionGreeting& session);
// Likewise the extension TOPICS.
uint32_t write_topics(uint8_t* out);
uint32_t write_topic_request(uint8_t* out, Opcode opcode, const TopicRequest& request);
uint32_t write_topic_answer(uint8_t* out, const TopicAnswer& answer);
// The classic handshake: a data frame that holds the id.
uint32_t write_classic_id(uint8_t* out, std::string_view id);

// Code::None, or what is wrong with the payload. The views point into it.
Code read_greeting(const uint8_t* payload, uint32_t length, Greeting& out);
Code read_farewell(const uint8_t* payload, uint32_t length, Farewell& out);
// Whether the extensions of a greeting of this opcode have SESSION. Code::MalformedHello when it has another size.
Code read_session(std::string_view extensions, Opcode opcode, bool& has, SessionGreeting& out);
// Likewise TOPICS, which is empty.
Code read_topics(std::string_view extensions, bool& has);
Code read_topic_request(const uint8_t* payload, uint32_t length, TopicRequest& out);
Code read_topic_answer(const uint8_t* payload, uint32_t length, TopicAnswer& out);

// A native id is 1 to 255 bytes of valid UTF-8 without control characters, a classic one of printable ASCII.
[[nodiscard]] bool is_native_id(std::string_view id);
[[nodiscard]] bool is_topic_name(std::string_view name);
[[nodiscard]] bool is_classic_id(std::string_view id);
[[nodiscard]] bool is_utf8(std::string_view text);

}  // namespace zerio
