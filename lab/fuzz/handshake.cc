// The strict readers of greetings, farewells and ids against naive ones.
#include "../../addon/engine/handshake.h"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "../../addon/engine/framing.h"
#include "../simulation/reference.h"
#include "fuzz.h"

using zerio::fuzz::require;

namespace {

// Both readers agree on the payload, and what the strict one has read is written as the same bytes again.
template <class Content, auto kRead, auto kNaiveRead, auto kWrite>
void read_and_write(const std::vector<uint8_t>& payload, zerio::Opcode opcode) {
  const auto length = static_cast<uint32_t>(payload.size());
  Content content;
  const bool accepted = kRead(payload.data(), length, content) == zerio::Code::None;
  require(accepted == kNaiveRead(payload.data(), length));
  if (!accepted) return;
  uint8_t written[zerio::kHeaderBytes + zerio::kControlLengthMax];
  require(kWrite(written, opcode, content) == length + zerio::kHeaderBytes);
  require(std::equal(payload.begin(), payload.end(), written + zerio::kHeaderBytes));
}

uint32_t write_subscribe(uint8_t* out, zerio::Opcode opcode, const zerio::TopicRequest& request) {
  return zerio::write_topic_request(out, opcode, request);
}
uint32_t write_subscription(uint8_t* out, zerio::Opcode, const zerio::TopicAnswer& answer) {
  return zerio::write_topic_answer(out, answer);
}

}  // namespace

// Input: which reader, then the payload.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  // A copy of exactly this size, so that the sanitizer finds an access beyond it.
  const std::vector<uint8_t> payload(data + 1, data + size);
  const auto length = static_cast<uint32_t>(payload.size());
  const std::string_view text(reinterpret_cast<const char*>(payload.data()), payload.size());
  if (length > 1024) return 0;
  switch (data[0] % 6) {
    case 0:
      read_and_write<zerio::Greeting, zerio::read_greeting, zerio::simulation::naive_greeting, zerio::write_greeting>(
          payload, zerio::Opcode::Hello);
      return 0;
    case 1:
      read_and_write<zerio::Farewell, zerio::read_farewell, zerio::simulation::naive_farewell, zerio::write_farewell>(
          payload, zerio::Opcode::Close);
      return 0;
    case 4:
      read_and_write<zerio::TopicRequest, zerio::read_topic_request, zerio::simulation::naive_topic_request, write_subscribe>(
          payload, zerio::Opcode::Subscribe);
      return 0;
    case 5:
      read_and_write<zerio::TopicAnswer, zerio::read_topic_answer, zerio::simulation::naive_topic_answer, write_subscription>(
          payload, zerio::Opcode::Subscription);
      return 0;
    case 2:
      require(zerio::is_utf8(text) == zerio::simulation::naive_utf8(payload.data(), length, true));
      return 0;
    default: {
      const bool fits = length >= 1 && length <= 255;
      require(zerio::is_native_id(text) == (fits && zerio::simulation::naive_utf8(payload.data(), length, false)));
      bool printable = fits;
      for (const uint8_t byte : payload) printable = printable && byte >= 0x20 && byte <= 0x7e;
      require(zerio::is_classic_id(text) == printable);
      return 0;
    }
  }
}
