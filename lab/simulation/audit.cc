// The checks of the audit, one function for each kind of thing that has an owner.
#include "audit.h"

#include <algorithm>
#include <functional>

#include "../../addon/engine/engine.h"
#include "check.h"

namespace zerio {

using simulation::require;
using simulation::require_equal;

namespace {

// Whether the program has it: it is open, or its session waits for the next connection.
bool is_there(const Life& life) { return receives(life.state) || (life.state == State::Suspended && life.in_session); }

}  // namespace

void EngineAudit::check(const Engine& engine, const std::vector<uint8_t*>& assemblies, const std::vector<bool>& closing) {
  EngineAudit audit(engine, closing);
  audit.check_slots();
  audit.check_assemblies(assemblies);
  audit.check_slabs();
  audit.check_heap();
  audit.check_connections();
  audit.check_deferred();
  audit.check_servers();
  audit.check_totals();
}

EngineAudit::EngineAudit(const Engine& engine, const std::vector<bool>& closing)
    : engine_(engine), closing_(closing), servers_(engine.servers_.size()) {}

// A slot is free, freed in this batch, alive, or waiting for the system to release it.
void EngineAudit::check_slots() const {
  std::vector<uint32_t> owners(engine_.connections_.size(), 0);
  for (const uint32_t slot : engine_.free_) ++owners[slot];
  for (const uint32_t slot : engine_.freed_in_batch_) ++owners[slot];
  for (const Connection* connection : engine_.connections_) {
    if (connection->life.state != State::Free) ++owners[connection->slot];
    if (connection->life.state == State::Free && closing_[connection->slot]) ++owners[connection->slot];
  }
  for (const uint32_t count : owners) require_equal(count, 1, "each slot has exactly one owner");
}

// An assembly buffer is in the pool, shown to JavaScript until the batch ends, or in use by a reader.
void EngineAudit::check_assemblies(const std::vector<uint8_t*>& assemblies) const {
  const AssemblyPool& pool = engine_.assemblies_;
  std::vector<uint8_t*> buffers = pool.used_;
  size_t untouched = 0;
  for (const AssemblyPool::Region& region : pool.regions_) {
    buffers.insert(buffers.end(), region.untouched.begin(), region.untouched.end());
    untouched += region.untouched.size();
  }
  require_equal(pool.untouched_, untouched, "untouched assembly buffers are counted");
  buffers.insert(buffers.end(), pool.held_.begin(), pool.held_.end());
  for (const Connection* connection : engine_.connections_) {
    if (connection->life.reader.assembly() != nullptr) buffers.push_back(connection->life.reader.assembly());
  }
  std::sort(buffers.begin(), buffers.end());
  require(buffers == assemblies, "each assembly buffer has exactly one owner");
}

// How many slots of a slab are in use, and which rings are looked at later.
void EngineAudit::check_slabs() const {
  std::vector<uint32_t> used(engine_.slabs_.size(), 0);
  for (const Connection* connection : engine_.connections_) ++used[connection->slab];
  for (const uint32_t slot : engine_.free_) --used[engine_.connections_[slot]->slab];
  for (size_t slab = 0; slab < used.size(); ++slab) {
    require_equal(engine_.slabs_[slab].used, used[slab], "the slots of a slab that are in use are counted");
  }
  require(std::is_heap(engine_.free_.begin(), engine_.free_.end(), std::greater<>()), "the lowest free slot is taken next");
  std::vector<uint32_t> noted(engine_.connections_.size(), 0);
  for (const uint32_t slot : engine_.noted_rings_) ++noted[slot];
  for (const Connection* connection : engine_.connections_) {
    require_equal(noted[connection->slot], connection->ring_noted ? 1 : 0, "a ring that held much is in the list once");
  }
}

void EngineAudit::check_heap() const {
  const auto& heap = engine_.deadlines_.heap_;
  for (uint32_t place = 0; place < heap.size(); ++place) {
    require_equal(heap[place].deadline->place, place, "a deadline knows its place");
    if (place == 0) continue;
    require(heap[(place - 1) / Deadlines::kChildren].due_ns <= heap[place].due_ns, "no deadline is behind a later one");
  }
}

bool EngineAudit::count_deadline(const Deadline& deadline, uint32_t slot, DeadlineKind kind) {
  const auto& heap = engine_.deadlines_.heap_;
  if (!deadline.is_set()) return false;
  ++deadlines_;
  require(deadline.place < heap.size() && heap[deadline.place].deadline == &deadline, "a deadline is at its place");
  require(deadline.slot == slot && deadline.kind == kind, "a deadline knows its owner");
  first_due_ns_ = std::min(first_due_ns_, heap[deadline.place].due_ns);
  return true;
}

void EngineAudit::check_connections() {
  size_t held = 0;
  for (const Connection* connection : engine_.connections_) {
    const Life& life = connection->life;
    check_deadlines_of(*connection);
    held += life.held_bytes;
    require(!life.paused || receives(life.state) || life.state == State::Free, "only a connection that receives is paused");
    require(life.connected == is_there(life), "a connection is connected while it is open, or its session waits");
    const bool counted = life.state != State::Free || closing_[connection->slot];
    if (!life.of_server || !counted) continue;
    ServerTally& server = servers_[life.server];
    ++server.slots;
    const bool ended = life.state == State::Draining || life.state == State::Lingering;
    if (life.state == State::Greeting) ++server.handshakes;
    if (ended) ++server.ended;
    if (life.state != State::Free && life.place != Place::None) ++server.placed;
    check_place_of(*connection);
    if (!life.connected) continue;
    ++server.peers;
    if (life.in_session) ++server.sessions;
    const IdTable& ids = engine_.servers_[life.server].ids;
    const auto found = ids.find(life.id);
    require(found != ids.end() && found->second == connection->slot, "each peer is found by its id");
  }
  require_equal(engine_.held_bytes_, held, "held bytes are counted");
}

void EngineAudit::check_deadlines_of(const Connection& connection) {
  const Life& life = connection.life;
  // What is left of a connection whose session another one has.
  const bool is_husk = life.state == State::Suspended && !life.in_session;
  const bool waits = life.state != State::Free && !is_husk && (!receives(life.state) || (life.send_failed && !life.end_deferred));
  const bool on_probation = receives(life.state) && life.of_server && !life.send_failed;
  const bool timed = count_deadline(connection.deadline, connection.slot, DeadlineKind::State);
  require(timed == waits || on_probation, "a connection has a deadline exactly while it waits for something");
  const bool native = life.protocol == Protocol::Native;
  const bool is_open = life.state == State::Open;
  const bool pings = is_open && life.heartbeat_ms > 0 && native && !life.end_requested && !life.end_received;
  const bool has_heartbeat = count_deadline(connection.heartbeat, connection.slot, DeadlineKind::Heartbeat);
  require(has_heartbeat == pings, "a native connection has its heartbeat");
  const bool listens = receives(life.state) && !life.end_received;
  const bool may_idle = listens && life.idle_timeout_ms > 0 && !life.is_idle;
  require(!life.is_idle || !listens || life.deferred, "an idle connection is to end");
  require((life.state == State::Ended) == (receives(life.state) && life.end_sent), "a side that has ended sends nothing more");
  require(life.state != State::Ended || (life.control.empty() && !life.farewell_due), "nothing waits behind a side's end");
  const bool has_idle_look = count_deadline(connection.idle, connection.slot, DeadlineKind::Idle);
  require(has_idle_look == may_idle, "an idle limit is looked at");
  const bool questioned = count_deadline(connection.question, connection.slot, DeadlineKind::Question);
  require(!questioned || (is_open && native && life.of_server), "a server's native peer is questioned");
  const bool acknowledges = count_deadline(connection.acknowledgement, connection.slot, DeadlineKind::Acknowledgement);
  require(!acknowledges || (is_open && life.in_session), "a connection in a session acknowledges");
}

void EngineAudit::check_place_of(const Connection& connection) const {
  const Life& life = connection.life;
  const bool is_newcomer = life.place == Place::Silent || life.place == Place::Speaking || life.place == Place::Asked;
  require(is_newcomer == (life.state == State::Greeting), "newcomers, and no others, have a newcomer's place");
  require((life.place == Place::Asked) == (life.state == State::Greeting && life.verdict != Verdict::None),
          "newcomers that wait for a verdict, and no others, have their place");
  require(life.place != Place::Lingering || life.state == State::Lingering, "only lingering connections have that place");
  require(life.state != State::Lingering || life.place == Place::Lingering, "a lingering connection can make room");
  require(life.place != Place::Draining || life.state == State::Draining, "only draining connections have that place");
  require((life.place == Place::Peer) == is_there(life), "peers, and no others, have a peer's place");
}

void EngineAudit::check_deferred() const {
  uint32_t deferred = 0;
  for (const Connection* one = engine_.deferred_.first(); one != nullptr; one = engine_.deferred_.next(*one)) {
    require(one->life.deferred && one->life.state != State::Free, "an end that is to be carried out is that of a connection");
    require(++deferred <= engine_.connections_.size(), "the list of ends that are to be carried out ends");
  }
  for (const Connection* connection : engine_.connections_) deferred -= connection->life.deferred ? 1 : 0;
  require_equal(deferred, 0, "the list of ends has all that are to be carried out");
}

void EngineAudit::check_servers() {
  for (uint32_t i = 0; i < servers_.size(); ++i) {
    const Engine::Server& server = engine_.servers_[i];
    require_equal(server.slots, servers_[i].slots, "a server's connections are counted");
    require_equal(server.handshakes, servers_[i].handshakes, "a server's handshakes are counted");
    require_equal(server.peers, servers_[i].peers, "a server's peers are counted");
    require_equal(server.sessions, servers_[i].sessions, "a server's sessions are counted");
    require(server.sessions <= server.options.sessions_max, "a server has no more sessions than its limit allows");
    require_equal(server.ended, servers_[i].ended, "a server's ended connections are counted");
    const uint64_t most = uint64_t{server.options.peers_max} + server.options.handshakes_max;
    require(server.peers + uint64_t{server.others()} <= most, "a server holds no more connections than its limits allow");
    check_places(i);
    if (!server.listening) dismissals_ += server.handshakes;
    if (server.close_code != 0) dismissals_ += server.peers;
    uint32_t kinds = 0;
    for (const auto& refusals : server.refusals) kinds += refusals.rate.unreported() > 0 ? 1 : 0;
    require_equal(server.unreported, kinds, "kinds of refusals that are not reported yet are counted");
    unreported_ += kinds;
    require_equal(server.ids.size(), servers_[i].peers, "there is one id for each peer");
    if (server.accept_retry_ns != 0) accept_retry_ns_ = std::min(accept_retry_ns_, server.accept_retry_ns);
  }
}

void EngineAudit::check_places(uint32_t server) const {
  const Engine::Server& it = engine_.servers_[server];
  uint32_t placed = 0;
  for (uint32_t place = 0; place < kPlaces; ++place) {
    for (const Connection* one = it.places[place].first(); one != nullptr; one = it.places[place].next(*one)) {
      const Life& life = one->life;
      require(life.place == static_cast<Place>(place) && life.of_server && life.server == server,
              "the list of a place has only connections with that place");
      require(++placed <= it.others() + it.peers, "the list of a place ends");
    }
  }
  require_equal(placed, servers_[server].placed, "all that have a place are in its list");
}

void EngineAudit::check_totals() {
  const bool retries = count_deadline(engine_.accept_retry_, kNone, DeadlineKind::AcceptRetry);
  require_equal(retries ? engine_.deadlines_.due_ns(engine_.accept_retry_) : UINT64_MAX, accept_retry_ns_,
                "the first server that waits to accept again has the deadline");
  (void)count_deadline(engine_.report_, kNone, DeadlineKind::Report);
  (void)count_deadline(engine_.io_due_, kNone, DeadlineKind::Io);
  require(unreported_ == 0 || engine_.report_.is_set(), "refusals that are not reported yet have a deadline");
  require_equal(engine_.dismissals_, dismissals_, "newcomers of servers that stop are counted");
  require_equal(engine_.unreported_, unreported_, "refusals that are not reported yet are counted");
  require_equal(engine_.deadlines_.heap_.size(), deadlines_, "each deadline belongs to something that lives");
  first_due_ns_ = std::min(first_due_ns_, engine_.give_back_due_ns_);
  require_equal(engine_.next_due_ns(), first_due_ns_, "the engine knows what is due next");
}

bool EngineAudit::has_given_back(const Engine& engine) {
  return engine.noted_rings_.empty() && !engine.assemblies_.has_surplus() && engine.next_due_ns() == Engine::kNothingDue;
}

bool EngineAudit::lives(const Engine& engine, uint32_t slot) {
  return slot < engine.connections_.size() && engine.connections_[slot]->life.state != State::Free;
}

bool EngineAudit::ends(const Engine& engine, uint32_t slot) {
  const State state = engine.connections_[slot]->life.state;
  return state == State::Draining || state == State::Lingering;
}

uint32_t EngineAudit::arena_used(const Engine& engine) { return engine.arena_used_; }

}  // namespace zerio
