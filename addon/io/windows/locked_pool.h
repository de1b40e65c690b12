// Memory that Registered I/O reads and writes: pieces of one size, out of regions that are registered when they are needed.
//
// The system locks what is registered into physical memory. So a region is registered when its first piece is taken, and
// deregistered when its last one is given back and another region is unused, too.
#pragma once

#include <winsock2.h>

#include <cstdint>
#include <vector>

#include "rio_abi.h"

namespace zerio {

class LockedPool {
 public:
  static constexpr uint32_t kNoPiece = 0xffffffff;
  static constexpr uint32_t kPiecesPerRegionMax = 64;

  LockedPool(const rio::Functions& functions, uint32_t piece_bytes, uint32_t pieces_per_region, uint32_t regions_max)
      : rio_(functions), piece_bytes_(piece_bytes), per_region_(pieces_per_region), regions_(regions_max) {}
  ~LockedPool();
  LockedPool(const LockedPool&) = delete;
  LockedPool& operator=(const LockedPool&) = delete;

  // The number of a piece, or kNoPiece when the system locks no more or all regions are in use. Allocates nothing else.
  [[nodiscard]] uint32_t take();
  // No request uses the piece any more.
  void give_back(uint32_t piece);
  // The system may still use pieces, so that no region is freed, ever.
  void abandon() { abandoned_ = true; }

  [[nodiscard]] uint8_t* at(uint32_t piece) const { return region_of(piece).base + size_t{offset(piece)}; }
  [[nodiscard]] rio::BufferId buffer(uint32_t piece) const { return region_of(piece).buffer; }
  [[nodiscard]] ULONG offset(uint32_t piece) const { return piece % per_region_ * piece_bytes_; }
  [[nodiscard]] uint64_t locked_bytes() const { return uint64_t{registered_} * region_bytes(); }

 private:
  struct Region {
    uint8_t* base = nullptr;  // nullptr: not registered
    rio::BufferId buffer = rio::kInvalidBuffer;
    uint64_t free = 0;  // a bit for each piece
  };

  [[nodiscard]] const Region& region_of(uint32_t piece) const { return regions_[piece / per_region_]; }
  [[nodiscard]] size_t region_bytes() const { return size_t{piece_bytes_} * per_region_; }
  [[nodiscard]] uint64_t all_free() const { return ~uint64_t{0} >> (kPiecesPerRegionMax - per_region_); }
  [[nodiscard]] bool add_region();
  void remove(Region& region);

  const rio::Functions& rio_;
  uint32_t piece_bytes_;
  uint32_t per_region_;
  uint32_t registered_ = 0;
  bool has_unused_ = false;  // a registered region whose pieces are all free
  uint32_t first_free_ = 0;  // no region below it has a free piece
  bool abandoned_ = false;
  std::vector<Region> regions_;
};

}  // namespace zerio
