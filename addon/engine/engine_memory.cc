// Slabs and slots: what a new slab gives to the engine, where things lie in it, and what the system gets back after a burst.
#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#include "../io/memory.h"
#include "engine.h"

namespace zerio {
namespace {

// Memory is given back when it was not used for so long, or for up to twice as long. Less would cost a page fault for each page
// that is needed again at once.
constexpr uint64_t kGiveBackNs = 200 * kMillisecondNs;
// The interval of looks when there is more to give back than one look may.
constexpr uint64_t kGiveBackOnNs = 10 * kMillisecondNs;
constexpr uint32_t kGiveBackMax = 64;
// When JavaScript is asked for a slab again. A slab is tens of megabytes, and JavaScript reports each one that it cannot get.
constexpr uint64_t kSlabRetryNs = 1000 * kMillisecondNs;

uint64_t assemblies_of(const SlabParts& parts) { return uint64_t{parts.count} + AssemblyPool::kSparePerSlab; }

}  // namespace

bool Engine::add_slab(uint8_t* base, size_t bytes, const SlabParts& parts) {
  const uint64_t assemblies = assemblies_of(parts);
  if (!fits(bytes, parts)) return false;
  // Everything that allocates comes first, so that a refusal leaves the engine as it was.
  const auto first = static_cast<uint32_t>(connections_.size());
  const auto slab = static_cast<uint32_t>(slabs_.size());
  const uint32_t total = first + parts.count;
  auto chunk = std::make_unique<Connection[]>(parts.count);
  slabs_.reserve(slab + size_t{1});
  connection_chunks_.reserve(slab + size_t{1});
  AssemblyPool::List buffers = assemblies_.reserve(static_cast<uint32_t>(assemblies));
  connections_.reserve(total);
  free_.reserve(total);
  freed_in_batch_.reserve(total);
  deadlines_.reserve(total * kDeadlinesPerConnection + kOwnDeadlines);
  noted_rings_.reserve(total);
  io_->reserve(total);
  memory_use_small_pages(base, bytes);
  if (core_ == nullptr) set_core(base);
  slabs_.push_back({base, bytes, first, parts.count});
  assemblies_.add(base + parts.assemblies_offset, options_.assembly_bytes, static_cast<uint32_t>(assemblies), std::move(buffers));
  connection_chunks_.push_back(std::move(chunk));
  make_connections(slab, parts);
  // Higher than all others and in order, they leave the heap a heap.
  for (uint32_t i = 0; i < parts.count; ++i) free_.push_back(first + i);
  slots_low_reported_ = false;
  slab_retry_ns_ = 0;
  resume_accepts();
  return true;
}

// Whether the parts lie behind each other in a slab of `bytes`, the core memory in front of them in the first one.
bool Engine::fits(size_t bytes, const SlabParts& parts) const {
  const uint64_t slots_end = parts.slots_offset + uint64_t{parts.count} * layout::kSlotBytes;
  const uint64_t rings_end = parts.rings_offset + uint64_t{parts.count} * options_.send_ring_bytes;
  const uint64_t assemblies_end = parts.assemblies_offset + assemblies_of(parts) * options_.assembly_bytes;
  const uint64_t events_end = layout::kEventsOffset + uint64_t{options_.events_capacity} * layout::kEventBytes;
  const uint64_t arena_end = uint64_t{options_.arena_offset} + options_.arena_bytes;
  const bool core_fits = core_ != nullptr || (events_end <= options_.arena_offset && arena_end <= parts.slots_offset);
  return parts.count > 0 && connections_.size() + parts.count <= layout::kSlotsMax && slots_end <= parts.rings_offset &&
         rings_end <= parts.assemblies_offset && assemblies_end <= bytes && parts.slots_offset % 8 == 0 && core_fits;
}

void Engine::set_core(uint8_t* base) {
  core_ = base;
  words_ = reinterpret_cast<int32_t*>(base);
  counters_ = reinterpret_cast<double*>(base + layout::kEngineCountersOffset);
  events_.set(reinterpret_cast<int32_t*>(base + layout::kEventsOffset), words_, options_.events_capacity);
  arena_ = base + options_.arena_offset;
  arena_direct_ = options_.arena_bytes - io_->keep_ahead(arena_, options_.arena_bytes);
}

void Engine::make_connections(uint32_t slab, const SlabParts& parts) {
  uint8_t* const base = slabs_[slab].base;
  const uint32_t first = slabs_[slab].first;
  for (uint32_t i = 0; i < parts.count; ++i) {
    Connection& connection = connection_chunks_[slab][i];
    uint8_t* const shared = base + parts.slots_offset + size_t{i} * layout::kSlotBytes;
    connection.slot = first + i;
    connection.slab = slab;
    connection.deadline = {Deadline::kNowhere, connection.slot, DeadlineKind::State, false};
    connection.heartbeat = {Deadline::kNowhere, connection.slot, DeadlineKind::Heartbeat, false};
    connection.idle = {Deadline::kNowhere, connection.slot, DeadlineKind::Idle, false};
    connection.question = {Deadline::kNowhere, connection.slot, DeadlineKind::Question, false};
    connection.acknowledgement = {Deadline::kNowhere, connection.slot, DeadlineKind::Acknowledgement, false};
    connection.counters = reinterpret_cast<double*>(shared + layout::kSlotCountersOffset);
    connection.ring = SendRing(base + parts.rings_offset + size_t{i} * options_.send_ring_bytes, options_.send_ring_bytes,
                               reinterpret_cast<int32_t*>(shared));
    connections_.push_back(&connection);
  }
}

void Engine::slab_refused() {
  // The next shortage asks again. Until then listeners are paused, because one that is ready would keep the loop busy.
  slots_low_reported_ = false;
  slab_retry_ns_ = io_->now_ns() + kSlabRetryNs;
  // Slots that have become free meanwhile are not announced again.
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

Connection* Engine::take_slot() {
  if (free_.empty()) return nullptr;
  std::ranges::pop_heap(free_, std::greater());
  Connection* connection = connections_[free_.back()];
  free_.pop_back();
  Slab& slab = slabs_[connection->slab];
  ++slab.used;
  slab.taken = true;
  connection->begin_life();
  return connection;
}

void Engine::return_slot(uint32_t slot) {
  free_.push_back(slot);
  std::ranges::push_heap(free_, std::greater());
  --slabs_[connections_[slot]->slab].used;
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

void Engine::note_ring(Connection& connection) {
  connection.ring_noted = true;
  connection.ring_quiet = false;
  connection.sends_seen = -1;
  noted_rings_.push_back(connection.slot);
  give_back_later();
}

void Engine::look_at_rings() {
  for (const uint32_t slot : noted_rings_) {
    Connection& connection = *connections_[slot];
    const double sends = connection.counters[layout::kSlotCounterSends];
    // A connection whose sends fail ends soon, and its ring is given back then.
    connection.ring_quiet =
        sends == std::exchange(connection.sends_seen, sends) && !connection.life.send_failed && connection.ring.keeps_nothing();
  }
}

// Returns how many it gave back; none while rings wait for a flush, because JavaScript may have written bytes into them that
// it has not published yet.
uint32_t Engine::give_back_rings(uint32_t most) {
  if (dirty_count() > 0 || (goes_on() & layout::kGoesOnRings) != 0) return 0;
  uint32_t given = 0;
  for (size_t i = noted_rings_.size(); i-- > 0 && given < most;) {
    Connection& connection = *connections_[noted_rings_[i]];
    // A ring whose send is blocked is noted again by the next send.
    if (connection.life.state != State::Free && !connection.life.send_blocked) {
      const bool quiet = connection.ring_quiet && connection.counters[layout::kSlotCounterSends] == connection.sends_seen &&
                         connection.ring.keeps_nothing();
      if (!quiet) continue;
      memory_discard(connection.ring.main(), connection.ring.main_bytes());
      ++given;
    }
    connection.ring_noted = false;
    noted_rings_[i] = noted_rings_.back();
    noted_rings_.pop_back();
  }
  return given;
}

// Whether the other slabs have so many free slots that the last one would not be needed again at once.
bool Engine::last_slab_is_spare() const {
  const Slab& last = slabs_.back();
  return slabs_.size() > 1 && last.used == 0 && free_.size() - last.count >= last.first / 4;
}

// Returns whether a slab may be given back at one of the next looks.
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
  io_->remove_slots(last.first);
  std::erase_if(noted_rings_, in_it);
  std::erase_if(free_, in_it);
  std::ranges::make_heap(free_, std::greater());
  assemblies_.remove_last();
  connections_.resize(last.first);
  connection_chunks_.pop_back();
  slabs_.pop_back();
  // The memory is given back now; the addresses, when JavaScript's collector finds no view of them any more.
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
  if (slot < connections_.size() && connections_[slot]->life.state != State::Free &&
      connections_[slot]->life.state != State::Suspended)
    io_->addresses(slot, local, remote);
}

TcpStatus Engine::tcp_status(uint32_t slot) const {
  TcpStatus status;
  if (slot < connections_.size() && receives(connections_[slot]->life.state)) io_->tcp_status(slot, status);
  return status;
}

uint8_t* Engine::slab_range(uint32_t slab, uint64_t offset, uint64_t bytes) const {
  const bool inside = slab < slabs_.size() && offset <= slabs_[slab].bytes && bytes <= slabs_[slab].bytes - offset;
  return inside ? slabs_[slab].base + offset : nullptr;
}

}  // namespace zerio
