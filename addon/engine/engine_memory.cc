// Slabs and slots: what a new slab gives to the engine, and where things lie in it.
#include <memory>
#include <utility>

#include "../io/memory.h"
#include "engine.h"

namespace zerio {
namespace {

// A slab is tens of megabytes, and JavaScript reports each one that it cannot get.
constexpr uint64_t kSlabRetryNs = 1000 * kMillisecondNs;

}  // namespace

bool Engine::add_slab(uint8_t* base, size_t bytes, const SlabParts& parts) {
  const uint64_t assemblies = uint64_t{parts.count} + AssemblyPool::kSparePerSlab;
  const bool fits = parts.count > 0 && peers_.size() + parts.count <= layout::kSlotsMax &&
                    parts.slots_offset + uint64_t{parts.count} * layout::kSlotBytes <= parts.rings_offset &&
                    parts.rings_offset + uint64_t{parts.count} * options_.send_ring_bytes <= parts.assemblies_offset &&
                    parts.assemblies_offset + assemblies * options_.assembly_bytes <= bytes && parts.slots_offset % 8 == 0;
  if (!fits) return false;
  // What may find no memory comes first, so that a refusal leaves the engine as it was.
  const auto first = static_cast<uint32_t>(peers_.size());
  const auto slab = static_cast<uint32_t>(slabs_.size());
  const uint32_t total = first + parts.count;
  auto chunk = std::make_unique<Peer[]>(parts.count);
  slabs_.reserve(slab + size_t{1});
  peer_chunks_.reserve(slab + size_t{1});
  assemblies_.reserve(total + (slab + size_t{1}) * AssemblyPool::kSparePerSlab);
  peers_.reserve(total);
  free_.reserve(total);
  freed_in_batch_.reserve(total);
  io_->reserve(total);
  if (core_ == nullptr) {
    const uint64_t events_end = layout::kEventsOffset + uint64_t{options_.events_capacity} * layout::kEventBytes;
    const uint64_t arena_end = uint64_t{options_.arena_offset} + options_.arena_bytes;
    if (events_end > options_.arena_offset || arena_end > parts.slots_offset) return false;
    core_ = base;
    words_ = reinterpret_cast<int32_t*>(base);
    counters_ = reinterpret_cast<double*>(base + layout::kEngineCountersOffset);
    events_.set(reinterpret_cast<int32_t*>(base + layout::kEventsOffset), words_, options_.events_capacity);
    arena_ = base + options_.arena_offset;
    memory_use_small_pages(base, bytes);
    arena_direct_ = options_.arena_bytes - io_->keep_ahead(arena_, options_.arena_bytes);
  } else {
    memory_use_small_pages(base, bytes);
  }

  slabs_.push_back({base, bytes, first, parts.count});
  assemblies_.add(base + parts.assemblies_offset, options_.assembly_bytes, static_cast<uint32_t>(assemblies));
  peer_chunks_.push_back(std::move(chunk));
  for (uint32_t i = 0; i < parts.count; ++i) {
    Peer& peer = peer_chunks_.back()[i];
    uint8_t* const shared = base + parts.slots_offset + size_t{i} * layout::kSlotBytes;
    peer.slot = first + i;
    peer.slab = slab;
    peer.counters = reinterpret_cast<double*>(shared + layout::kSlotCountersOffset);
    peer.ring = SendRing(base + parts.rings_offset + size_t{i} * options_.send_ring_bytes, options_.send_ring_bytes,
                         reinterpret_cast<int32_t*>(shared));
    peers_.push_back(&peer);
  }
  for (uint32_t i = parts.count; i-- > 0;) free_.push_back(first + i);
  io_->add_memory(base + parts.rings_offset, size_t{parts.count} * options_.send_ring_bytes);
  slots_low_reported_ = false;
  resume_accepts();
  return true;
}

void Engine::slab_refused() {
  // The next shortage asks again: a listener that is neither paused nor waiting for an answer would keep the loop busy.
  slots_low_reported_ = false;
  // Places that have become free meanwhile are not announced again.
  if (!free_.empty()) return;
  for (uint32_t server = 0; server < servers_.size(); ++server) {
    if (!servers_[server].listening) continue;
    pause_accept(server, kSlabRetryNs);
    servers_[server].wants_slot = true;
  }
}

void Engine::resume_accepts() {
  for (uint32_t server = 0; server < servers_.size(); ++server) {
    if (servers_[server].wants_slot) resume_accept(server);
  }
}

Peer* Engine::take_slot() {
  if (free_.empty()) return nullptr;
  Peer* peer = peers_[free_.back()];
  free_.pop_back();
  peer->begin_life();
  return peer;
}

Engine::Location Engine::locate(const void* at) const {
  const auto* byte = static_cast<const uint8_t*>(at);
  for (uint32_t slab = 0; slab < slabs_.size(); ++slab) {
    if (byte >= slabs_[slab].base && byte <= slabs_[slab].base + slabs_[slab].bytes) {
      return {slab, static_cast<uint32_t>(byte - slabs_[slab].base)};
    }
  }
  return {0, 0};
}

void Engine::addresses(uint32_t slot, Address& local, Address& remote) const {
  if (slot < peers_.size() && peers_[slot]->state != State::Free) io_->addresses(slot, local, remote);
}

uint8_t* Engine::slab_range(uint32_t slab, uint64_t offset, uint64_t bytes) const {
  const bool inside = slab < slabs_.size() && offset <= slabs_[slab].bytes && bytes <= slabs_[slab].bytes - offset;
  return inside ? slabs_[slab].base + offset : nullptr;
}

}  // namespace zerio
