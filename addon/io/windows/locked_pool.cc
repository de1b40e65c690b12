// Registers and deregisters the regions, and hands out their pieces.
#include "locked_pool.h"

#include <algorithm>
#include <bit>

namespace zerio {

LockedPool::~LockedPool() {
  if (abandoned_) return;
  for (Region& region : regions_) {
    if (region.base != nullptr) remove(region);
  }
}

uint32_t LockedPool::take() {
  while (first_free_ < regions_.size() && regions_[first_free_].free == 0) ++first_free_;
  if (first_free_ == regions_.size() && !add_region()) return kNoPiece;
  Region& region = regions_[first_free_];
  if (region.free == all_free()) has_unused_ = false;
  const auto piece = static_cast<uint32_t>(std::countr_zero(region.free));
  region.free &= region.free - 1;
  return first_free_ * per_region_ + piece;
}

void LockedPool::give_back(uint32_t piece) {
  const uint32_t number = piece / per_region_;
  Region& region = regions_[number];
  region.free |= uint64_t{1} << piece % per_region_;
  first_free_ = std::min(first_free_, number);
  if (region.free != all_free()) return;
  // One unused region stays, so that pieces that come and go do not register one each time.
  if (has_unused_) {
    remove(region);
  } else {
    has_unused_ = true;
  }
}

// Makes the region at first_free_.
bool LockedPool::add_region() {
  const auto place = std::ranges::find(regions_, nullptr, &Region::base);
  if (place == regions_.end()) return false;
  auto* const base = static_cast<uint8_t*>(VirtualAlloc(nullptr, region_bytes(), MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
  if (base == nullptr) return false;
  const rio::BufferId buffer = rio_.register_buffer(reinterpret_cast<char*>(base), static_cast<DWORD>(region_bytes()));
  if (buffer == rio::kInvalidBuffer) {
    // Not to hide why, which freeing could overwrite.
    const int error = WSAGetLastError();
    VirtualFree(base, 0, MEM_RELEASE);
    WSASetLastError(error);
    return false;
  }
  *place = {base, buffer, all_free()};
  first_free_ = static_cast<uint32_t>(place - regions_.begin());
  ++registered_;
  has_unused_ = true;
  return true;
}

void LockedPool::remove(Region& region) {
  rio_.deregister_buffer(region.buffer);
  VirtualFree(region.base, 0, MEM_RELEASE);
  region = {};
  --registered_;
}

}  // namespace zerio
