// The questions of the audit.
#include "audit.h"

#include <algorithm>
#include <functional>

#include "../../addon/engine/engine.h"
#include "check.h"

namespace zerio {

using simulation::require;
using simulation::require_equal;

void EngineAudit::check(const Engine& engine, const std::vector<uint8_t*>& assemblies, const std::vector<bool>& closing) {
  // Slots: free, freed in this batch, alive, or waiting for the system to let go.
  std::vector<uint32_t> owners(engine.peers_.size(), 0);
  for (const uint32_t slot : engine.free_) ++owners[slot];
  for (const uint32_t slot : engine.freed_in_batch_) ++owners[slot];
  for (const Peer* peer : engine.peers_) {
    if (peer->state != State::Free) ++owners[peer->slot];
    if (peer->state == State::Free && closing[peer->slot]) ++owners[peer->slot];
  }
  for (const uint32_t count : owners) require_equal(count, 1, "each slot has exactly one owner");

  // Assembly buffers: in the pool, shown to JavaScript until the batch ends, or in use by a reader.
  std::vector<uint8_t*> buffers = engine.assemblies_.used_;
  size_t untouched = 0;
  for (const AssemblyPool::Region& region : engine.assemblies_.regions_) {
    buffers.insert(buffers.end(), region.untouched.begin(), region.untouched.end());
    untouched += region.untouched.size();
  }
  require_equal(engine.assemblies_.untouched_, untouched, "untouched assembly buffers are counted");
  buffers.insert(buffers.end(), engine.assemblies_.held_.begin(), engine.assemblies_.held_.end());
  for (const Peer* peer : engine.peers_) {
    if (peer->reader.assembly() != nullptr) buffers.push_back(peer->reader.assembly());
  }
  std::sort(buffers.begin(), buffers.end());
  require(buffers == assemblies, "each assembly buffer has exactly one owner");

  // Slabs: how many of their slots are in use, and rings that are looked at later.
  std::vector<uint32_t> used(engine.slabs_.size(), 0);
  for (const Peer* peer : engine.peers_) ++used[peer->slab];
  for (const uint32_t slot : engine.free_) --used[engine.peers_[slot]->slab];
  for (size_t slab = 0; slab < used.size(); ++slab) {
    require_equal(engine.slabs_[slab].used, used[slab], "the slots of a slab that are in use are counted");
  }
  require(std::is_heap(engine.free_.begin(), engine.free_.end(), std::greater<>()), "the lowest free slot is taken next");
  std::vector<uint32_t> noted(engine.peers_.size(), 0);
  for (const uint32_t slot : engine.noted_rings_) ++noted[slot];
  for (const Peer* peer : engine.peers_) {
    require_equal(noted[peer->slot], peer->ring_noted ? 1 : 0, "a ring that held much is in the list once");
  }

  // Deadlines: a heap of exactly those that are set.
  const auto& heap = engine.deadlines_.heap_;
  for (uint32_t place = 0; place < heap.size(); ++place) {
    require_equal(heap[place].deadline->place, place, "a deadline knows its place");
    if (place == 0) continue;
    require(heap[(place - 1) / Deadlines::kChildren].due_ns <= heap[place].due_ns, "no deadline is behind a later one");
  }
  uint64_t first_due_ns = UINT64_MAX;
  size_t deadlines = 0;
  const auto count_deadline = [&](const Deadline& deadline, uint32_t slot, DeadlineKind kind) {
    if (!deadline.is_set()) return false;
    ++deadlines;
    require(deadline.place < heap.size() && heap[deadline.place].deadline == &deadline, "a deadline is at its place");
    require(deadline.slot == slot && deadline.kind == kind, "a deadline knows whose it is");
    first_due_ns = std::min(first_due_ns, heap[deadline.place].due_ns);
    return true;
  };
  size_t held = 0;
  std::vector<Engine::Server> servers(engine.servers_.size(), Engine::Server(SipKey{}));
  for (const Peer* peer : engine.peers_) {
    const bool waits = peer->state != State::Free && (peer->state != State::Open || peer->send_failed);
    const bool on_probation = peer->state == State::Open && peer->of_server && !peer->send_failed;
    const bool timed = count_deadline(peer->deadline, peer->slot, DeadlineKind::State);
    require(timed == waits || on_probation, "a connection has a deadline exactly while it waits for something");
    const bool native = peer->protocol == Protocol::Native;
    const bool asks = peer->connected && peer->heartbeat_ms > 0 && native;
    require(count_deadline(peer->heartbeat, peer->slot, DeadlineKind::Heartbeat) == asks, "a native peer has its heartbeat");
    const bool may_idle = peer->connected && peer->idle_timeout_ms > 0;
    require(count_deadline(peer->idle, peer->slot, DeadlineKind::Idle) == may_idle, "an idle limit is looked at");
    const bool questioned = count_deadline(peer->question, peer->slot, DeadlineKind::Question);
    require(!questioned || (peer->connected && native && peer->of_server), "a server's native peer is questioned");
    held += peer->held_bytes;
    require(peer->connected == (peer->state == State::Open), "a connection is connected while it is open");
    const bool counted = peer->state != State::Free || closing[peer->slot];
    if (!peer->of_server || !counted) continue;
    Engine::Server& server = servers[peer->server];
    ++server.slots;
    const bool ended = peer->state == State::Draining || peer->state == State::Lingering;
    if (peer->state == State::Greeting) ++server.handshakes;
    if (ended) ++server.ended;
    const bool is_newcomer = peer->place == Place::Silent || peer->place == Place::Speaking;
    require(is_newcomer == (peer->state == State::Greeting), "newcomers have the place of one");
    require(peer->place != Place::Lingering || peer->state == State::Lingering, "who lingers has the place of one");
    require(peer->state != State::Lingering || peer->place == Place::Lingering, "who lingers makes place");
    require(peer->place != Place::Draining || peer->state == State::Draining, "who drains has the place of one");
    require((peer->place == Place::Peer) == (peer->state == State::Open), "peers have the place of one");
    if (!peer->connected) continue;
    ++server.peers;
    const auto found = engine.servers_[peer->server].ids.find(peer->id);
    require(found != engine.servers_[peer->server].ids.end() && found->second == peer->slot, "each peer is found by its id");
  }
  require_equal(engine.held_bytes_, held, "held bytes are counted");
  uint64_t retry_ns = UINT64_MAX;
  uint32_t deferred = 0;
  for (const Peer* peer = engine.deferred_.first(); peer != nullptr; peer = engine.deferred_.next(*peer)) {
    require(peer->deferred && peer->state != State::Free, "an end that is to be carried out is that of a connection");
    require(++deferred <= engine.peers_.size(), "the list of ends that are to be carried out ends");
  }
  for (const Peer* peer : engine.peers_) deferred -= peer->deferred ? 1 : 0;
  require_equal(deferred, 0, "the list of ends has all that are to be carried out");
  uint32_t dismissals = 0;
  uint32_t unreported = 0;
  for (uint32_t i = 0; i < servers.size(); ++i) {
    const Engine::Server& server = engine.servers_[i];
    require_equal(server.slots, servers[i].slots, "a server's connections are counted");
    require_equal(server.handshakes, servers[i].handshakes, "a server's handshakes are counted");
    require_equal(server.peers, servers[i].peers, "a server's peers are counted");
    require_equal(server.ended, servers[i].ended, "a server's ended connections are counted");
    const uint64_t most = uint64_t{server.options.peers_max} + server.options.handshakes_max;
    require(server.peers + uint64_t{server.others()} <= most, "a server holds no more connections than its limits allow");
    uint32_t placed = 0;
    for (uint32_t place = 0; place < kPlaces; ++place) {
      for (const Peer* peer = server.places[place].first(); peer != nullptr; peer = server.places[place].next(*peer)) {
        require(peer->place == static_cast<Place>(place) && peer->of_server && peer->server == i,
                "a place has those that are in it");
        require(++placed <= server.others() + server.peers, "the list of a place ends");
      }
    }
    for (const Peer* peer : engine.peers_) {
      const bool here = peer->state != State::Free && peer->of_server && peer->server == i && peer->place != Place::None;
      placed -= here ? 1 : 0;
    }
    require_equal(placed, 0, "all that have a place are in its list");
    if (!server.listening) dismissals += server.handshakes;
    if (server.close_code != 0) dismissals += server.peers;
    uint32_t kinds = 0;
    for (const auto& refusals : server.refusals) kinds += refusals.rate.unreported() > 0 ? 1 : 0;
    require_equal(server.unreported, kinds, "kinds of refusals that are not reported yet are counted");
    unreported += kinds;
    require_equal(server.ids.size(), servers[i].peers, "there is one id for each peer");
    if (server.accept_retry_ns != 0) retry_ns = std::min(retry_ns, server.accept_retry_ns);
  }
  const bool retries = count_deadline(engine.accept_retry_, kNone, DeadlineKind::AcceptRetry);
  require_equal(retries ? engine.deadlines_.due_ns(engine.accept_retry_) : UINT64_MAX, retry_ns,
                "the first server that waits to accept again has the deadline");
  (void)count_deadline(engine.report_, kNone, DeadlineKind::Report);
  require(unreported == 0 || engine.report_.is_set(), "refusals that are not reported yet have a deadline");
  require_equal(engine.dismissals_, dismissals, "newcomers of servers that stop are counted");
  require_equal(engine.unreported_, unreported, "refusals that are not reported yet are counted");
  require_equal(heap.size(), deadlines, "each deadline belongs to something that lives");
  first_due_ns = std::min(first_due_ns, engine.give_back_due_ns_);
  require_equal(engine.next_due_ns(), first_due_ns, "the engine knows what is due next");
}

bool EngineAudit::has_given_back(const Engine& engine) {
  return engine.noted_rings_.empty() && !engine.assemblies_.has_surplus() && engine.next_due_ns() == Engine::kNothingDue;
}

bool EngineAudit::lives(const Engine& engine, uint32_t slot) {
  return slot < engine.peers_.size() && engine.peers_[slot]->state != State::Free;
}

uint32_t EngineAudit::arena_used(const Engine& engine) { return engine.arena_used_; }

}  // namespace zerio
