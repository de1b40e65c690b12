// Registers and deregisters the regions, and hands out their pieces.
#include "locked_pool.h"

#include <algorithm>
#include <new>

namespace zerio {

LockedPool::~LockedPool() {
  if (abandoned_) return;
  for (Region& region : regions_) {
    if (region.base != nullptr) remove(region);
  }
}

uint32_t LockedPool::take() {
  while (first_free_ < regions_.size() && regions_[first_free_].free_count == 0) ++first_free_;
  if (first_free_ == regions_.size() && !add_region()) return kNoPiece;
  Region& region = regions_[first_free_];
  if (region.free_count == per_region_) --unused_;
  return first_free_ * per_region_ + region.free[--region.free_count];
}

void LockedPool::give_back(uint32_t piece) {
  const uint32_t number = piece / per_region_;
  Region& region = regions_[number];
  region.free[region.free_count++] = static_cast<uint16_t>(piece % per_region_);
  first_free_ = std::min(first_free_, number);
  if (region.free_count < per_region_) return;
  // One unused region stays, so that pieces that come and go do not register one each time.
  if (unused_ == 0) {
    unused_ = 1;
  } else {
    remove(region);
  }
}

// Makes the region at first_free_.
bool LockedPool::add_region() {
  if (registered_ == regions_max_) return false;
  auto place = std::ranges::find(regions_, nullptr, &Region::base);
  if (place == regions_.end()) {
    try {
      regions_.emplace_back();
    } catch (const std::bad_alloc&) {
      return false;
    }
    place = regions_.end() - 1;
  }
  if (!enter(*place)) return false;
  first_free_ = static_cast<uint32_t>(place - regions_.begin());
  return true;
}

bool LockedPool::enter(Region& region) {
  if (region.free == nullptr) region.free.reset(new (std::nothrow) uint16_t[per_region_]);
  if (region.free == nullptr) return false;
  auto* const base = static_cast<uint8_t*>(VirtualAlloc(nullptr, region_bytes(), MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
  if (base == nullptr) return false;
  region.buffer = rio_.register_buffer(reinterpret_cast<char*>(base), static_cast<DWORD>(region_bytes()));
  if (region.buffer == rio::kInvalidBuffer) {
    VirtualFree(base, 0, MEM_RELEASE);
    return false;
  }
  region.base = base;
  for (uint32_t i = 0; i < per_region_; ++i) region.free[i] = static_cast<uint16_t>(per_region_ - 1 - i);
  region.free_count = per_region_;
  ++registered_;
  ++unused_;
  return true;
}

void LockedPool::remove(Region& region) {
  rio_.deregister_buffer(region.buffer);
  VirtualFree(region.base, 0, MEM_RELEASE);
  region.base = nullptr;
  region.free_count = 0;
  --registered_;
}

}  // namespace zerio
