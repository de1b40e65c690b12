// Bytes that were received and are not due yet: a queue for each connection, in one memory of fixed size.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "../clock.h"

namespace zerio {

class HeldBytes {
 public:
  static constexpr uint32_t kChunkBytes = 4096;
  static constexpr uint32_t kChunks = 4096;  // 16 MiB
  static constexpr uint64_t kNever = ~uint64_t{0};

  // What one connection has here. Its numbers are those of this class.
  struct Queue {
    uint32_t first = kNone;
    uint32_t last = kNone;
  };

  // Throws std::bad_alloc; nothing else here allocates.
  HeldBytes() : chunks_(kChunks), data_(std::make_unique_for_overwrite<uint8_t[]>(size_t{kChunks} * kChunkBytes)) {
    for (uint32_t i = 0; i < kChunks; ++i) chunks_[i].next = i + 1 < kChunks ? i + 1 : kNone;
  }

  // Whether so many bytes, and an end behind them, find room wherever they belong.
  [[nodiscard]] bool has_room(size_t bytes) const { return free_count_ >= bytes / kChunkBytes + 2; }

  // From here on connections are not received from any more, one by one, so that the others do not wait.
  [[nodiscard]] bool is_nearly_full() const { return free_count_ < kChunks / 4; }

  // Only while there is room. `due_ns` is not before that of the last call for this queue.
  void append(Queue& queue, const uint8_t* data, size_t size, uint64_t due_ns) {
    if (size == 0) (void)chunk_for(queue, due_ns, true);
    while (size > 0) {
      const uint32_t at = chunk_for(queue, due_ns, false);
      Chunk& chunk = chunks_[at];
      const auto fits = static_cast<uint32_t>(std::min<size_t>(size, kChunkBytes - chunk.end));
      std::memcpy(memory_of(at) + chunk.end, data, fits);
      chunk.end += fits;
      data += fits;
      size -= fits;
    }
  }

  // When the first of it is due.
  [[nodiscard]] uint64_t due_ns(const Queue& queue) const { return queue.first == kNone ? kNever : chunks_[queue.first].due_ns; }

  // Moves what is due to `target`: at most `room` bytes. 0 when the end of the stream comes first.
  [[nodiscard]] size_t take(Queue& queue, uint64_t now_ns, uint8_t* target, size_t room) {
    size_t taken = 0;
    while (taken < room && due_ns(queue) <= now_ns && !is_at_end(queue)) {
      Chunk& chunk = chunks_[queue.first];
      const auto bytes = static_cast<uint32_t>(std::min<size_t>(room - taken, chunk.end - chunk.begin));
      std::memcpy(target + taken, memory_of(queue.first) + chunk.begin, bytes);
      chunk.begin += bytes;
      taken += bytes;
      if (chunk.begin == chunk.end) drop_first(queue);
    }
    return taken;
  }

  [[nodiscard]] bool is_at_end(const Queue& queue) const { return queue.first != kNone && chunks_[queue.first].is_end; }

  void clear(Queue& queue) {
    while (queue.first != kNone) drop_first(queue);
  }

 private:
  static constexpr uint32_t kNone = 0xffffffff;
  // What comes within this time shares a chunk, and the later time: otherwise each small receive would take one.
  static constexpr uint64_t kSharedNs = kMillisecondNs;

  struct Chunk {
    uint64_t due_ns = 0;
    uint64_t shared_until_ns = 0;
    uint32_t next = kNone;
    uint32_t begin = 0;
    uint32_t end = 0;
    bool is_end = false;  // of the stream
  };

  [[nodiscard]] uint8_t* memory_of(uint32_t chunk) const { return data_.get() + size_t{chunk} * kChunkBytes; }

  uint32_t chunk_for(Queue& queue, uint64_t due_ns, bool is_end) {
    if (queue.last != kNone && !is_end) {
      Chunk& last = chunks_[queue.last];
      if (!last.is_end && last.end < kChunkBytes && due_ns <= last.shared_until_ns) {
        last.due_ns = due_ns;
        return queue.last;
      }
    }
    const uint32_t made = free_;
    free_ = chunks_[made].next;
    --free_count_;
    chunks_[made] = {.due_ns = due_ns, .shared_until_ns = due_ns + kSharedNs, .is_end = is_end};
    if (queue.last == kNone) {
      queue.first = made;
    } else {
      chunks_[queue.last].next = made;
    }
    queue.last = made;
    return made;
  }

  void drop_first(Queue& queue) {
    const uint32_t gone = queue.first;
    queue.first = chunks_[gone].next;
    if (queue.first == kNone) queue.last = kNone;
    chunks_[gone].next = free_;
    free_ = gone;
    ++free_count_;
  }

  std::vector<Chunk> chunks_;
  std::unique_ptr<uint8_t[]> data_;
  uint32_t free_ = 0;
  uint32_t free_count_ = kChunks;
};

}  // namespace zerio
