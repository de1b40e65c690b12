// Slabs and slots: what a new slab gives to the engine, where things lie in it, and what goes back to the system after a burst.
#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#include "../io/memory.h"
#include "engine.h"

namespace zerio {
namespace {

// How long something must be unused before it is given back, and twice that at most. To give back what is needed again at once
// costs a page fault for each page.
constexpr uint64_t kGiveBackNs = 200 * kMillisecondNs;
// When there is more to give back than one look may: looks follow in such intervals.
constexpr uint64_t kGiveBackOnNs = 10 * kMillisecondNs;
constexpr uint32_t kGiveBackMax = 64;
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
  AssemblyPool::List buffers = assemblies_.reserve(static_cast<uint32_t>(assemblies));
  peers_.reserve(total);
  free_.reserve(total);
  freed_in_batch_.reserve(total);
  deadlines_.reserve(total * kDeadlinesPerPeer + kOwnDeadlines);
  noted_rings_.reserve(total);
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

  slabs_.push_back({base, bytes, first, parts.count, base + parts.rings_offset});
  assemblies_.add(base + parts.assemblies_offset, options_.assembly_bytes, static_cast<uint32_t>(assemblies), std::move(buffers));
  peer_chunks_.push_back(std::move(chunk));
  for (uint32_t i = 0; i < parts.count; ++i) {
    Peer& peer = peer_chunks_.back()[i];
    uint8_t* const shared = base + parts.slots_offset + size_t{i} * layout::kSlotBytes;
    peer.slot = first + i;
    peer.slab = slab;
    peer.deadline = {Deadline::kNowhere, peer.slot, DeadlineKind::State, false};
    peer.heartbeat = {Deadline::kNowhere, peer.slot, DeadlineKind::Heartbeat, false};
    peer.idle = {Deadline::kNowhere, peer.slot, DeadlineKind::Idle, false};
    peer.question = {Deadline::kNowhere, peer.slot, DeadlineKind::Question, false};
    peer.counters = reinterpret_cast<double*>(shared + layout::kSlotCountersOffset);
    peer.ring = SendRing(base + parts.rings_offset + size_t{i} * options_.send_ring_bytes, options_.send_ring_bytes,
                         reinterpret_cast<int32_t*>(shared));
    peers_.push_back(&peer);
  }
  // Higher than all others and in order, they leave the heap a heap.
  for (uint32_t i = 0; i < parts.count; ++i) free_.push_back(first + i);
  io_->add_memory(base + parts.rings_offset, size_t{parts.count} * options_.send_ring_bytes);
  slots_low_reported_ = false;
  slab_retry_ns_ = 0;
  resume_accepts();
  return true;
}

void Engine::slab_refused() {
  // The next shortage asks again: a listener that is neither paused nor waiting for an answer would keep the loop busy.
  slots_low_reported_ = false;
  slab_retry_ns_ = io_->now_ns() + kSlabRetryNs;
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
  std::ranges::pop_heap(free_, std::greater());
  Peer* peer = peers_[free_.back()];
  free_.pop_back();
  Slab& slab = slabs_[peer->slab];
  ++slab.used;
  slab.taken = true;
  peer->begin_life();
  return peer;
}

void Engine::return_slot(uint32_t slot) {
  free_.push_back(slot);
  std::ranges::push_heap(free_, std::greater());
  --slabs_[peers_[slot]->slab].used;
  if (last_slab_is_spare()) give_back_later();
}

// ---- What is given back

void Engine::give_back_later() {
  if (give_back_due_ns_ == kNothingDue) give_back_due_ns_ = io_->now_ns() + kGiveBackNs;
}

void Engine::give_back() {
  const uint64_t now = io_->now_ns();
  if (now < give_back_due_ns_) return;
  if (!giving_back_) {
    look_at_rings();
    assemblies_.look();
    slab_to_go_ = look_at_slabs();
  }
  uint32_t left = kGiveBackMax;
  left -= give_back_rings(left);
  left -= static_cast<uint32_t>(assemblies_.give_pages_back(left));
  giving_back_ = left == 0;
  const bool goes_on = giving_back_ || slab_to_go_ || !noted_rings_.empty() || assemblies_.has_surplus();
  give_back_due_ns_ = goes_on ? now + (giving_back_ ? kGiveBackOnNs : kGiveBackNs) : kNothingDue;
}

void Engine::note_ring(Peer& peer) {
  peer.ring_noted = true;
  peer.ring_quiet = false;
  peer.sends_seen = -1;
  noted_rings_.push_back(peer.slot);
  give_back_later();
}

void Engine::look_at_rings() {
  for (const uint32_t slot : noted_rings_) {
    Peer& peer = *peers_[slot];
    const double sends = peer.counters[layout::kSlotCounterSends];
    // Who cannot be sent to any more ends soon.
    peer.ring_quiet = sends == std::exchange(peer.sends_seen, sends) && !peer.send_failed && peer.ring.empty();
  }
}

// Returns how many. What JavaScript has written and not published is in the dirty list, and nothing else shows it.
uint32_t Engine::give_back_rings(uint32_t most) {
  if (dirty_count() > 0) return 0;
  uint32_t given = 0;
  for (size_t i = noted_rings_.size(); i-- > 0 && given < most;) {
    Peer& peer = *peers_[noted_rings_[i]];
    // One that the system takes nothing of is noted again when it does.
    if (peer.state != State::Free && !peer.send_blocked) {
      const bool quiet = peer.ring_quiet && peer.counters[layout::kSlotCounterSends] == peer.sends_seen && peer.ring.empty();
      if (!quiet) continue;
      memory_discard(peer.ring.main(), peer.ring.main_bytes());
      ++given;
    }
    peer.ring_noted = false;
    noted_rings_[i] = noted_rings_.back();
    noted_rings_.pop_back();
  }
  return given;
}

// Whether the others would still have many free slots without the last slab, so that it is not wanted back at once.
bool Engine::last_slab_is_spare() const {
  const Slab& last = slabs_.back();
  return slabs_.size() > 1 && last.used == 0 && free_.size() - last.count >= last.first / 4;
}

// Returns whether a slab may go at one of the next looks.
bool Engine::look_at_slabs() {
  for (Slab& slab : slabs_) {
    slab.idle = slab.used == 0 && !slab.taken;
    slab.taken = false;
  }
  if (!last_slab_is_spare()) return false;
  if (slabs_.back().idle && has_event_room()) events_.push(Event{EventKind::SlabIdle, kNone});
  return true;
}

bool Engine::remove_slab() {
  const Slab last = slabs_.back();
  const auto in_it = [&](uint32_t slot) { return slot >= last.first; };
  const bool spare = last_slab_is_spare() && last.idle && !last.taken && assemblies_.last_is_free();
  if (!spare) return false;
  io_->remove_slots(last.first, last.rings);
  std::erase_if(noted_rings_, in_it);
  std::erase_if(free_, in_it);
  std::ranges::make_heap(free_, std::greater());
  assemblies_.remove_last();
  peers_.resize(last.first);
  peer_chunks_.pop_back();
  slabs_.pop_back();
  // The addresses go when JavaScript's collector finds no view of them any more, the memory goes now.
  memory_discard(last.base, last.bytes);
  return true;
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
