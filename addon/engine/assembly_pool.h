// Buffers for frames that straddle receives. Those that were used before are handed out first, the last one first, so that few
// pages are ever touched. What a burst has touched beyond that is given back to the system when it was not needed for a while.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "../io/memory.h"
#include "check.h"

namespace zerio {

class AssemblyPool {
 public:
  // More buffers than slots in each slab, so that a batch can always begin: every slot keeps at most one between batches.
  static constexpr uint32_t kSparePerSlab = 16;
  using List = std::vector<uint8_t*>;

  // So many bytes of used buffers are kept for the frames to come.
  explicit AssemblyPool(uint32_t kept_bytes) : kept_bytes_(kept_bytes) {}

  // Makes room for `count` more buffers: the only call that allocates. The caller passes the list on to add().
  [[nodiscard]] List reserve(uint32_t count) {
    used_.reserve(total_ + count);
    held_.reserve(total_ + count);
    regions_.reserve(regions_.size() + 1);
    List untouched;
    untouched.reserve(count);
    return untouched;
  }

  void add(uint8_t* first, uint32_t bytes, uint32_t count, List untouched) {
    for (uint32_t i = count; i-- > 0;) untouched.push_back(first + static_cast<size_t>(i) * bytes);
    regions_.push_back({first, first + static_cast<size_t>(count) * bytes, count, std::move(untouched)});
    bytes_ = bytes;
    kept_ = kept_bytes_ / bytes;
    total_ += count;
    untouched_ += count;
  }

  // A receive takes one for a frame whose header came in two parts, and one for the frame that it ends in.
  static constexpr size_t kPerReceive = 2;
  [[nodiscard]] bool available() const { return used_.size() + untouched_ >= kPerReceive; }

  [[nodiscard]] uint8_t* take() {
    if (used_.empty()) return take_untouched();
    uint8_t* buffer = used_.back();
    used_.pop_back();
    least_ = std::min(least_, used_.size());
    return buffer;
  }

  void give_back(uint8_t* buffer) { used_.push_back(buffer); }

  // Gives the buffer back when the batch that shows it to JavaScript is over.
  void give_back_after_batch(uint8_t* buffer) { held_.push_back(buffer); }

  void end_batch() {
    used_.insert(used_.end(), held_.begin(), held_.end());
    held_.clear();
  }

  // Whether more buffers are used than are kept: then look() should be called now and then.
  [[nodiscard]] bool has_surplus() const { return used_.size() + held_.size() > kept_; }

  // Finds how many of the used buffers were not needed since the last look.
  void look() {
    surplus_ = least_ > kept_ ? least_ - kept_ : 0;
    least_ = used_.size();
  }

  // Gives the pages of these back to the system, of at most `most` buffers at a time. Returns the number of buffers.
  size_t give_pages_back(size_t most) {
    const size_t count = std::min({surplus_, most, used_.size()});
    for (size_t i = 0; i < count; ++i) {
      memory_discard(used_[i], bytes_);
      region_of(used_[i]).untouched.push_back(used_[i]);
    }
    used_.erase(used_.begin(), used_.begin() + static_cast<std::ptrdiff_t>(count));
    untouched_ += count;
    surplus_ -= count;
    least_ = std::min(least_, used_.size());
    return count;
  }

  // Whether none of the last slab's buffers is in use.
  [[nodiscard]] bool last_is_free() const {
    const Region& last = regions_.back();
    const auto used = std::ranges::count_if(used_, [&](const uint8_t* buffer) { return last.has(buffer); });
    return last.untouched.size() + static_cast<size_t>(used) == last.count;
  }

  // Forgets the last slab's buffers, of which none may be in use.
  void remove_last() {
    const Region& last = regions_.back();
    std::erase_if(used_, [&](const uint8_t* buffer) { return last.has(buffer); });
    least_ = std::min(least_, used_.size());
    untouched_ -= last.untouched.size();
    total_ -= last.count;
    regions_.pop_back();
  }

 private:
  friend class EngineAudit;

  // The buffers of one slab.
  struct Region {
    uint8_t* begin;
    uint8_t* end;
    uint32_t count;
    List untouched;  // those that cost no memory

    [[nodiscard]] bool has(const uint8_t* buffer) const { return buffer >= begin && buffer < end; }
  };

  // From the first slab that has one, so that the last ones run empty.
  uint8_t* take_untouched() {
    least_ = 0;
    const auto region = std::ranges::find_if(regions_, [](const Region& one) { return !one.untouched.empty(); });
    check(region != regions_.end(), "a frame found no assembly buffer");
    uint8_t* buffer = region->untouched.back();
    region->untouched.pop_back();
    --untouched_;
    return buffer;
  }

  Region& region_of(const uint8_t* buffer) {
    return *std::ranges::find_if(regions_, [buffer](const Region& one) { return one.has(buffer); });
  }

  std::vector<Region> regions_;
  List used_;
  List held_;
  size_t least_ = 0;    // the fewest used ones that were there since the last look
  size_t surplus_ = 0;  // of the used ones, the first
  size_t untouched_ = 0;
  size_t total_ = 0;
  size_t kept_ = 0;
  uint32_t kept_bytes_;
  uint32_t bytes_ = 0;
};

}  // namespace zerio
