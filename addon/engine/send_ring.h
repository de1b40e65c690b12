// The engine's half of a send ring: JavaScript (src/engine/send_ring.ts) appends frames, the engine hands them to the socket.
//
// A ring is in two pieces of memory: positions below kMain are its front, which lies with the control words, all others its main
// part. So the few short frames of one flush, which is all that most connections ever have, touch no page of their own: with a
// thousand peers that saves one page walk for each send. A frame lies in one piece. When the next frame finds no room behind the
// last one, it goes to kMain. That is a jump, from the front's end or from the ring's end, and only one of the two is pending at
// a time. tail == head means empty.
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
  // `main` has `bytes` bytes; the front lies behind the slot's `words`.
  SendRing(uint8_t* main, uint32_t bytes, int32_t* words) : main_(main), words_(words), limit_(kMain + bytes) {}

  static constexpr uint32_t kMain = layout::kSlotFrontBytes;

  // Makes the ring empty. Only while JavaScript does not use the slot, because it writes JavaScript's words, too.
  void reset() {
    head_ = rewinds_ = 0;
    write(layout::kSlotTail, 0);
    write(layout::kSlotJumpEnd, 0);
    write(layout::kSlotDrainNeed, 0);
    write(layout::kSlotHead, 0);
    write(layout::kSlotRewinds, 0);
    write(layout::kSlotRewindsSeen, 0);
  }

  // When JavaScript finds the ring empty, it begins again: at 0, or by a jump from there. Returns whether it did so since the
  // last call: then all earlier positions are those of sent bytes.
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
    if (end > limit_) {
      result.corrupt = true;
    } else if (jumps(end)) {
      const uint32_t jump = jump_end();
      if (jump < head_ || jump > piece_end() || end < kMain) {
        result.corrupt = true;
        return result;
      }
      if (jump > head_) result.slices[result.count++] = {at(head_), jump - head_};
      if (end > kMain) result.slices[result.count++] = {main_, end - kMain};
    } else if (end > head_) {
      result.slices[result.count++] = {at(head_), end - head_};
    }
    return result;
  }

  // The first `bytes` of what pending(end) returned are sent.
  void advance(uint32_t bytes, uint32_t end) {
    if (jumps(end)) {
      const uint32_t first = std::clamp(jump_end(), head_, piece_end()) - head_;
      head_ = bytes < first ? head_ + bytes : std::min(kMain + bytes - first, end);
    } else {
      head_ += bytes;
    }
    write(layout::kSlotHead, head_);
  }

  void discard() { head_ = tail(); }

  // Prefetches what a send will touch. The words and the counters are neighbours.
  void prefetch() const {
    memory_prefetch(words_, layout::kSlotFrontOffset);
    memory_prefetch(at(head_), 1);
  }

  [[nodiscard]] uint32_t tail() {
    follow_rewind();
    return read(layout::kSlotTail);
  }
  [[nodiscard]] uint32_t head() const { return head_; }
  // Whether nothing is pending. A jump with nothing behind it is empty, too.
  [[nodiscard]] bool empty() {
    const uint32_t end = tail();
    return end == head_ || (end == kMain && jump_end() == head_);
  }
  // The first position behind the ring.
  [[nodiscard]] uint32_t limit() const { return limit_; }
  [[nodiscard]] uint8_t* main() const { return main_; }
  [[nodiscard]] uint32_t main_bytes() const { return limit_ - kMain; }

  // Whether a send was refused for lack of room and fits now. Cheap when none waits.
  [[nodiscard]] bool drained() {
    const uint32_t need = read(layout::kSlotDrainNeed);
    if (need == 0) return false;
    const uint32_t end = tail();
    if (end == head_) return true;
    const bool wrapped = end < head_;
    const uint32_t used = wrapped ? limit_ - head_ + end - kMain : end - (jumps(end) ? kMain : head_);
    const uint32_t before_head = head_ > kMain ? head_ - 1 - kMain : 0;
    const uint32_t contiguous = wrapped ? head_ - 1 - end : std::max(limit_ - std::clamp(end, kMain, limit_), before_head);
    return used <= main_bytes() / 2 && contiguous >= need;
  }

 private:
  [[nodiscard]] uint32_t read(uint32_t word) const {
    return static_cast<uint32_t>(std::atomic_ref<int32_t>(words_[word]).load(std::memory_order_acquire));
  }
  void write(uint32_t word, uint32_t value) {
    std::atomic_ref<int32_t>(words_[word]).store(static_cast<int32_t>(value), std::memory_order_release);
  }
  [[nodiscard]] uint32_t jump_end() const { return read(layout::kSlotJumpEnd); }
  // Whether there is a jump between the head and `end`. A front that is followed by the main part is never full to its last byte.
  [[nodiscard]] bool jumps(uint32_t end) const { return end < head_ || (head_ < kMain && end >= kMain); }
  [[nodiscard]] uint32_t piece_end() const { return head_ < kMain ? kMain : limit_; }
  [[nodiscard]] uint8_t* at(uint32_t position) const {
    return position < kMain ? reinterpret_cast<uint8_t*>(words_) + layout::kSlotFrontOffset + position
                            : main_ + (position - kMain);
  }

  uint8_t* main_ = nullptr;
  int32_t* words_ = nullptr;
  uint32_t limit_ = kMain;
  uint32_t head_ = 0;
  uint32_t rewinds_ = 0;
};

}  // namespace zerio
