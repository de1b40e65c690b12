// The memory that the kernel receives into ahead of poll(): a ring of provided buffers over a part of the receive arena.
#pragma once

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>

#include "uring_queue.h"

namespace zerio {

class ProvidedBuffers {
 public:
  static constexpr uint16_t kGroup = 0;

  // Where the kernel fills a buffer receive by receive (6.12), a few large ones are best. Elsewhere each receive takes a whole
  // one. Returns 0 or the errno value of a kernel without buffer rings (before 5.19).
  int set_up(const UringQueue& queue, bool incremental) {
    pages_ = Mapping::make(-1, 0, kCountMax * sizeof(uring::Buffer));
    if (!pages_.open()) return ENOMEM;
    entries_ = reinterpret_cast<uring::Buffer*>(pages_.at(0));
    if (incremental && attempt(queue, kIncrementalCount, uring::kBuffersIncremental) == 0) {
      incremental_ = true;
      return 0;
    }
    return attempt(queue, kCountMax, 0);
  }

  void set_memory(uint8_t* base, uint32_t bytes) {
    base_ = base;
    buffer_bytes_ = bytes / count_;
    for (uint32_t id = 0; id < count_; ++id) full_[full_count_++] = static_cast<uint16_t>(id);
    give_back();
  }

  // The bytes that a completion has brought; they stay until give_back().
  [[nodiscard]] uint8_t* take(const uring::Cqe& cqe) {
    const auto id = static_cast<uint16_t>(cqe.flags >> uring::kCqeBufferShift);
    uint8_t* const data = base_ + size_t{id} * buffer_bytes_ + used_[id];
    used_[id] += cqe.result > 0 ? static_cast<uint32_t>(cqe.result) : 0;
    if (!incremental_ || (cqe.flags & uring::kCqeBufferMore) == 0) full_[full_count_++] = id;
    return data;
  }

  // Everything that take() has returned has been read: the buffers that are full go back to the kernel.
  void give_back() {
    if (full_count_ == 0) return;
    for (uint32_t i = 0; i < full_count_; ++i) {
      const uint16_t id = full_[i];
      const auto at = static_cast<uint16_t>(tail_ & (count_ - 1));
      uring::Buffer& entry = entries_[at];
      // Field by field: the ring's tail lies in the first entry.
      entry.address = reinterpret_cast<uint64_t>(base_) + uint64_t{id} * buffer_bytes_;
      entry.length = buffer_bytes_;
      entry.id = id;
      used_[id] = 0;
      ++tail_;
    }
    full_count_ = 0;
    std::atomic_ref<uint16_t>(entries_[0].tail).store(tail_, std::memory_order_release);
  }

 private:
  static constexpr uint32_t kIncrementalCount = 4;
  static constexpr uint32_t kCountMax = 64;

  int attempt(const UringQueue& queue, uint32_t count, uint16_t flags) {
    uring::BufferRegistration registration = {};
    registration.ring_address = reinterpret_cast<uint64_t>(pages_.at(0));
    registration.ring_entries = count;
    registration.group = kGroup;
    registration.flags = flags;
    const int result = queue.control(uring::kRegisterBufferRing, &registration, 1);
    if (result == 0) count_ = count;
    return -result;
  }

  Mapping pages_;
  uring::Buffer* entries_ = nullptr;
  uint8_t* base_ = nullptr;
  uint32_t buffer_bytes_ = 0;
  uint32_t count_ = 0;
  bool incremental_ = false;
  uint16_t tail_ = 0;
  uint32_t full_count_ = 0;
  std::array<uint16_t, kCountMax> full_ = {};  // and not given back
  std::array<uint32_t, kCountMax> used_ = {};  // bytes of each buffer that the kernel has filled
};

}  // namespace zerio
