// Cuts a byte stream into frames: whole frames are reported where they lie, only frames that straddle a receive are copied.
// The header layout is that of docs/protocol.md, section "Frame".
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "bytes.h"

namespace zerio {

inline constexpr size_t kHeaderBytes = 4;
inline constexpr uint32_t kLengthMask = 0x00ffffff;
inline constexpr uint32_t kLengthMax = kLengthMask;
inline constexpr uint32_t kControlBit = 0x80000000;
inline constexpr uint32_t kChannelShift = 24;
inline constexpr uint32_t kChannelMask = 0x7f;
// The longest control payload: a HELLO with the longest id and the longest credential.
inline constexpr uint32_t kControlLengthMax = 1024;

[[nodiscard]] inline uint32_t frame_length(uint32_t header) { return header & kLengthMask; }
[[nodiscard]] inline uint32_t frame_channel(uint32_t header) { return (header >> kChannelShift) & kChannelMask; }
[[nodiscard]] inline bool frame_is_control(uint32_t header) { return (header & kControlBit) != 0; }

enum class ReadResult {
  Ok,       // every byte was used or kept
  Stopped,  // the sink asked to stop; rest() are the bytes behind the frame that it stopped at
  TooLong,  // a header announces more than the limit
};

// A sink receives what the reader finds, in stream order. A function that returns false stops the reading.
//   bool runs()                                              whether data frames may be reported as runs
//   bool on_run(const uint8_t* first, size_t bytes, uint32_t count)  consecutive data frames, headers included
//   bool on_frame(uint32_t header, uint8_t* payload, bool assembled)  one frame; a data frame has its header in front
//   uint8_t* assembly()                                      a buffer for a header and the longest payload
class FrameReader {
 public:
  struct Rest {
    uint8_t* data;
    size_t size;
  };

  explicit FrameReader(uint32_t length_max) : length_max_(length_max) {}

  // The longest data payload accepted from now on.
  void set_length_max(uint32_t length_max) { length_max_ = length_max; }

  // From now on data frames have no channel: in classic, bits 24 to 30 belong to the length.
  void set_classic() { length_bits_ = ~kControlBit; }

  // The buffer in use for a straddling frame, to be given back when the connection ends; nullptr when there is none.
  [[nodiscard]] uint8_t* assembly() const { return assembly_; }

  // The header that made read() return TooLong.
  [[nodiscard]] uint32_t refused_header() const { return header_; }

  [[nodiscard]] bool mid_frame() const { return assembly_ != nullptr || header_have_ != 0; }

  // Whether these bytes, which come next, are control frames alone, and one of them, with this opcode, is whole.
  [[nodiscard]] bool has_only_controls_and(uint32_t opcode, const uint8_t* data, size_t size) const {
    bool found = false;
    if (mid_frame()) return false;
    while (size >= kHeaderBytes) {
      const auto header = load<uint32_t>(data);
      if (!frame_is_control(header)) return false;
      const size_t bytes = kHeaderBytes + frame_length(header);
      if (bytes > size) return found;
      found = found || frame_channel(header) == opcode;
      data += bytes;
      size -= bytes;
    }
    return found;
  }

  template <class Sink>
  ReadResult read(uint8_t* data, size_t size, Sink& sink) {
    while (size > 0) {
      if (assembly_ != nullptr) {
        const size_t take = std::min<size_t>(size, frame_length(header_) - have_);
        // It may have been received here.
        uint8_t* const target = rest_of_frame().data;
        if (data != target) std::memcpy(target, data, take);
        have_ += static_cast<uint32_t>(take);
        data += take;
        size -= take;
        if (have_ < frame_length(header_)) return ReadResult::Ok;
        if (!finish(sink)) return stop(data, size);
        continue;
      }

      uint32_t header = 0;
      const bool split = header_have_ > 0 || size < kHeaderBytes;
      if (split) {
        const size_t take = std::min(kHeaderBytes - header_have_, size);
        std::memcpy(header_bytes_ + header_have_, data, take);
        header_have_ += static_cast<uint32_t>(take);
        data += take;
        size -= take;
        if (header_have_ < kHeaderBytes) return ReadResult::Ok;
        header_have_ = 0;
        header = load<uint32_t>(header_bytes_);
      } else {
        if (sink.runs()) {
          const uint8_t* const first = data;
          const uint32_t count = skip_data_frames(data, size);
          if (count > 0) expects_long_ = false;
          if (count > 0 && !sink.on_run(first, static_cast<size_t>(data - first), count)) return stop(data, size);
          if (size < kHeaderBytes) continue;
        }
        header = load<uint32_t>(data);
        data += kHeaderBytes;
        size -= kHeaderBytes;
      }

      const uint32_t length = frame_length(header);
      if (frame_is_control(header) ? length > kControlLengthMax : (header & length_bits_) > length_max_) {
        header_ = header;
        return ReadResult::TooLong;
      }
      // A program that reads frames itself gets each with its header in front.
      if (length <= size && (!split || frame_is_control(header))) {
        uint8_t* payload = data;
        data += length;
        size -= length;
        if (!sink.on_frame(header, payload, false)) return stop(data, size);
      } else {
        const size_t take = std::min<size_t>(size, length);
        header_ = header;
        assembly_ = sink.assembly();
        store<uint32_t>(assembly_, header);
        std::memcpy(assembly_ + kHeaderBytes, data, take);
        have_ = static_cast<uint32_t>(take);
        data += take;
        size -= take;
        if (have_ < length) return ReadResult::Ok;
        if (!finish(sink)) return stop(data, size);
      }
    }
    return ReadResult::Ok;
  }

  // Where the next bytes of a frame that straddles receives go, and how many are missing; of size 0 when there is none.
  [[nodiscard]] Rest rest_of_frame() const {
    if (assembly_ == nullptr) return {nullptr, 0};
    return {assembly_ + kHeaderBytes + have_, frame_length(header_) - have_};
  }

  // Whether the next bytes are probably the beginning of a long frame, because the last one was one.
  [[nodiscard]] bool expects_long() const { return expects_long_ && !mid_frame(); }

  // What was not read when read() returned Stopped.
  [[nodiscard]] Rest rest() const { return rest_; }

 private:
  static constexpr uint32_t kLongBytesMin = 65536;

  // Steps over the whole data frames in front of the rest. Returns over how many.
  [[nodiscard]] uint32_t skip_data_frames(uint8_t*& data, size_t& size) const {
    uint32_t count = 0;
    while (size >= kHeaderBytes) {
      const auto next = load<uint32_t>(data);
      const size_t bytes = kHeaderBytes + frame_length(next);
      if (frame_is_control(next) || (next & length_bits_) > length_max_ || bytes > size) break;
      // Where a frame begins depends on the header before, so each would wait for that load. Frames like the one before do not.
      do {
        data += bytes;
        size -= bytes;
        ++count;
      } while (size >= bytes && load<uint32_t>(data) == next);
    }
    return count;
  }

  // The frame in assembly is whole.
  template <class Sink>
  bool finish(Sink& sink) {
    uint8_t* payload = assembly_ + kHeaderBytes;
    assembly_ = nullptr;
    expects_long_ = frame_length(header_) >= kLongBytesMin;
    return sink.on_frame(header_, payload, true);
  }

  ReadResult stop(uint8_t* data, size_t size) {
    rest_ = {data, size};
    return ReadResult::Stopped;
  }

  Rest rest_ = {nullptr, 0};
  uint32_t length_max_;
  uint32_t length_bits_ = kLengthMask;  // of a data frame's header
  uint32_t header_ = 0;                 // of the frame in assembly, or the one that was refused
  uint32_t have_ = 0;                   // payload bytes in assembly
  uint32_t header_have_ = 0;            // bytes of a header that is itself split
  uint8_t header_bytes_[kHeaderBytes] = {};
  bool expects_long_ = false;
  uint8_t* assembly_ = nullptr;
};

}  // namespace zerio
