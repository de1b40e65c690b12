// Frames that many connections are sent from one copy (src/engine/audience.ts keeps them). JavaScript lists the connections; the
// place of one in the list is its name here. All memory is JavaScript's, so every number is checked.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "bytes.h"
#include "check.h"
#include "framing.h"
#include "layout.h"

namespace zerio {

struct Connection;

// What one connection is sent of shared frames.
struct SharedSend {
  Connection* connection = nullptr;
  uint32_t place = 0;
  size_t bytes = 0;
};

class SharedFrames {
 public:
  // `slots` and `sent` are columns by place: the connection, and how many bytes the system has taken of the frames. `refused` has
  // room for all places.
  SharedFrames(std::span<const uint8_t> bytes, std::span<const int32_t> slots, std::span<int32_t> sent,
               std::span<int32_t> refused, std::span<int32_t, layout::kShareWords> words)
      : bytes_(bytes.first(at_most(words[layout::kShareBytes], bytes.size()))),
        slots_(slots.first(at_most(words[layout::kShareCount], std::min({slots.size(), sent.size(), refused.size()})))),
        sent_(sent),
        refused_(refused),
        words_(words) {
    words_[layout::kShareRefused] = 0;
    if (next() >= places()) words_[layout::kShareNext] = 0;
  }

  [[nodiscard]] uint32_t places() const { return static_cast<uint32_t>(slots_.size()); }
  [[nodiscard]] uint32_t slot(uint32_t place) const { return static_cast<uint32_t>(slots_[place]); }
  [[nodiscard]] uint64_t time_ns() const { return uint64_t{static_cast<uint32_t>(words_[layout::kShareTimeUs])} * 1000; }

  // The place that is next. step() makes it the one behind, and behind the last one the first.
  [[nodiscard]] uint32_t next() const { return static_cast<uint32_t>(words_[layout::kShareNext]); }
  void step() { words_[layout::kShareNext] = static_cast<int32_t>(next() + 1 == places() ? 0 : next() + 1); }

  [[nodiscard]] bool is_done() const { return words_[layout::kShareUnsent] <= 0; }
  // What a place is still to be sent.
  [[nodiscard]] std::span<const uint8_t> rest_of(uint32_t place) const {
    return bytes_.subspan(at_most(sent_[place], bytes_.size()));
  }
  // The system took all, or takes nothing of this connection any more: what it loses then was accepted all the same.
  void finish(uint32_t place) {
    sent_[place] = static_cast<int32_t>(bytes_.size());
    words_[layout::kShareUnsent] -= 1;
  }
  // The system took so many bytes, and no more now. JavaScript writes the rest into the ring.
  void refuse(uint32_t place, size_t taken) {
    int32_t& refused = words_[layout::kShareRefused];
    check(static_cast<size_t>(refused) < refused_.size(), "a place is looked at once in a call");
    sent_[place] += static_cast<int32_t>(taken);
    refused_[static_cast<size_t>(refused++)] = static_cast<int32_t>(place);
  }

  // How many frames end within the first `taken` bytes of what a place is sent. Most places are sent the same.
  [[nodiscard]] uint32_t frames_in(uint32_t place, size_t taken) {
    const size_t from = at_most(sent_[place], bytes_.size());
    if (from != counted_from_ || taken != counted_bytes_) {
      counted_from_ = from;
      counted_bytes_ = taken;
      counted_ = count(bytes_.subspan(from, taken));
    }
    return counted_;
  }

 private:
  [[nodiscard]] static size_t at_most(int32_t value, size_t most) {
    return value < 0 ? 0 : std::min(static_cast<size_t>(value), most);
  }
  [[nodiscard]] static uint32_t count(std::span<const uint8_t> bytes) {
    uint32_t frames = 0;
    for (size_t at = 0; at + kHeaderBytes <= bytes.size(); ++frames) {
      at += kHeaderBytes + frame_length(load<uint32_t>(bytes.data() + at));
      if (at > bytes.size()) break;
    }
    return frames;
  }

  std::span<const uint8_t> bytes_;
  std::span<const int32_t> slots_;
  std::span<int32_t> sent_;
  std::span<int32_t> refused_;
  std::span<int32_t, layout::kShareWords> words_;
  size_t counted_from_ = 0;
  size_t counted_bytes_ = 0;
  uint32_t counted_ = 0;
};

}  // namespace zerio
