// The FrameReader against a naive one, over bytes that arrive in pieces of any size.
#include <cstdint>
#include <memory>
#include <vector>

#include "../../addon/engine/framing.h"
#include "fuzz.h"

namespace {

struct Frame {
  uint32_t header;
  std::vector<uint8_t> payload;
  bool operator==(const Frame& other) const { return header == other.header && payload == other.payload; }
};

struct Sink {
  bool whole_runs;
  uint32_t assembly_bytes;
  std::vector<Frame> frames = {};
  std::unique_ptr<uint8_t[]> buffer = nullptr;

  [[nodiscard]] bool runs() const { return whole_runs; }
  bool on_run(const uint8_t* first, size_t bytes, uint32_t count) {
    uint32_t walked = 0;
    for (size_t at = 0; at < bytes; ++walked) {
      const auto header = zerio::load<uint32_t>(first + at);
      at += zerio::kHeaderBytes;
      frames.push_back({header, {first + at, first + at + zerio::frame_length(header)}});
      at += zerio::frame_length(header);
      zerio::fuzz::require(at <= bytes);
    }
    zerio::fuzz::require(walked == count);
    return true;
  }
  bool on_frame(uint32_t header, const uint8_t* payload, bool assembled) {
    frames.push_back({header, {payload, payload + zerio::frame_length(header)}});
    // Each message has its header in front.
    zerio::fuzz::require(zerio::frame_is_control(header) || zerio::load<uint32_t>(payload - zerio::kHeaderBytes) == header);
    if (assembled) buffer = nullptr;
    return true;
  }
  uint8_t* assembly() {
    zerio::fuzz::require(buffer == nullptr);
    buffer = std::make_unique<uint8_t[]>(zerio::kHeaderBytes + assembly_bytes);
    return buffer.get();
  }
};

}  // namespace

// Input: a byte of flags, two of the limit, one of the size of the pieces, then the stream.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  const bool classic = (data[0] & 1) != 0;
  const uint32_t length_max = data[1] + 256U * (data[2] & 15U);
  const size_t piece_max = data[3] + 1U;
  const uint8_t* const stream = data + 4;
  const size_t count = size - 4;

  std::vector<Frame> expected;
  bool too_long = false;
  for (size_t at = 0; count - at >= 4;) {
    const auto header = zerio::load<uint32_t>(stream + at);
    const bool control = header >> 31 != 0;
    const uint32_t length = classic && !control ? header & 0x7fffffff : header & 0xffffff;
    if (length > (control ? 1024U : length_max)) {
      too_long = true;
      break;
    }
    if (count - at - 4 < length) break;
    expected.push_back({header, {stream + at + 4, stream + at + 4 + length}});
    at += 4 + size_t{length};
  }

  zerio::FrameReader reader(length_max);
  if (classic) reader.set_classic();
  Sink sink = {(data[0] & 2) != 0, std::max(length_max, zerio::kControlLengthMax)};
  zerio::ReadResult result = zerio::ReadResult::Ok;
  for (size_t at = 0; at < count && result == zerio::ReadResult::Ok;) {
    const size_t bytes = std::min(piece_max, count - at);
    // A block of its own for each piece, so that the sanitizer finds an access beyond it.
    std::vector<uint8_t> piece(stream + at, stream + at + bytes);
    result = reader.read(piece.data(), bytes, sink);
    at += bytes;
  }
  zerio::fuzz::require(sink.frames == expected);
  zerio::fuzz::require((result == zerio::ReadResult::TooLong) == too_long);
  return 0;
}
