// The event ring's writer: what the engine tells JavaScript, eight int32 words an event. src/engine/engine.ts reads it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "check.h"
#include "layout.h"

namespace zerio {

enum class EventKind : int32_t {
  Run = 1,        // slot, slab, offset, bytes, count: consecutive data frames, headers included
  Message = 2,    // slot, slab, offset, length, channel: one payload
  Connected = 3,  // slot, slab, offset of the id, its length, length of the credential behind it, protocol | (server + 1) << 8,
                  // the other side's limit
  Disconnected = 4,   // slot, slab, offset of the reason, its length, code, errno
  Drain = 5,          // slot
  ConnectFailed = 6,  // slot, slab, offset of the reason, its length, code, errno
  Released = 7,       // slot, server, how many slots that server still has: the next life of the slot may begin
  Refused = 8,        // server, 0, 0, 0, code, errno, how many refusals with this code it stands for
  AcceptError = 9,    // server, 0, 0, 0, 0, errno
  Asked = 11,         // as Connected: the program is to say whether it takes this peer
  SlotsLow = 10,      // JavaScript should add a slab
  Reached = 12,       // slot: a client that holds its HELLO has a connection; greet() or abort() follows
  SlabIdle = 13,      // JavaScript may let go of the last slab
};

class EventRing {
 public:
  void set(int32_t* words, int32_t* engine_words, uint32_t capacity) {
    words_ = words;
    engine_words_ = engine_words;
    capacity_ = capacity;
  }

  void push(EventKind kind, uint32_t a, uint32_t b = 0, uint32_t c = 0, uint32_t d = 0, uint32_t e = 0, uint32_t f = 0,
            uint32_t g = 0) {
    check(count_ < capacity_, "a batch has more events than there is room for");
    int32_t* at = words_ + static_cast<size_t>(count_) * layout::kEventWords;
    at[0] = static_cast<int32_t>(kind);
    at[1] = static_cast<int32_t>(a);
    at[2] = static_cast<int32_t>(b);
    at[3] = static_cast<int32_t>(c);
    at[4] = static_cast<int32_t>(d);
    at[5] = static_cast<int32_t>(e);
    at[6] = static_cast<int32_t>(f);
    at[7] = static_cast<int32_t>(g);
    publish(count_ + 1);
  }

  // How many of the batch JavaScript has not dispatched yet. The word is JavaScript's: any value is possible.
  [[nodiscard]] uint32_t unconsumed() const {
    const auto consumed = static_cast<uint32_t>(
        std::atomic_ref<int32_t>(engine_words_[layout::kWordEventsConsumed]).load(std::memory_order_acquire));
    return consumed < count_ ? count_ - consumed : 0;
  }

  // A word of the next event that JavaScript is to dispatch. JavaScript can have overwritten it.
  [[nodiscard]] int32_t next_word(uint32_t word) const {
    const uint32_t next = std::min(count_ - unconsumed(), capacity_ - 1);
    return words_[static_cast<size_t>(next) * layout::kEventWords + word];
  }

  void begin_batch() {
    std::atomic_ref<int32_t>(engine_words_[layout::kWordEventsConsumed]).store(0, std::memory_order_release);
    publish(0);
  }

  [[nodiscard]] uint32_t count() const { return count_; }
  [[nodiscard]] uint32_t room() const { return capacity_ - count_; }

 private:
  void publish(uint32_t count) {
    count_ = count;
    std::atomic_ref<int32_t>(engine_words_[layout::kWordEventsProduced])
        .store(static_cast<int32_t>(count), std::memory_order_release);
  }

  int32_t* words_ = nullptr;
  int32_t* engine_words_ = nullptr;
  uint32_t capacity_ = 0;
  uint32_t count_ = 0;
};

}  // namespace zerio
