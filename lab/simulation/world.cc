// The course of a simulation: faults and traffic, then rest, then the end, with checks after each step.
#include "world.h"

#include <algorithm>
#include <cerrno>

namespace zerio::simulation {

namespace {

// With a shorter linger time, a close need not send everything.
constexpr uint32_t kLingerMsMin = 50;
constexpr uint32_t kSharingPerMille = 60;

}  // namespace

World::World(const WorldOptions& options)
    : options_(options),
      random_(options.seed),
      crashing_(options.seed ^ 0x6a09e667f3bcc908),
      asking_(options.seed ^ 0x3c6ef372fe94f82b),
      sharing_(options.seed ^ 0x1f83d9abfb41bd6b),
      trace_(options.trace, now_ns_),
      torture_(options.torture),
      network_(random_, trace_, faults_, now_ns_) {
  if (options.faults) faults_ = Faults::of(random_);
  faults_.twice = options.seed % 64 == 63;
  asking_often_ = asking_.chance(300);
  const uint64_t engines = random_.between(1, 4);
  for (uint32_t i = 0; i < engines; ++i) engines_.push_back(make_engine(i, any_shape()));
  if (options.faults) {
    for (uint64_t i = random_.below(3); i > 0; --i) {
      uint16_t port = 0;
      if (network_.listen(port, 16) == 0) raw_listeners_.push_back({port});
    }
  }
  for (uint32_t& weight : weights_) weight_total_ += weight = static_cast<uint32_t>(random_.between(1, 100));
  echo_ = static_cast<uint32_t>(random_.below(900));
  pausing_ = random_.chance(400) ? 0 : static_cast<uint32_t>(random_.below(300));
  closing_ = random_.chance(300) ? 0 : static_cast<uint32_t>(random_.below(60));
  crash_ = options.faults && crashing_.chance(300) ? static_cast<uint32_t>(crashing_.between(1, 20)) : 0;
}

WorldResult World::run() {
  const uint64_t steps = random_.between(options_.steps_max / 4, options_.steps_max);
  for (uint64_t i = 0; i < steps; ++i) {
    step();
    ++result_.steps;
    for (const auto& engine : engines_) engine->audit();
  }
  finish();
  for (const auto& engine : engines_) add_up(*engine);
  result_.connections = network_.link_count();
  result_.digest = trace_.digest();
  result_.torture = torture_;
  return result_;
}

void World::step() {
  uint64_t at = random_.below(weight_total_);
  uint32_t kind = 0;
  while (at >= weights_[kind]) at -= weights_[kind++];
  switch (kind) {
    case 0:
    case 1:
      for (uint64_t i = random_.between(1, 8); i > 0; --i) network_.step();
      return;
    case 2:
    case 3:
      any_engine().turn();
      return;
    case 4:
      act(any_engine());
      return;
    case 5:
      if (raw_peers_.empty()) return;
      raw_peers_[random_.below(raw_peers_.size())].act();
      return;
    case 6:
      now_ns_ += random_.between(1, 500) * 1000;
      if (faults_.on && random_.chance(faults_.clock_jump)) now_ns_ += random_.between(1, 3000) * 1'000'000;
      return;
    default:
      network_.strike();
      if (faults_.on && crashing_.chance(crash_)) crash(static_cast<uint32_t>(crashing_.below(engines_.size())));
      if (faults_.on && random_.chance(50)) start_raw_client();
      accept_raw();
  }
}

// ---- The programs

std::string World::any_id() {
  // A few ids are chosen often, so that they collide.
  return random_.chance(100) ? "same" : "peer-" + std::to_string(++ids_);
}

// Classic peers do not exchange their limits.
uint32_t World::classic_length_max() const {
  uint32_t most = kNone;
  for (const auto& engine : engines_) most = std::min(most, engine->shape().options.message_length_max - 1);
  return most;
}

uint32_t World::any_length(const Connection& connection) {
  uint32_t most = connection.engine->shape().options.message_length_max;
  if (connection.classic) most = std::min(most, classic_length_max());
  switch (random_.below(8)) {
    case 0:
      return 0;
    case 1:
      return most;
    case 2:
      return most + 1;
    case 3:
      return static_cast<uint32_t>(random_.below(most + 1));
    default:
      return static_cast<uint32_t>(random_.below(std::min<uint64_t>(most + 1, 100)));
  }
}

Connection* World::any_connection(EngineModel& engine) {
  const auto& all = engine.connections();
  const size_t first = random_.below(all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    Connection* const one = all[(first + i) % all.size()].get();
    if (one != nullptr && one->open()) return one;
  }
  return nullptr;
}

void World::act(EngineModel& engine) {
  if (resting_) return;
  Connection* const one = any_connection(engine);
  if (one != nullptr && !is_raw(one->ledger_link) && asking_.chance(asking_often_ ? 700 : 100)) engine.ask_topic(*one);
  if (engine.io().copies_at_once() && sharing_.chance(kSharingPerMille)) engine.publish(sharing_, classic_length_max());
  switch (random_.below(17)) {
    case 0:
      start_server(engine);
      return;
    case 1:
    case 2:
      start_client(engine);
      return;
    case 3:
      finish_ended(engine);
      if (!random_.chance(closing_) || one == nullptr) return;
      if (random_.chance(500)) return engine.end(*one);
      engine.close(*one, static_cast<uint16_t>(random_.chance(500) ? 1000 : random_.between(4000, 4999)),
                   random_.chance(500) ? "" : "the program closes it");
      return;
    case 4:
      if (!random_.chance(closing_)) return;
      for (const auto& connection : engine.connections()) {
        // Also a connection that is still connecting, or has ended.
        if (connection != nullptr && connection->server == kNone && random_.chance(500)) engine.close(*connection, 1000, "");
      }
      return;
    case 5:
      if (!random_.chance(closing_) || one == nullptr || one->ring->claim_open()) return;
      engine.abort(*one);
      return;
    case 6:
      if (!random_.chance(closing_ / 2) || engine.servers().empty()) return;
      engine.stop_server(static_cast<uint32_t>(random_.below(engine.servers().size())));
      return;
    case 7:
      engine.flush();
      return;
    case 8:
      if (one != nullptr) use_claim(*one);
      return;
    case 9:
      if (one != nullptr && faults_.on && random_.chance(faults_.scribble)) scribble(*one);
      return;
    case 10:
      resume_some(engine);
      for (const auto& connection : engine.connections()) {
        if (connection != nullptr && connection->open()) send_some(*connection, 1);
      }
      return;
    case 11:
      if (one != nullptr && random_.chance(300)) engine.configure(*one);
      if (one != nullptr) engine.ask(*one);
      return;
    case 12:
      if (one != nullptr) pause_some(*one);
      return;
    default:
      if (one != nullptr) send_some(*one, random_.chance(100) ? 500 : 20);
  }
}

void World::send_some(Connection& connection, uint64_t most) {
  if (connection.ring->claim_open()) return;
  for (uint64_t i = random_.between(1, most); i > 0; --i) {
    const auto channel = static_cast<uint32_t>(random_.chance(200) ? random_.below(128) : 0);
    if (connection.ring->send(any_length(connection), channel) == Status::BackPressured) return;
  }
}

void World::pause_some(Connection& connection) {
  if (connection.paused) return connection.engine->resume(connection);
  if (random_.chance(pausing_)) connection.engine->pause(connection);
}

void World::use_claim(Connection& connection) {
  SendRingModel& ring = *connection.ring;
  if (ring.claim_open()) {
    if (random_.chance(700)) {
      ring.commit();
    } else {
      ring.abort();
    }
    return;
  }
  ring.claim(any_length(connection), random_.chance(100) ? 5 : 0);
}

void World::scribble(Connection& connection) {
  static constexpr uint32_t kWords[] = {layout::kSlotTail, layout::kSlotJumpEnd, layout::kSlotDrainNeed,
                                        layout::kSlotHead, layout::kSlotRewinds, layout::kSlotRewindTo};
  trace_.add('p', 0, "overwrites the control words of link #", {connection.link});
  if (connection.ring->claim_open() || connection.suspended) return;
  ledger_.stream(connection.ledger_link, 0).spoil();
  ledger_.stream(connection.ledger_link, 1).spoil();
  network_.link(connection.link).touched = true;
  const uint32_t ring = connection.engine->shape().options.send_ring_bytes;
  for (uint64_t i = random_.between(1, 4); i > 0; --i) {
    const auto value = static_cast<int32_t>(random_.chance(500) ? random_.below(SendRing::kMain + ring + 2) : random_.next());
    connection.ring->scribble(random_.pick(kWords), value);
  }
  connection.engine->flush();
}

bool World::any_port(uint16_t& port, const EngineModel*& owner) {
  owner = nullptr;
  if (!raw_listeners_.empty() && random_.chance(100)) {
    port = raw_listeners_[random_.below(raw_listeners_.size())].port;
    return true;
  }
  for (int tries = 0; tries < 4; ++tries) {
    const EngineModel& engine = any_engine();
    if (engine.servers().empty()) continue;
    const ServerModel& server = engine.servers()[random_.below(engine.servers().size())];
    if (!server.used && !random_.chance(50)) continue;
    port = server.port;
    owner = &engine;
    return true;
  }
  return false;
}

void World::start_server(EngineModel& engine) {
  uint32_t used = 0;
  for (const ServerModel& server : engine.servers()) used += server.used ? 1 : 0;
  if (used >= 2) return;
  ServerOptions options;
  options.id = "server-" + std::to_string(engine.number);
  options.listen.backlog = static_cast<uint32_t>(random_.between(1, 32));
  options.peers_max = static_cast<uint32_t>(random_.chance(200) ? random_.between(1, 3) : 1000);
  options.handshakes_max = static_cast<uint32_t>(random_.chance(200) ? random_.between(1, 3) : 1000);
  options.handshake_timeout_ms = static_cast<uint32_t>(random_.between(50, 500));
  options.linger_ms = static_cast<uint32_t>(random_.chance(200) ? random_.below(50) : 1000);
  options.heartbeat_ms = static_cast<uint32_t>(random_.chance(300) ? random_.between(10, 200) : 0);
  options.idle_timeout_ms = static_cast<uint32_t>(random_.chance(300) ? random_.between(10, 400) : 0);
  options.half_open = random_.chance(500);
  options.replace_duplicates = random_.chance(500);
  options.asks_for_verdict = random_.chance(500);
  options.allow_classic = random_.chance(900);
  if (random_.chance(600)) {
    options.sessions_max = static_cast<uint32_t>(random_.chance(200) ? random_.between(1, 3) : 1000);
    options.resume_ms_max = static_cast<uint32_t>(random_.between(20, 500));
  }
  engine.listen(options, 0);
}

void World::start_client(EngineModel& engine) {
  uint16_t port = 0;
  const EngineModel* owner = nullptr;
  uint32_t used = 0;
  for (const auto& connection : engine.connections()) used += connection != nullptr ? 1 : 0;
  if (used > 40 || !any_port(port, owner)) return;
  ClientOptions options;
  options.id = any_id();
  if (random_.chance(200)) options.credential = "secret";
  options.classic = random_.chance(300);
  options.holds_hello = random_.chance(300);
  options.connect_timeout_ms = static_cast<uint32_t>(random_.between(100, 1000));
  options.linger_ms = static_cast<uint32_t>(random_.chance(200) ? random_.below(50) : 1000);
  options.heartbeat_ms = static_cast<uint32_t>(random_.chance(300) ? random_.between(10, 200) : 0);
  options.idle_timeout_ms = static_cast<uint32_t>(random_.chance(300) ? random_.between(10, 400) : 0);
  options.half_open = random_.chance(500);
  if (!options.classic && random_.chance(500)) options.resume_ms = static_cast<uint32_t>(random_.between(20, 500));
  const uint32_t link = network_.link_count();
  if (engine.connect(options, port) != 0 || owner != nullptr) return;
  raw_links_[link] = kServerSide;
  network_.link(link).raw = true;
  raw_bound_[link] = {engine.shape().options.message_length_max, options};
}

void World::start_raw_client() {
  uint16_t port = 0;
  const EngineModel* owner = nullptr;
  if (raw_peers_.size() > 60 || !any_port(port, owner) || owner == nullptr) return;
  const uint32_t link = network_.connect(port);
  raw_links_[link] = kClientSide;
  network_.link(link).raw = true;
  auto reference =
      std::make_unique<Reference>(Role::Server, "", owner->shape().options.message_length_max, ledger_.stream(link, kClientSide));
  raw_peers_.emplace_back(network_, random_, trace_, link, kClientSide, std::move(reference));
  trace_.add('r', link, "connects to port #", {port});
  raw_peers_.back().greet(any_id(), random_.chance(300));
}

void World::accept_raw() {
  for (const RawListener& listener : raw_listeners_) {
    if (!network_.has_queued(listener.port)) continue;
    const uint32_t link = network_.accept(listener.port);
    const auto& [length_max, options] = raw_bound_[link];
    auto reference = std::make_unique<Reference>(options.classic ? Role::ClassicClient : Role::NativeClient, options.id,
                                                 length_max, ledger_.stream(link, kServerSide));
    raw_peers_.emplace_back(network_, random_, trace_, link, kServerSide, std::move(reference));
    raw_peers_.back().greet(options.classic ? options.id : "raw server", options.classic);
  }
}

// ---- Their handlers

bool World::authenticate(EngineModel& engine) {
  if (random_.chance(100)) act(engine);
  return resting_ || random_.chance(800);
}

void World::connected(Connection& connection) {
  if (!resting_ && connection.open() && random_.chance(500)) send_some(connection, 3);
}

bool World::message(Connection& connection) {
  if (resting_) return false;
  if (connection.open() && random_.chance(echo_)) send_some(connection, 2);
  if (random_.chance(20)) act(*connection.engine);
  if (random_.chance(pausing_ / 10)) connection.engine->pause(connection);
  return faults_.on && random_.chance(faults_.handler_throws);
}

void World::drain(Connection& connection) {
  if (!resting_ && connection.open()) send_some(connection, 20);
}

void World::disconnected(Connection& connection, uint32_t code, uint32_t error, bool local) {
  (void)error;
  endings_[connection.ledger_link] = code;
  if (!resting_ && random_.chance(300)) act(*connection.engine);
  // An engine never breaks the protocol towards another one, unless the program has overwritten its memory.
  if (!is_raw(connection.ledger_link) && !ledger_.stream(connection.ledger_link, 0).spoiled()) {
    require(code != 1002 && code != 1003 && code != 2005, "engines understand each other");
  }
  // The side that closes sends CLOSE as its last frame, behind everything that it has accepted.
  const bool closed = code == 1000 || code == 1001 || (code >= 4000 && code <= 4999);
  if (local || !closed || is_raw(connection.ledger_link)) return;
  require(ledger_.stream(connection.ledger_link, 1 - connection.side).complete(),
          "a close comes behind everything that was accepted");
}

// ---- Rest and end

void World::settle() {
  constexpr uint64_t kRoundsMax = 200000;
  for (uint64_t round = 0; round < kRoundsMax; ++round) {
    bool moved = network_.step();
    if (round % 8 == 0 || !moved) {
      for (const auto& engine : engines_) {
        moved = engine->turn() || moved;
        engine->audit();
      }
    }
    if (!moved) return;
  }
  require(false, "engines come to rest when no program does anything");
}

void World::advance(uint64_t milliseconds) {
  // As a loop that sleeps until the engine's next deadline: an engine that names it too late is late for it.
  settle();
  const uint64_t end_ns = now_ns_ + milliseconds * kMillisecondNs;
  while (now_ns_ < end_ns) {
    uint64_t next_ns = end_ns;
    for (const auto& engine : engines_) next_ns = std::min(next_ns, engine->next_due_ns());
    require(next_ns > now_ns_, "an engine at rest has done what was due");
    now_ns_ = next_ns;
    settle();
  }
}

void World::check_at_rest() {
  std::map<uint32_t, int> ends;
  for (const auto& engine : engines_) {
    require(!engine->leaves_one_waiting(), "a connection that waits is accepted when there is room");
    for (const auto& connection : engine->connections()) {
      if (connection == nullptr || is_raw(connection->ledger_link)) continue;
      if (!connection->lives() || connection->suspended || outlives(*connection)) continue;
      ++ends[connection->ledger_link];
      const Connection* const other = other_side(*connection);
      require(!connection->ended || other == nullptr || !other->lives() || other->other_ended, "an end arrives");
      // What a program has overwritten can make the other side wait for the rest of a frame, in which it then finds ACKs and
      // answers.
      if (ledger_.stream(connection->ledger_link, 0).spoiled()) continue;
      require(connection->ended || !connection->ring->waits_for_drain(),
              "a connection whose send was refused gets its drain event");
      const bool has_answers = !connection->ended && other != nullptr && other->lives() && !other->ended;
      require(!has_answers || connection->topic_requests.empty(), "each request for a topic is answered");
    }
  }
  for (const auto& [link, count] : ends) {
    if (count != 2) throw Violation("a connection is open on both sides (link " + std::to_string(link) + ")");
    for (const int side : {kClientSide, kServerSide}) {
      require(ledger_.stream(link, side).complete(), "all that was accepted on a living connection arrives");
    }
  }
}

void World::finish() {
  trace_.add('w', 0, "the faults end");
  faults_.on = false;
  resting_ = true;
  for (const auto& engine : engines_) {
    for (const auto& connection : engine->connections()) {
      if (connection == nullptr) continue;
      if (connection->ring->claim_open()) connection->ring->commit();
      engine->resume(*connection);
    }
    engine->answer_at_once();
  }
  settle();
  resume_all();
  const uint64_t rest_ns = now_ns_;
  advance(random_.chance(200) ? 700 : 100);
  for (const auto& engine : engines_) engine->check_idle_limits(rest_ns);
  check_at_rest();
  if (torture_.failed) check_torture();

  // A last burst, and then one side of each connection stops.
  trace_.add('w', 0, "the last burst");
  std::vector<std::pair<uint32_t, int>> promised;
  const auto stops_first = static_cast<int>(random_.below(2));
  for (const auto& engine : engines_) {
    for (const auto& connection : engine->connections()) {
      if (connection != nullptr && connection->open()) send_some(*connection, 30);
    }
    for (const auto& connection : engine->connections()) {
      if (connection == nullptr || !connection->receiving || connection->disconnected) continue;
      if (connection->side != stops_first) continue;
      const bool has_time = connection->linger_ms >= kLingerMsMin;
      const bool is_heard = !connection->suspended && !is_raw(connection->ledger_link) && !outlives(*connection);
      if (connection->connected && has_time && is_heard) promised.emplace_back(connection->ledger_link, connection->side);
      if (connection->side == kClientSide) engine->close(*connection, 1000, "");
    }
    for (const ServerModel& server : engine->servers()) {
      if (server.used && stops_first == kServerSide) engine->stop_server(server.number);
    }
  }
  settle();
  for (const auto& [link, side] : promised) {
    if (link == torture_.link || ledger_.stream(link, side).complete()) continue;
    // Another connection with its id has replaced it meanwhile, and a replaced connection is not read to the end.
    const auto ending = endings_.find(link);
    if (ending != endings_.end() && ending->second == static_cast<uint32_t>(Code::Replaced)) continue;
    throw Violation("a stop sends everything that was accepted (side " + std::to_string(side) + " of link " +
                    std::to_string(link) + ")");
  }
  for (const auto& engine : engines_) {
    for (const auto& connection : engine->connections()) {
      if (connection != nullptr && connection->side == kClientSide) engine->close(*connection, 1000, "");
    }
    for (const ServerModel& server : engine->servers()) {
      if (server.used) engine->stop_server(server.number);
    }
  }
  trace_.add('w', 0, "all engines have stopped");
  // The longest of all timeouts, and some time to spare.
  advance(1100);
  for (const auto& engine : engines_) require(engine->idle(), "a stop ends within the linger time");
  // Time for three looks at unused memory.
  advance(700);
  for (const auto& engine : engines_) require(engine->is_small(), "what an engine has needed is given back");
}

// The failed call must have ended its connection.
void World::check_torture() {
  if (torture_.link == 0xffffffff || (torture_.call == Call::Send && torture_.error == ENOBUFS)) return;
  for (const auto& engine : engines_) {
    for (const auto& connection : engine->connections()) {
      require(connection == nullptr || connection->link != torture_.link, "a connection whose system call failed ends");
    }
  }
}

}  // namespace zerio::simulation
