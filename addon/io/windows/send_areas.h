// Where the bytes of Registered I/O's sends lie from RIOSend until the other side has acknowledged them.
//
// An area is filled from its front, send by send, and is empty again when all sends from it have completed. Each connection has
// four small areas of its own, its blocks, so that short messages never wait for other connections. For more it takes chunks,
// which all connections of an engine share, and of which each may hold a few.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "locked_pool.h"

namespace zerio {

// The areas of one connection. Its blocks have the numbers 0 to kBlocks - 1, the chunk n has the number kBlocks + n.
struct SendAreas {
  static constexpr uint32_t kBlocks = 4;
  static constexpr uint32_t kBlockBytes = 1024;
  static constexpr uint32_t kChunksMax = 16;

  struct Area {
    uint16_t used = 0;     // bytes from the front
    uint16_t pending = 0;  // sends that have not completed
  };

  std::array<Area, kBlocks> blocks = {};
  uint32_t current = 0;  // the area that is being filled
  uint32_t chunks = 0;   // how many this connection holds
};

// The chunks, as areas.
class SendChunks {
 public:
  static constexpr uint32_t kBytes = 16384;
  static constexpr uint32_t kPerRegion = 64;
  static constexpr uint32_t kRegionsMax = 48;

  explicit SendChunks(LockedPool& pool) : pool_(pool) {}

  [[nodiscard]] SendAreas::Area& area(SendAreas& of, uint32_t number) {
    return number < SendAreas::kBlocks ? of.blocks[number] : areas_[number - SendAreas::kBlocks];
  }
  [[nodiscard]] uint32_t room(SendAreas& of) {
    return (of.current < SendAreas::kBlocks ? SendAreas::kBlockBytes : kBytes) - area(of, of.current).used;
  }

  // Chooses the area for the next bytes, of which there are `wanted`. False when there is no room for any of them.
  [[nodiscard]] bool open(SendAreas& of, size_t wanted) {
    if (room(of) >= wanted) return true;
    if (wanted <= SendAreas::kBlockBytes && open_block(of)) return true;
    // The rest of a chunk is filled first. That of a block is too little to begin a long send with, if there is a chunk for it.
    if (of.current >= SendAreas::kBlocks && room(of) > 0) return true;
    return open_chunk(of) || room(of) > 0 || open_block(of);
  }

  // The next `bytes` of the current area are sent from now on.
  void post(SendAreas& of, uint32_t bytes) {
    Area& it = area(of, of.current);
    it.used = static_cast<uint16_t>(it.used + bytes);
    ++it.pending;
  }

  // One send from this area has completed, or was refused.
  void complete(SendAreas& of, uint32_t number) {
    Area& it = area(of, number);
    if (--it.pending > 0) return;
    it.used = 0;
    if (number < SendAreas::kBlocks) return;
    pool_.give_back(number - SendAreas::kBlocks);
    --of.chunks;
    if (of.current == number) of.current = 0;
  }

 private:
  using Area = SendAreas::Area;

  [[nodiscard]] static bool open_block(SendAreas& of) {
    const auto empty = std::ranges::find(of.blocks, 0, &Area::used);
    if (empty == of.blocks.end()) return false;
    of.current = static_cast<uint32_t>(empty - of.blocks.begin());
    return true;
  }

  [[nodiscard]] bool open_chunk(SendAreas& of) {
    if (of.chunks == SendAreas::kChunksMax) return false;
    const uint32_t chunk = pool_.take();
    if (chunk == LockedPool::kNoPiece) return false;
    ++of.chunks;
    of.current = SendAreas::kBlocks + chunk;
    areas_[chunk] = {};
    return true;
  }

  LockedPool& pool_;
  std::array<Area, size_t{kPerRegion}* kRegionsMax> areas_ = {};
};

}  // namespace zerio
