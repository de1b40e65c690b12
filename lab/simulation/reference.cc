// The naive reader. It shares no code with the engine.
#include "reference.h"

#include <map>
#include <optional>

namespace zerio::simulation {
namespace {

uint32_t number(const uint8_t* at, size_t bytes) {
  uint32_t value = 0;
  for (size_t i = bytes; i-- > 0;) value = value * 256 + at[i];
  return value;
}

bool is_printable(const uint8_t* text, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    if (text[i] < 0x20 || text[i] > 0x7e) return false;
  }
  return size >= 1 && size <= 255;
}

// The lengths of the extensions by their types, or nothing when they are wrong.
std::optional<std::map<uint32_t, size_t>> naive_extensions(const uint8_t* bytes, size_t count) {
  std::map<uint32_t, size_t> lengths;
  while (count > 0) {
    if (count < 4 || count - 4 < number(bytes + 2, 2)) return std::nullopt;
    const size_t length = number(bytes + 2, 2);
    if (!lengths.emplace(number(bytes, 2), length).second) return std::nullopt;
    bytes += 4 + length;
    count -= 4 + length;
  }
  return lengths;
}

std::map<uint32_t, size_t> extensions_of(const uint8_t* payload, size_t length) {
  const size_t extensions = number(payload + 14, 2);
  return naive_extensions(payload + length - extensions, extensions).value();
}

// Whether the extensions of a good greeting are an answer to one without a session, or can be asked for.
bool fit(const std::map<uint32_t, size_t>& extensions, bool of_client) {
  const auto session = extensions.find(1);
  const auto topics = extensions.find(2);
  if (topics != extensions.end() && topics->second != 0) return false;
  return session == extensions.end() || (of_client && session->second == 24);
}

}  // namespace

bool naive_utf8(const uint8_t* text, size_t size, bool control_characters_allowed) {
  for (size_t i = 0; i < size;) {
    const uint32_t first = text[i++];
    uint32_t point = first;
    size_t more = 0;
    uint32_t least = 0;
    if (first >= 0xf0 && first < 0xf8) {
      more = 3;
      least = 0x10000;
      point = first & 0x07;
    } else if (first >= 0xe0 && first < 0xf0) {
      more = 2;
      least = 0x800;
      point = first & 0x0f;
    } else if (first >= 0xc0 && first < 0xe0) {
      more = 1;
      least = 0x80;
      point = first & 0x1f;
    } else if (first >= 0x80) {
      return false;
    }
    for (; more > 0; --more) {
      if (i == size || text[i] < 0x80 || text[i] > 0xbf) return false;
      point = point * 64 + (text[i++] & 0x3f);
    }
    if (point < least || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return false;
    const bool control = point < 0x20 || (point >= 0x7f && point <= 0x9f);
    if (control && !control_characters_allowed) return false;
  }
  return true;
}

bool naive_greeting(const uint8_t* payload, size_t length) {
  if (length < 16 || number(payload, 4) != 0x4f49525a || payload[4] != 1 || payload[5] != 0) return false;
  const size_t id = number(payload + 6, 2);
  const size_t credential = number(payload + 12, 2);
  const size_t extensions = number(payload + 14, 2);
  if (number(payload + 8, 4) > 0xffffff || extensions > 512) return false;
  if (id < 1 || id > 255 || credential > 512 || length != 16 + id + credential + extensions) return false;
  return naive_utf8(payload + 16, id, false) && naive_extensions(payload + length - extensions, extensions).has_value();
}

bool naive_farewell(const uint8_t* payload, size_t length) {
  if (length < 2 || length > 258) return false;
  const uint32_t code = number(payload, 2);
  return (code < 2000 || code > 2999) && naive_utf8(payload + 2, length - 2, true);
}

bool naive_topic_request(const uint8_t* payload, size_t length) {
  return length > 4 && length <= 259 && naive_utf8(payload + 4, length - 4, false);
}

bool naive_topic_answer(const uint8_t* payload, size_t length) { return length >= 6 && naive_farewell(payload + 4, length - 4); }

void Reference::feed(const uint8_t* bytes, size_t count) {
  bytes_.insert(bytes_.end(), bytes, bytes + count);
  while (!over_ && bytes_.size() - at_ >= 4) {
    const uint32_t header = number(bytes_.data() + at_, 4);
    const bool control = (header >> 31) != 0;
    const bool classic = phase_ == Phase::Classic || role_ == Role::ClassicClient;
    const uint32_t length = control || !classic ? header & 0xffffff : header & 0x7fffffff;
    const uint32_t data_max = phase_ == Phase::Greeting ? 255 : length_max_;
    if (length > (control ? 1024 : data_max)) {
      over_ = true;
      return;
    }
    if (bytes_.size() - at_ - 4 < length) return;
    over_ = !frame(header, bytes_.data() + at_ + 4, length);
    at_ += 4 + size_t{length};
  }
}

bool Reference::frame(uint32_t header, const uint8_t* payload, uint32_t length) {
  if (phase_ == Phase::Greeting) return greeting(header, payload, length);
  if ((header >> 31) == 0) {
    stream_.accept_copy(payload, length, header >> 24);
    return true;
  }
  const uint32_t opcode = (header >> 24) & 0x7f;
  // Peers without an engine ask seldom enough.
  if (has_topics_ && role_ == Role::Server && (opcode == 8 || opcode == 9)) return naive_topic_request(payload, length);
  return phase_ == Phase::Native && (opcode == 4 || opcode == 5) && length == 8;
}

bool Reference::greeting(uint32_t header, const uint8_t* payload, uint32_t length) {
  const uint32_t kind = header >> 24;  // 0x80 + opcode of a control frame, the channel of a data frame
  const uint32_t greeting_kind = role_ == Role::Server ? 0x81 : 0x82;
  const std::string text(reinterpret_cast<const char*>(payload), length);
  if (role_ != Role::ClassicClient && kind == greeting_kind && naive_greeting(payload, length) &&
      fit(extensions_of(payload, length), role_ == Role::Server)) {
    phase_ = Phase::Native;
    has_topics_ = extensions_of(payload, length).count(2) > 0;
  } else if (kind == 0 && (role_ == Role::Server ? is_printable(payload, length) : role_ == Role::ClassicClient && text == id_)) {
    phase_ = Phase::Classic;
  } else {
    return false;
  }
  return true;
}

}  // namespace zerio::simulation
