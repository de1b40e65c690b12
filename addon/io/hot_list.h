// The few connections that were active last while the caller spins. Each poll tries a receive from each of them: a receive that
// finds nothing costs about as much as asking the kernel which connections are ready, and one that finds something saves that
// question.
//
// A connection that stays hot leaves the kernel's notification (epoll's set, a ring's multishot receive) until it cools down:
// notifications of bytes that are received anyway cost each message 0.3 microseconds, and twice that when libuv's epoll set
// contains ours.
#pragma once

#include <array>
#include <cstdint>

namespace zerio {

enum class Received { Something, Nothing, Full };

// What a backend does for its hot connections:
//   Received receive_directly(uint32_t slot)   reports to the sink what has arrived; may end any connection
//   bool leave(uint32_t slot)                  out of the notification; false when that is impossible now, or when left() follows
//   void come_back(uint32_t slot)              back into the notification
template <class Backend>
class HotList {
 public:
  explicit HotList(Backend& backend) : backend_(backend) {}

  [[nodiscard]] bool empty() const { return count_ == 0; }

  // With more connections than this, one question to the kernel for all of them costs less.
  static constexpr uint32_t kMax = 4;

  // `slot` has received something while the caller spins.
  void warm(uint32_t slot) {
    Entry* coldest = &entries_[0];
    for (uint32_t i = 0; i < count_; ++i) {
      if (entries_[i].slot == slot) {
        hit(entries_[i]);
        return;
      }
      if (entries_[i].misses > coldest->misses) coldest = &entries_[i];
    }
    if (count_ == kMax) {
      if (coldest->misses < kMissesToYield) return;
      cool(coldest->slot);
    }
    entries_[count_++] = {slot, 0, 0, false};
  }

  void cool(uint32_t slot) {
    for (uint32_t i = 0; i < count_; ++i) {
      if (entries_[i].slot != slot) continue;
      const bool outside = entries_[i].outside;
      entries_[i] = entries_[--count_];
      if (outside) backend_.come_back(slot);
      return;
    }
  }

  void cool_all() {
    while (count_ > 0) cool(entries_[count_ - 1].slot);
  }

  // The slot has left the notification since leave(). Returns false when it is not hot any more: it must come back.
  [[nodiscard]] bool left(uint32_t slot) {
    for (uint32_t i = 0; i < count_; ++i) {
      if (entries_[i].slot == slot) return entries_[i].outside = true;
    }
    return false;
  }

  // Tries all of them until one has something, but only a few times: a try takes 0.2 microseconds, and so does the way from
  // JavaScript to here and back. More tries would only delay a program that does work of its own between its polls.
  void receive_soon() {
    for (uint32_t i = 0; i < kTries && !receive(); ++i) {
    }
  }

  // One receive from each. Returns whether something was reported to the sink, or no connection is hot any more.
  bool receive() {
    bool reported = count_ == 0;
    for (uint32_t i = 0; i < count_;) {
      const uint32_t slot = entries_[i].slot;
      const Received received = backend_.receive_directly(slot);
      if (received == Received::Full) return true;
      reported = reported || received == Received::Something;
      // The sink may have closed connections, this one too.
      if (i >= count_ || entries_[i].slot != slot) {
        reported = true;
        continue;
      }
      if (received == Received::Something) {
        hit(entries_[i]);
      } else if (++entries_[i].misses > kMissesMax) {
        cool(slot);
        continue;
      }
      ++i;
    }
    return reported;
  }

 private:
  static constexpr uint32_t kTries = 2;
  static constexpr uint32_t kMissesMax = 20000;
  static constexpr uint32_t kHitsInside = 16;
  // A hot connection with so many receives in a row that found nothing gives its place to another one.
  static constexpr uint32_t kMissesToYield = 256;

  struct Entry {
    uint32_t slot;
    uint32_t misses;
    uint32_t hits;
    bool outside;  // of the notification
  };

  void hit(Entry& entry) {
    entry.misses = 0;
    if (!entry.outside && ++entry.hits > kHitsInside) entry.outside = backend_.leave(entry.slot);
  }

  Backend& backend_;
  std::array<Entry, kMax> entries_ = {};
  uint32_t count_ = 0;
};

}  // namespace zerio
