// Writers and strict readers of control frames.
#include "handshake.h"

#include <algorithm>
#include <cstring>

#include "bytes.h"
#include "framing.h"

namespace zerio {
namespace {

uint32_t finish(uint8_t* out, Opcode opcode, uint32_t length) {
  store<uint32_t>(out, kControlBit | (static_cast<uint32_t>(opcode) << kChannelShift) | length);
  return static_cast<uint32_t>(kHeaderBytes) + length;
}

void copy(uint8_t* out, std::string_view text) {
  if (!text.empty()) std::memcpy(out, text.data(), text.size());
}

std::string_view view(const uint8_t* at, size_t size) { return {reinterpret_cast<const char*>(at), size}; }

// Whether each extension is whole and each type is there once.
bool are_extensions(std::string_view extensions) {
  uint16_t seen[kExtensionsBytesMax / kExtensionHeaderBytes];
  uint16_t* seen_end = seen;
  for (size_t at = 0; at < extensions.size();) {
    if (extensions.size() - at < kExtensionHeaderBytes) return false;
    const auto* const header = reinterpret_cast<const uint8_t*>(extensions.data()) + at;
    const auto type = load<uint16_t>(header);
    at += kExtensionHeaderBytes + size_t{load<uint16_t>(header + 2)};
    if (at > extensions.size() || std::find(seen, seen_end, type) != seen_end) return false;
    *seen_end++ = type;
  }
  return true;
}

// The value of an extension of good ones. False when it is not there.
bool find_extension(std::string_view extensions, Extension type, std::string_view& value) {
  for (size_t at = 0; at < extensions.size();) {
    const auto* const header = reinterpret_cast<const uint8_t*>(extensions.data()) + at;
    const size_t bytes = load<uint16_t>(header + 2);
    at += kExtensionHeaderBytes + bytes;
    if (load<uint16_t>(header) != static_cast<uint16_t>(type)) continue;
    value = view(header + kExtensionHeaderBytes, bytes);
    return true;
  }
  return false;
}

bool is_continuation(uint8_t byte) { return (byte & 0xc0) == 0x80; }

// The length of the well-formed sequence at `at` (Unicode 15, table 3-7), or 0.
size_t sequence_size(const uint8_t* at, size_t left) {
  const uint8_t first = at[0];
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return left >= 2 && is_continuation(at[1]) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (left < 3 || !is_continuation(at[1]) || !is_continuation(at[2])) return 0;
    const bool overlong = first == 0xe0 && at[1] < 0xa0;
    const bool surrogate = first == 0xed && at[1] > 0x9f;
    return overlong || surrogate ? 0 : 3;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (left < 4 || !is_continuation(at[1]) || !is_continuation(at[2]) || !is_continuation(at[3])) return 0;
    const bool overlong = first == 0xf0 && at[1] < 0x90;
    const bool beyond = first == 0xf4 && at[1] > 0x8f;
    return overlong || beyond ? 0 : 4;
  }
  return 0;
}

// Unicode's category Cc in valid UTF-8: below U+0020, U+007F, and U+0080 to U+009F, which are 0xc2 and one more byte.
bool has_control_character(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if (byte < 0x20 || byte == 0x7f) return true;
    if (byte == 0xc2 && i + 1 < text.size() && static_cast<uint8_t>(text[i + 1]) < 0xa0) return true;
  }
  return false;
}

}  // namespace

uint32_t write_greeting(uint8_t* out, Opcode opcode, const Greeting& greeting) {
  uint8_t* at = out + kHeaderBytes;
  const auto id_bytes = static_cast<uint16_t>(std::min<size_t>(greeting.id.size(), kPeerIdBytesMax));
  const auto credential_bytes = static_cast<uint16_t>(std::min<size_t>(greeting.credential.size(), kCredentialBytesMax));
  const auto extensions_bytes = static_cast<uint16_t>(greeting.extensions.size());
  store<uint32_t>(at, kMagic);
  store<uint8_t>(at + 4, kVersion);
  store<uint8_t>(at + 5, 0);
  store<uint16_t>(at + 6, id_bytes);
  store<uint32_t>(at + 8, greeting.length_max);
  store<uint16_t>(at + 12, credential_bytes);
  store<uint16_t>(at + 14, extensions_bytes);
  copy(at + kGreetingBytes, greeting.id.substr(0, id_bytes));
  copy(at + kGreetingBytes + id_bytes, greeting.credential.substr(0, credential_bytes));
  copy(at + kGreetingBytes + id_bytes + credential_bytes, greeting.extensions);
  return finish(out, opcode, kGreetingBytes + id_bytes + credential_bytes + extensions_bytes);
}

uint32_t write_farewell(uint8_t* out, Opcode opcode, const Farewell& farewell) {
  const auto bytes = static_cast<uint32_t>(std::min<size_t>(farewell.reason.size(), kReasonBytesMax));
  store<uint16_t>(out + kHeaderBytes, farewell.code);
  copy(out + kHeaderBytes + kFarewellBytes, farewell.reason.substr(0, bytes));
  return finish(out, opcode, kFarewellBytes + bytes);
}

uint32_t write_echo(uint8_t* out, Opcode opcode, const uint8_t* payload) {
  std::memcpy(out + kHeaderBytes, payload, kPingBytes);
  return finish(out, opcode, kPingBytes);
}

uint32_t write_acknowledge(uint8_t* out, uint64_t received) {
  store<uint64_t>(out + kHeaderBytes, received);
  return finish(out, Opcode::Acknowledge, kAcknowledgeBytes);
}

uint32_t write_session(uint8_t* out, Opcode opcode, const SessionGreeting& session) {
  const uint32_t bytes = opcode == Opcode::Welcome ? kSessionWelcomeBytes : kSessionHelloBytes;
  store<uint16_t>(out, static_cast<uint16_t>(Extension::Session));
  store<uint16_t>(out + 2, static_cast<uint16_t>(bytes));
  uint8_t* const value = out + kExtensionHeaderBytes;
  std::memcpy(value, session.token.bytes, SessionToken::kBytes);
  store<uint64_t>(value + SessionToken::kBytes, session.received);
  if (opcode == Opcode::Welcome) store<uint32_t>(value + kSessionHelloBytes, session.keep_ms);
  return kExtensionHeaderBytes + bytes;
}

uint32_t write_topics(uint8_t* out) {
  store<uint16_t>(out, static_cast<uint16_t>(Extension::Topics));
  store<uint16_t>(out + 2, 0);
  return kExtensionHeaderBytes;
}

uint32_t write_topic_request(uint8_t* out, Opcode opcode, const TopicRequest& request) {
  const auto bytes = static_cast<uint32_t>(std::min<size_t>(request.name.size(), kTopicNameBytesMax));
  store<uint32_t>(out + kHeaderBytes, request.request);
  copy(out + kHeaderBytes + kTopicRequestBytes, request.name.substr(0, bytes));
  return finish(out, opcode, kTopicRequestBytes + bytes);
}

uint32_t write_topic_answer(uint8_t* out, const TopicAnswer& answer) {
  const auto bytes = static_cast<uint32_t>(std::min<size_t>(answer.reason.size(), kReasonBytesMax));
  store<uint32_t>(out + kHeaderBytes, answer.request);
  store<uint16_t>(out + kHeaderBytes + 4, answer.code);
  copy(out + kHeaderBytes + kTopicAnswerBytes, answer.reason.substr(0, bytes));
  return finish(out, Opcode::Subscription, kTopicAnswerBytes + bytes);
}

uint32_t write_classic_id(uint8_t* out, std::string_view id) {
  const auto bytes = static_cast<uint32_t>(std::min<size_t>(id.size(), kPeerIdBytesMax));
  store<uint32_t>(out, bytes);
  copy(out + kHeaderBytes, id.substr(0, bytes));
  return static_cast<uint32_t>(kHeaderBytes) + bytes;
}

Code read_greeting(const uint8_t* payload, uint32_t length, Greeting& out) {
  if (length < 5 || load<uint32_t>(payload) != kMagic) return Code::MalformedHello;
  if (payload[4] != kVersion) return Code::UnsupportedVersion;
  if (length < kGreetingBytes) return Code::MalformedHello;
  const uint32_t id_bytes = load<uint16_t>(payload + 6);
  const uint32_t credential_bytes = load<uint16_t>(payload + 12);
  out.length_max = load<uint32_t>(payload + 8);
  const uint32_t extensions_bytes = load<uint16_t>(payload + 14);
  const uint32_t extensions_at = kGreetingBytes + id_bytes + credential_bytes;
  if (payload[5] != 0 || length != extensions_at + extensions_bytes || credential_bytes > kCredentialBytesMax ||
      extensions_bytes > kExtensionsBytesMax || out.length_max > kLengthMax) {
    return Code::MalformedHello;
  }
  out.extensions = view(payload + extensions_at, extensions_bytes);
  if (!are_extensions(out.extensions)) return Code::MalformedHello;
  out.id = view(payload + kGreetingBytes, id_bytes);
  out.credential = view(payload + kGreetingBytes + id_bytes, credential_bytes);
  return is_native_id(out.id) ? Code::None : Code::InvalidPeerId;
}

Code read_farewell(const uint8_t* payload, uint32_t length, Farewell& out) {
  if (length < kFarewellBytes || length > kFarewellBytes + kReasonBytesMax) return Code::ProtocolError;
  out.code = load<uint16_t>(payload);
  out.reason = view(payload + kFarewellBytes, length - kFarewellBytes);
  const bool local = out.code >= kLocalCodeMin && out.code <= kLocalCodeMax;
  return !local && is_utf8(out.reason) ? Code::None : Code::ProtocolError;
}

Code read_session(std::string_view extensions, Opcode opcode, bool& has, SessionGreeting& out) {
  std::string_view found;
  has = find_extension(extensions, Extension::Session, found);
  if (!has) return Code::None;
  if (found.size() != (opcode == Opcode::Welcome ? kSessionWelcomeBytes : kSessionHelloBytes)) return Code::MalformedHello;
  const auto* const value = reinterpret_cast<const uint8_t*>(found.data());
  std::memcpy(out.token.bytes, value, SessionToken::kBytes);
  out.received = load<uint64_t>(value + SessionToken::kBytes);
  out.keep_ms = opcode == Opcode::Welcome ? load<uint32_t>(value + kSessionHelloBytes) : 0;
  return Code::None;
}

Code read_topics(std::string_view extensions, bool& has) {
  std::string_view found;
  has = find_extension(extensions, Extension::Topics, found);
  return found.empty() ? Code::None : Code::MalformedHello;
}

Code read_topic_request(const uint8_t* payload, uint32_t length, TopicRequest& out) {
  if (length <= kTopicRequestBytes) return Code::ProtocolError;
  out.request = load<uint32_t>(payload);
  out.name = view(payload + kTopicRequestBytes, length - kTopicRequestBytes);
  return is_topic_name(out.name) ? Code::None : Code::ProtocolError;
}

Code read_topic_answer(const uint8_t* payload, uint32_t length, TopicAnswer& out) {
  if (length < kTopicAnswerBytes || length > kTopicAnswerBytes + kReasonBytesMax) return Code::ProtocolError;
  out.request = load<uint32_t>(payload);
  out.code = load<uint16_t>(payload + 4);
  out.reason = view(payload + kTopicAnswerBytes, length - kTopicAnswerBytes);
  const bool local = out.code >= kLocalCodeMin && out.code <= kLocalCodeMax;
  return !local && is_utf8(out.reason) ? Code::None : Code::ProtocolError;
}

bool SessionToken::is_zero() const { return equals(SessionToken{}); }

bool SessionToken::equals(const SessionToken& other) const {
  uint8_t difference = 0;
  for (uint32_t i = 0; i < kBytes; ++i) difference = static_cast<uint8_t>(difference | (bytes[i] ^ other.bytes[i]));
  return difference == 0;
}

bool is_utf8(std::string_view text) {
  const auto* at = reinterpret_cast<const uint8_t*>(text.data());
  for (size_t i = 0; i < text.size();) {
    const size_t size = sequence_size(at + i, text.size() - i);
    if (size == 0) return false;
    i += size;
  }
  return true;
}

bool is_native_id(std::string_view id) {
  return !id.empty() && id.size() <= kPeerIdBytesMax && is_utf8(id) && !has_control_character(id);
}

// The rules of a topic's name are those of an id.
bool is_topic_name(std::string_view name) { return name.size() <= kTopicNameBytesMax && is_native_id(name); }

bool is_classic_id(std::string_view id) {
  return !id.empty() && id.size() <= kPeerIdBytesMax &&
         std::all_of(id.begin(), id.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

}  // namespace zerio
