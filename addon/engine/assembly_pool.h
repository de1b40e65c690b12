// Buffers for frames that straddle receives, handed out last-in first-out so that few pages are ever touched.
#pragma once

#include <cstdint>
#include <vector>

#include "check.h"

namespace zerio {

class AssemblyPool {
 public:
  // More buffers than slots in each slab, so that a batch can always begin: every slot keeps at most one between batches.
  static constexpr uint32_t kSparePerSlab = 16;

  // Makes room for so many in all: the only call that allocates.
  void reserve(size_t count) {
    free_.reserve(count);
    held_.reserve(count);
  }

  void add(uint8_t* first, uint32_t bytes, uint32_t count) {
    for (uint32_t i = count; i-- > 0;) free_.push_back(first + static_cast<size_t>(i) * bytes);
  }

  [[nodiscard]] bool available() const { return !free_.empty(); }

  [[nodiscard]] uint8_t* take() {
    check(!free_.empty(), "a frame found no assembly buffer");
    uint8_t* buffer = free_.back();
    free_.pop_back();
    return buffer;
  }

  void give_back(uint8_t* buffer) { free_.push_back(buffer); }

  // Gives back once the batch that shows this buffer to JavaScript is over.
  void give_back_after_batch(uint8_t* buffer) { held_.push_back(buffer); }

  void end_batch() {
    for (uint8_t* buffer : held_) free_.push_back(buffer);
    held_.clear();
  }

 private:
  friend class EngineAudit;

  std::vector<uint8_t*> free_;
  std::vector<uint8_t*> held_;
};

}  // namespace zerio
