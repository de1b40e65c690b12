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

  // Deadlines: a list of exactly those that have one.
  uint32_t timed = 0;
  uint32_t previous = kNone;
  for (uint32_t slot = engine.timed_first_; slot != kNone; slot = engine.peers_[slot]->timed_next) {
    require(engine.peers_[slot]->timed && engine.peers_[slot]->timed_previous == previous, "the list of deadlines is linked");
    require(++timed <= engine.peers_.size(), "the list of deadlines ends");
    previous = slot;
  }
  uint32_t heartbeats = 0;
  size_t held = 0;
  std::vector<Engine::Server> servers(engine.servers_.size());
  for (const Peer* peer : engine.peers_) {
    const bool waits = peer->state != State::Free && (peer->state != State::Open || peer->send_failed);
    const bool on_probation = peer->state == State::Open && peer->of_server && !peer->send_failed;
    require(peer->timed == waits || on_probation, "who waits for something has a deadline, and nobody else");
    timed -= peer->timed ? 1 : 0;
    heartbeats += peer->heartbeat_due_ns != 0 ? 1 : 0;
    held += peer->held_bytes;
    require(peer->connected == (peer->state == State::Open), "a connection is connected while it is open");
    const bool counted = peer->state != State::Free || closing[peer->slot];
    if (!peer->of_server || !counted) continue;
    Engine::Server& server = servers[peer->server];
    ++server.slots;
    if (!peer->was_connected) ++server.handshakes;
    if (!peer->connected) continue;
    ++server.peers;
    const auto found = engine.servers_[peer->server].ids.find(peer->id);
    require(found != engine.servers_[peer->server].ids.end() && found->second == peer->slot, "each peer is found by its id");
  }
  require_equal(timed, 0, "the list of deadlines has all that have one");
  require_equal(engine.heartbeats_, heartbeats, "heartbeats are counted");
  require_equal(engine.held_bytes_, held, "held bytes are counted");
  uint32_t retries = 0;
  for (uint32_t i = 0; i < servers.size(); ++i) {
    const Engine::Server& server = engine.servers_[i];
    require_equal(server.slots, servers[i].slots, "a server's connections are counted");
    require_equal(server.handshakes, servers[i].handshakes, "a server's handshakes are counted");
    require_equal(server.peers, servers[i].peers, "a server's peers are counted");
    require_equal(server.ids.size(), servers[i].peers, "there is one id for each peer");
    retries += server.accept_retry_ns != 0 ? 1 : 0;
  }
  require_equal(engine.accept_retries_, retries, "servers that wait to accept again are counted");
}

bool EngineAudit::has_given_back(const Engine& engine) {
  return engine.noted_rings_.empty() && !engine.assemblies_.has_surplus() && engine.next_due_ns() == Engine::kNothingDue;
}

uint32_t EngineAudit::arena_used(const Engine& engine) { return engine.arena_used_; }

}  // namespace zerio
