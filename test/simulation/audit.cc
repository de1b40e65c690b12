// The questions of the audit.
#include "audit.h"

#include <algorithm>

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
  std::vector<uint8_t*> buffers = engine.assemblies_.free_;
  buffers.insert(buffers.end(), engine.assemblies_.held_.begin(), engine.assemblies_.held_.end());
  for (const Peer* peer : engine.peers_) {
    if (peer->reader.assembly() != nullptr) buffers.push_back(peer->reader.assembly());
  }
  std::sort(buffers.begin(), buffers.end());
  require(buffers == assemblies, "each assembly buffer has exactly one owner");

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
  std::vector<Engine::Server> servers(engine.servers_.size(), Engine::Server(SipKey{}));
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
  require_equal(timed, 0, "the list of deadlines has all that have one");
  require_equal(engine.heartbeats_, heartbeats, "heartbeats are counted");
  require_equal(engine.held_bytes_, held, "held bytes are counted");
  uint32_t deferred = 0;
  for (const Peer* peer = engine.deferred_.first(); peer != nullptr; peer = engine.deferred_.next(*peer)) {
    require(peer->deferred && peer->state != State::Free, "an end that is to be carried out is that of a connection");
    require(++deferred <= engine.peers_.size(), "the list of ends that are to be carried out ends");
  }
  for (const Peer* peer : engine.peers_) deferred -= peer->deferred ? 1 : 0;
  require_equal(deferred, 0, "the list of ends has all that are to be carried out");
  uint32_t dismissals = 0;
  uint32_t unreported = 0;
  uint32_t retries = 0;
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
    retries += server.accept_retry_ns != 0 ? 1 : 0;
  }
  require_equal(engine.accept_retries_, retries, "servers that wait to accept again are counted");
  require_equal(engine.dismissals_, dismissals, "newcomers of servers that stop are counted");
  require_equal(engine.unreported_, unreported, "refusals that are not reported yet are counted");
}

uint32_t EngineAudit::arena_used(const Engine& engine) { return engine.arena_used_; }

}  // namespace zerio
