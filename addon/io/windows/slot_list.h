// Slots that something is to be done for, each at most once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace zerio {

class SlotList {
 public:
  // For the slots 0 to count - 1. The only call that allocates.
  void reserve(uint32_t count) {
    // While the list is worked on, a slot may be entered again behind the others.
    slots_.reserve(size_t{count} * 2);
    if (is_in_.size() < count) is_in_.resize(count);
  }
  // The slots from `first` on go.
  void remove(uint32_t first) {
    std::erase_if(slots_, [first](uint32_t slot) { return slot >= first; });
    is_in_.resize(first);
  }

  void enter(uint32_t slot) {
    if (is_in_[slot]) return;
    is_in_[slot] = true;
    slots_.push_back(slot);
  }
  [[nodiscard]] bool empty() const { return slots_.empty(); }

  // Calls `work(slot)` for each slot; those for which it returns false stay.
  template <class Work>
  void work_on(Work&& work) {
    const size_t count = slots_.size();
    for (size_t i = 0; i < count; ++i) {
      const uint32_t slot = slots_[i];
      is_in_[slot] = false;
      if (!work(slot)) enter(slot);
    }
    slots_.erase(slots_.begin(), slots_.begin() + static_cast<std::ptrdiff_t>(count));
  }

 private:
  std::vector<uint32_t> slots_;
  std::vector<bool> is_in_;
};

}  // namespace zerio
