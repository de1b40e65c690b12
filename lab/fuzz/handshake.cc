// The strict readers of greetings, farewells and ids against naive ones.
#include "../../addon/engine/handshake.h"

#include <cstdint>
#include <string_view>
#include <vector>

#include "../simulation/reference.h"
#include "fuzz.h"

using zerio::fuzz::require;

// Input: which reader, then the payload.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  // A copy of exactly this size, so that the sanitizer finds an access beyond it.
  const std::vector<uint8_t> payload(data + 1, data + size);
  const auto length = static_cast<uint32_t>(payload.size());
  const std::string_view text(reinterpret_cast<const char*>(payload.data()), payload.size());
  if (length > 1024) return 0;
  switch (data[0] % 4) {
    case 0: {
      zerio::Greeting greeting;
      const zerio::Code code = zerio::read_greeting(payload.data(), length, greeting);
      require((code == zerio::Code::None) == zerio::simulation::naive_greeting(payload.data(), length));
      if (code != zerio::Code::None) return 0;
      uint8_t written[zerio::kControlFrameBytesMax];
      const uint32_t bytes = zerio::write_greeting(written, zerio::Opcode::Hello, greeting);
      require(bytes == length + 4 && std::string_view(reinterpret_cast<char*>(written) + 4, length) == text);
      return 0;
    }
    case 1: {
      zerio::Farewell farewell;
      const zerio::Code code = zerio::read_farewell(payload.data(), length, farewell);
      require((code == zerio::Code::None) == zerio::simulation::naive_farewell(payload.data(), length));
      if (code != zerio::Code::None) return 0;
      uint8_t written[zerio::kControlFrameBytesMax];
      const uint32_t bytes = zerio::write_farewell(written, zerio::Opcode::Close, farewell);
      require(bytes == length + 4 && std::string_view(reinterpret_cast<char*>(written) + 4, length) == text);
      return 0;
    }
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
