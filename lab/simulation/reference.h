// A second, naive reader of the protocol, written from docs/protocol.md. It says what a correct engine must find in these bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ledger.h"

namespace zerio::simulation {

enum class Role : uint8_t { Server, NativeClient, ClassicClient };

class Reference {
 public:
  // `role` is the reader's; `id` is the id of a classic client. Messages go into `stream` as accepted ones.
  Reference(Role role, std::string id, uint32_t length_max, Stream& stream)
      : role_(role), id_(std::move(id)), length_max_(length_max), stream_(stream) {}

  void feed(const uint8_t* bytes, size_t count);
  // Whether the connection must have ended, because a rule was broken or a CLOSE has arrived.
  [[nodiscard]] bool over() const { return over_; }

 private:
  enum class Phase : uint8_t { Greeting, Native, Classic };

  // Takes one whole frame. False when the connection must end.
  bool frame(uint32_t header, const uint8_t* payload, uint32_t length);
  bool greeting(uint32_t header, const uint8_t* payload, uint32_t length);

  Role role_;
  std::string id_;
  uint32_t length_max_;
  Stream& stream_;
  Phase phase_ = Phase::Greeting;
  bool over_ = false;
  bool has_topics_ = false;
  std::vector<uint8_t> bytes_;
  size_t at_ = 0;
};

// Well-formed UTF-8 without control characters, by decoding each code point.
[[nodiscard]] bool naive_utf8(const uint8_t* text, size_t size, bool control_characters_allowed);
// A HELLO or WELCOME of this protocol version with an id that is allowed.
[[nodiscard]] bool naive_greeting(const uint8_t* payload, size_t length);
[[nodiscard]] bool naive_farewell(const uint8_t* payload, size_t length);
// A SUBSCRIBE or UNSUBSCRIBE, and a SUBSCRIPTION.
[[nodiscard]] bool naive_topic_request(const uint8_t* payload, size_t length);
[[nodiscard]] bool naive_topic_answer(const uint8_t* payload, size_t length);

}  // namespace zerio::simulation
