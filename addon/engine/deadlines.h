// When each deadline of an engine is due: a heap with the earliest first. What is done then is in engine_time.cc.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace zerio {

enum class DeadlineKind : uint8_t {
  State,            // of a connection: the end of connecting, handshake, probation or lingering, or of a half-dead connection
  Heartbeat,        // of a connection: the next look at whether bytes have arrived
  Idle,             // likewise, for its idle limit
  Question,         // of a connection: how long it has to answer when another one wants its id
  Acknowledgement,  // of a connection in a session: what was received is acknowledged at last
  AcceptRetry,      // of the engine: a server accepts again
  Report,           // of the engine: refusals that were not reported yet
  Io,               // of the engine: its backend has something to report
};

// One deadline. It knows its place in the heap, so that no search is needed to move it there. Its address must not change while
// it is set.
struct Deadline {
  static constexpr uint32_t kNowhere = 0xffffffff;

  uint32_t place = kNowhere;
  uint32_t slot = 0;
  DeadlineKind kind = DeadlineKind::State;
  bool was_put_off = false;

  [[nodiscard]] bool is_set() const { return place != kNowhere; }
};

// Four children to a node: half as deep as with two, and the children share a cache line or two.
class Deadlines {
 public:
  // Throws std::bad_alloc; set() allocates nothing for as many deadlines.
  void reserve(size_t count) { heap_.reserve(count); }

  [[nodiscard]] bool empty() const { return heap_.empty(); }
  [[nodiscard]] size_t size() const { return heap_.size(); }
  // Only when not empty.
  [[nodiscard]] Deadline& first() const { return *heap_.front().deadline; }
  [[nodiscard]] uint64_t first_ns() const { return heap_.front().due_ns; }
  // Only of one that is set.
  [[nodiscard]] uint64_t due_ns(const Deadline& deadline) const { return heap_[deadline.place].due_ns; }

  // Sets a deadline, or moves one that is set.
  void set(Deadline& deadline, uint64_t due_ns) {
    deadline.was_put_off = false;
    move(deadline, due_ns);
  }

  // Moves one that is set, and marks it as put off.
  void put_off(Deadline& deadline, uint64_t due_ns) {
    deadline.was_put_off = true;
    move(deadline, due_ns);
  }

  void clear(Deadline& deadline) {
    if (!deadline.is_set()) return;
    const uint32_t place = std::exchange(deadline.place, Deadline::kNowhere);
    const Entry last = heap_.back();
    heap_.pop_back();
    if (last.deadline != &deadline) sink(last, rise(last, place));
  }

 private:
  // The reliability tests look inside (lab/simulation/audit.cc).
  friend class EngineAudit;

  static constexpr uint32_t kChildren = 4;

  struct Entry {
    uint64_t due_ns;
    Deadline* deadline;
  };

  void move(Deadline& deadline, uint64_t due_ns) {
    const Entry entry = {due_ns, &deadline};
    if (!deadline.is_set()) {
      deadline.place = static_cast<uint32_t>(heap_.size());
      heap_.push_back(entry);
    }
    sink(entry, rise(entry, deadline.place));
  }

  void put(const Entry& entry, uint32_t place) {
    heap_[place] = entry;
    entry.deadline->place = place;
  }

  // Moves later ones out of the way of `entry`, and returns how far up it may go.
  [[nodiscard]] uint32_t rise(const Entry& entry, uint32_t place) {
    while (place > 0) {
      const uint32_t parent = (place - 1) / kChildren;
      if (heap_[parent].due_ns <= entry.due_ns) break;
      put(heap_[parent], place);
      place = parent;
    }
    return place;
  }

  // Puts `entry` at `place` or below, with earlier ones above it.
  void sink(const Entry& entry, uint32_t place) {
    const auto size = static_cast<uint32_t>(heap_.size());
    for (;;) {
      const uint32_t first = place * kChildren + 1;
      if (first >= size) break;
      uint32_t earliest = first;
      const uint32_t end = std::min(first + kChildren, size);
      for (uint32_t child = first + 1; child < end; ++child) {
        if (heap_[child].due_ns < heap_[earliest].due_ns) earliest = child;
      }
      if (heap_[earliest].due_ns >= entry.due_ns) break;
      put(heap_[earliest], place);
      place = earliest;
    }
    put(entry, place);
  }

  std::vector<Entry> heap_;
};

}  // namespace zerio
