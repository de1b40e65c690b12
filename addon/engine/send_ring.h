// The engine's half of a send ring: JavaScript (src/send_ring.ts) appends frames, the engine hands them to the socket.
// A frame never wraps. Positions are bytes from the ring's start; tail == head means empty.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "../io/io.h"
#include "../io/memory.h"
#include "layout.h"

namespace zerio {

class SendRing {
 public:
  SendRing() = default;
  SendRing(uint8_t* base, uint32_t capacity, int32_t* words) : base_(base), words_(words), capacity_(capacity) {}

  // Makes the ring empty. Only while JavaScript does not know the slot, because it writes JavaScript's words too.
  void reset() {
    head_ = rewinds_ = 0;
    write(layout::kSlotTail, 0);
    write(layout::kSlotWrapEnd, 0);
    write(layout::kSlotDrainNeed, 0);
    write(layout::kSlotHead, 0);
    write(layout::kSlotRewinds, 0);
    write(layout::kSlotRewindsSeen, 0);
  }

  // JavaScript begins again at 0 when it finds the ring empty. Returns whether it did since the last call: all positions before
  // are those of sent bytes then.
  bool follow_rewind() {
    const uint32_t rewinds = read(layout::kSlotRewinds);
    if (rewinds == rewinds_) return false;
    rewinds_ = rewinds;
    head_ = 0;
    write(layout::kSlotHead, 0);
    write(layout::kSlotRewindsSeen, rewinds);
    return true;
  }

  struct Pending {
    IoSlice slices[2] = {};
    uint32_t count = 0;
    bool corrupt = false;  // JavaScript's words make no sense
  };

  // The committed bytes up to `end`, a position that tail() returned. Never reaches outside the ring, whatever the words hold.
  [[nodiscard]] Pending pending(uint32_t end) const {
    Pending result;
    if (end > capacity_) {
      result.corrupt = true;
    } else if (end > head_) {
      result.slices[result.count++] = {base_ + head_, end - head_};
    } else if (end < head_) {
      const uint32_t wrap_end = wrap();
      if (wrap_end > capacity_ || wrap_end < head_) {
        result.corrupt = true;
        return result;
      }
      if (wrap_end > head_) result.slices[result.count++] = {base_ + head_, wrap_end - head_};
      if (end > 0) result.slices[result.count++] = {base_, end};
    }
    return result;
  }

  // Takes away the first `bytes` of what pending(end) returned.
  void advance(uint32_t bytes, uint32_t end) {
    if (end < head_) {
      const uint32_t first = std::clamp(wrap(), head_, capacity_) - head_;
      head_ = bytes < first ? head_ + bytes : std::min(bytes - first, end);
    } else {
      head_ += bytes;
    }
    write(layout::kSlotHead, head_);
  }

  void discard() { head_ = tail(); }

  // Asks for what a send is going to touch. JavaScript's words and its counters are neighbours.
  void prefetch() const {
    memory_prefetch(words_, layout::kSlotBytes);
    memory_prefetch(base_ + head_, 1);
  }

  [[nodiscard]] uint32_t tail() {
    follow_rewind();
    return read(layout::kSlotTail);
  }
  [[nodiscard]] uint32_t head() const { return head_; }
  // Whether nothing is pending: behind a ring's end that was left unused there is nothing, too, until something follows.
  [[nodiscard]] bool empty() {
    const uint32_t end = tail();
    return end == head_ || (end == 0 && wrap() == head_);
  }
  [[nodiscard]] uint32_t capacity() const { return capacity_; }
  [[nodiscard]] uint8_t* base() const { return base_; }

  // Whether somebody was refused and what was refused fits now. Cheap when nobody waits.
  [[nodiscard]] bool drained() {
    const uint32_t need = read(layout::kSlotDrainNeed);
    if (need == 0) return false;
    const uint32_t end = tail();
    if (end == head_) return true;
    const bool wrapped = end < head_;
    const uint32_t used = wrapped ? capacity_ - head_ + end : end - head_;
    const uint32_t contiguous =
        wrapped ? head_ - 1 - end : std::max(capacity_ - std::min(end, capacity_), head_ > 0 ? head_ - 1 : 0);
    return used <= capacity_ / 2 && contiguous >= need;
  }

 private:
  [[nodiscard]] uint32_t read(uint32_t word) const {
    return static_cast<uint32_t>(std::atomic_ref<int32_t>(words_[word]).load(std::memory_order_acquire));
  }
  void write(uint32_t word, uint32_t value) {
    std::atomic_ref<int32_t>(words_[word]).store(static_cast<int32_t>(value), std::memory_order_release);
  }
  [[nodiscard]] uint32_t wrap() const { return read(layout::kSlotWrapEnd); }

  uint8_t* base_ = nullptr;
  int32_t* words_ = nullptr;
  uint32_t capacity_ = 0;
  uint32_t head_ = 0;
  uint32_t rewinds_ = 0;
};

}  // namespace zerio
