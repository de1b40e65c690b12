// The engine's half of a send ring: JavaScript (src/engine/send_ring.ts) appends frames, the engine hands them to the socket.
//
// A ring is in two pieces of memory: positions below kMain are its front, which lies with the control words, all others its main
// part. So the few short frames of one flush, which is all that most connections ever have, touch no page of their own: with a
// thousand peers that saves one page walk for each send. A frame lies in one piece. When the next frame finds no room behind the
// last one, it goes to kMain. That is a jump, from the front's end or from the ring's end, and only one of the two is pending at
// a time. tail == head means empty.
//
// In a session (docs/sessions.md) bytes stay behind the head until the other side has acknowledged them, so that they can be sent
// again; `sent` is where the next send begins. Without a session head and sent are one.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>

#include "../io/io.h"
#include "../io/memory.h"
#include "framing.h"
#include "layout.h"

namespace zerio {

class SendRing {
 public:
  SendRing() = default;
  // `main` has `bytes` bytes; the front lies behind the slot's `words`.
  SendRing(uint8_t* main, uint32_t bytes, int32_t* words) : main_(main), words_(words), limit_(kMain + bytes) {}

  static constexpr uint32_t kMain = layout::kSlotFrontBytes;
  static constexpr uint32_t kWords = layout::kSlotRewindTo + 1;

  // Makes the ring empty. Only while JavaScript does not use the slot, because it writes JavaScript's words, too.
  void reset() {
    head_ = sent_ = rewinds_ = 0;
    keeps_ = false;
    write(layout::kSlotTail, 0);
    write(layout::kSlotJumpEnd, 0);
    write(layout::kSlotDrainNeed, 0);
    write(layout::kSlotHead, 0);
    write(layout::kSlotRewinds, 0);
    write(layout::kSlotRewindsSeen, 0);
    write(layout::kSlotSent, 0);
    write(layout::kSlotRewindTo, 0);
  }

  // From now on the head follows confirm(). Only while the ring is empty.
  void keep() { keeps_ = true; }

  // When JavaScript finds the ring empty, it begins again: at 0, or in the main part. Returns whether it did so since the last
  // call: then all earlier positions are those of sent bytes.
  bool follow_rewind() {
    const uint32_t rewinds = read(layout::kSlotRewinds);
    if (rewinds == rewinds_) return false;
    rewinds_ = rewinds;
    head_ = sent_ = std::min(read(layout::kSlotRewindTo), limit_);
    write(layout::kSlotHead, head_);
    write(layout::kSlotSent, sent_);
    write(layout::kSlotRewindsSeen, rewinds);
    return true;
  }

  struct Pending {
    IoSlice slices[2] = {};
    uint32_t count = 0;
    bool corrupt = false;  // JavaScript's words make no sense
  };

  // The committed bytes that are not sent, up to `end`, a position that tail() returned. Never reaches outside the ring, whatever
  // the words hold.
  [[nodiscard]] Pending pending(uint32_t end) const { return between(sent_, end); }

  // The first `bytes` of what pending(end) returned are sent.
  void advance(uint32_t bytes, uint32_t end) {
    if (jumps(sent_, end)) {
      const uint32_t first = std::clamp(jump_end(), sent_, piece_end(sent_)) - sent_;
      sent_ = bytes < first ? sent_ + bytes : std::min(kMain + bytes - first, end);
    } else {
      sent_ += bytes;
    }
    if (keeps_) return write(layout::kSlotSent, sent_);
    head_ = sent_;
    write(layout::kSlotHead, head_);
  }

  // The ring is empty, and the next frame, which begins at this position, is sent up to here.
  void begin_behind(uint32_t position, uint32_t sent_bytes) {
    head_ = sent_ = std::min(std::max(position, kMain) + sent_bytes, limit_);
    write(layout::kSlotHead, head_);
    write(layout::kSlotSent, sent_);
  }

  void discard() { head_ = sent_ = tail(); }

  // The other side has so many more of the messages that were sent. False when not so many were sent; then nothing has changed.
  [[nodiscard]] bool confirm(uint64_t messages) {
    uint32_t at = head_;
    if (skip(at, sent_, messages) < messages) return false;
    head_ = at;
    write(layout::kSlotHead, head_);
    return true;
  }

  // How many messages are in the ring.
  [[nodiscard]] uint64_t count_kept() {
    const uint32_t end = tail();
    uint32_t at = head_;
    return between(head_, end).corrupt ? 0 : skip(at, end, ~uint64_t{0});
  }

  // The other side may have received all that was on its way when the connection broke, acknowledged or not.
  void assume_sent() {
    sent_ = tail();
    write(layout::kSlotSent, sent_);
  }

  // Whatever is not confirmed is sent again.
  void send_again() {
    sent_ = head_;
    write(layout::kSlotSent, sent_);
  }

  // Takes over what the ring of another connection holds, at the same positions. False when JavaScript's words make no sense.
  [[nodiscard]] bool copy_from(SendRing& other) {
    const uint32_t end = other.tail();
    const Pending kept = other.between(other.head_, end);
    if (kept.corrupt || other.limit_ != limit_) return false;
    for (uint32_t i = 0; i < kept.count; ++i) {
      const IoSlice& slice = kept.slices[i];
      std::memcpy(at(other.position_of(slice.data)), slice.data, slice.size);
    }
    for (uint32_t word = 0; word < kWords; ++word) write(word, other.read(word));
    head_ = other.head_;
    sent_ = other.sent_;
    rewinds_ = other.rewinds_;
    keeps_ = other.keeps_;
    return true;
  }

  // Prefetches what a send will touch. The words and the counters are neighbours.
  void prefetch() const {
    prefetch_words();
    memory_prefetch(at(sent_), 1);
  }
  void prefetch_words() const { memory_prefetch(words_, layout::kSlotFrontOffset); }

  [[nodiscard]] uint32_t tail() {
    follow_rewind();
    return read(layout::kSlotTail);
  }
  [[nodiscard]] uint32_t head() const { return head_; }
  // Whether nothing is to be sent. A jump with nothing behind it is empty, too.
  [[nodiscard]] bool empty() { return is_nothing_from(sent_); }
  // Whether nothing is kept either.
  [[nodiscard]] bool keeps_nothing() { return is_nothing_from(head_); }
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
    const uint32_t used = wrapped ? limit_ - head_ + end - kMain : end - (jumps(head_, end) ? kMain : head_);
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
  // Whether there is a jump between two positions. A front that is followed by the main part is never full to its last byte.
  [[nodiscard]] static bool jumps(uint32_t from, uint32_t end) { return end < from || (from < kMain && end >= kMain); }
  [[nodiscard]] uint32_t piece_end(uint32_t position) const { return position < kMain ? kMain : limit_; }

  [[nodiscard]] bool is_nothing_from(uint32_t from) {
    const uint32_t end = tail();
    return end == from || (end == kMain && jump_end() == from);
  }

  [[nodiscard]] Pending between(uint32_t from, uint32_t end) const {
    Pending result;
    if (end > limit_) {
      result.corrupt = true;
    } else if (jumps(from, end)) {
      const uint32_t jump = jump_end();
      if (jump < from || jump > piece_end(from) || end < kMain) {
        result.corrupt = true;
        return result;
      }
      if (jump > from) result.slices[result.count++] = {at(from), jump - from};
      if (end > kMain) result.slices[result.count++] = {main_, end - kMain};
    } else if (end > from) {
      result.slices[result.count++] = {at(from), end - from};
    }
    return result;
  }

  // Moves `at` over at most so many whole frames up to `end`, and returns over how many.
  [[nodiscard]] uint64_t skip(uint32_t& at, uint32_t end, uint64_t most) const {
    const bool jumping = at != end && jumps(at, end);
    const uint64_t skipped = skip_piece(at, std::min(jumping ? jump_end() : end, piece_end(at)), most);
    // Once only: the words are JavaScript's, and could lead round for ever.
    if (!jumping || skipped == most || at != jump_end()) return skipped;
    uint32_t behind = kMain;
    const uint64_t more = skip_piece(behind, std::min(end, limit_), most - skipped);
    if (more > 0) at = behind;
    return skipped + more;
  }

  // The place of a frame depends on the length of the one before, so each step would wait for the last one's load: a tenth of the
  // sender's time was spent so. Frames that follow one of their own size do not wait.
  [[nodiscard]] uint64_t skip_piece(uint32_t& at, uint32_t stop, uint64_t most) const {
    uint64_t skipped = 0;
    while (skipped < most && at + kHeaderBytes <= stop) {
      const uint32_t bytes = frame_bytes(at);
      if (at + bytes > stop) break;
      at += bytes;
      ++skipped;
      while (skipped < most && at + bytes <= stop && frame_bytes(at) == bytes) {
        at += bytes;
        ++skipped;
      }
    }
    return skipped;
  }

  [[nodiscard]] uint32_t frame_bytes(uint32_t position) const {
    return static_cast<uint32_t>(kHeaderBytes) + frame_length(load<uint32_t>(at(position)));
  }

  [[nodiscard]] uint32_t position_of(const uint8_t* byte) const {
    return byte >= main_ && byte < main_ + main_bytes() ? kMain + static_cast<uint32_t>(byte - main_)
                                                        : static_cast<uint32_t>(byte - at(0));
  }
  [[nodiscard]] uint8_t* at(uint32_t position) const {
    return position < kMain ? reinterpret_cast<uint8_t*>(words_) + layout::kSlotFrontOffset + position
                            : main_ + (position - kMain);
  }

  uint8_t* main_ = nullptr;
  int32_t* words_ = nullptr;
  uint32_t limit_ = kMain;
  uint32_t head_ = 0;
  uint32_t sent_ = 0;
  uint32_t rewinds_ = 0;
  bool keeps_ = false;
};

}  // namespace zerio
