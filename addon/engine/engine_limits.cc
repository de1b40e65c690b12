// The limit of a server for connections that are no peers: newcomers, refused ones, and those that have ended. And the limit for
// reports of refusals.
#include <array>

#include "engine.h"

namespace zerio {
namespace {

constexpr uint32_t kFirstWireCode = 1000;

// A refusal's place among Engine::kRefusals.
uint32_t kind_of(Code code) {
  const auto number = static_cast<uint32_t>(code);
  return number >= kLocalCodeMin ? Engine::kRefusalsWire + number - kLocalCodeMin : number - kFirstWireCode;
}

uint32_t code_of(uint32_t kind) {
  return kind >= Engine::kRefusalsWire ? kLocalCodeMin + kind - Engine::kRefusalsWire : kFirstWireCode + kind;
}

}  // namespace

// ---- Places

Connection* Engine::Server::dispensable() const {
  for (size_t place = 0; place < kDispensablePlaces; ++place) {
    if (!places[place].empty()) return places[place].first();
  }
  return nullptr;
}

Connection* Engine::Server::any_newcomer() const {
  for (const Place place : {Place::Silent, Place::Speaking, Place::Asked}) {
    Connection* const first = places[static_cast<size_t>(place)].first();
    if (first != nullptr) return first;
  }
  return nullptr;
}

Connection* Engine::Server::any_peer() const { return places[static_cast<size_t>(Place::Peer)].first(); }

void Engine::move_to(Connection& connection, Place place) {
  Life& life = connection.life;
  Server& server = servers_[life.server];
  if (life.place != Place::None) server.places[static_cast<size_t>(life.place)].remove(connection);
  life.place = place;
  if (place != Place::None) server.places[static_cast<size_t>(place)].push_back(connection);
}

void Engine::end_handshake(const Connection& connection) {
  Server& server = servers_[connection.life.server];
  server_counters(connection.life.server)[layout::kServerCounterHandshakes] = --server.handshakes;
  if (!server.listening) --dismissals_;
}

void Engine::change_ended(const Connection& connection, int32_t by) {
  Server& server = servers_[connection.life.server];
  server.ended += static_cast<uint32_t>(by);
  server_counters(connection.life.server)[layout::kServerCounterEnded] = server.ended;
}

// Makes room for one more connection, and ends the most dispensable one where the limit is reached. False when none is.
bool Engine::make_room(uint32_t server) {
  const Server& it = servers_[server];
  if (it.others() < it.options.handshakes_max) return true;
  Connection* const connection = it.dispensable();
  if (connection == nullptr) return false;
  double* const counts = server_counters(server);
  if (connection->life.state == State::Greeting) {
    counts[layout::kServerCounterNewcomersEvicted] += 1;
    counts[layout::kServerCounterTooManyHandshakes] += 1;
    fail(*connection, Code::TooManyHandshakes, 0, "", false);
  } else {
    counts[layout::kServerCounterLingersCut] += 1;
    // What is not sent yet is discarded, as when lingerMs is over.
    connection->life.reset_on_close = connection->life.state == State::Draining;
    release(*connection);
  }
  return true;
}

// ---- Refusals

// `connection` is nullptr when there was no slot for it.
void Engine::refuse(uint32_t server, const Connection* connection, Code code, int error) {
  server_counters(server)[layout::kServerCounterRefused] += 1;
  Server& it = servers_[server];
  const uint32_t kind = kind_of(code);
  Refusals& refusals = it.refusals[kind];
  if (refusals.rate.unreported() == 0) {
    ++it.unreported;
    ++unreported_;
    refusals.first = {};
    if (connection != nullptr) {
      Address local;
      io_->addresses(connection->slot, local, refusals.first.remote);
      refusals.first.set_id(connection->life.id);
    }
  }
  refusals.rate.add();
  refusals.error = error;
  const uint64_t now = io_->now_ns();
  report_refusal(server, kind, now);
  if (unreported_ > 0 && !report_.is_set()) set_report(now);
}

// What there is no room for in this batch is reported by a later one.
void Engine::report_refusal(uint32_t server, uint32_t kind, uint64_t now_ns) {
  if (refused_peers_.is_full()) return;
  Server& it = servers_[server];
  Refusals& refusals = it.refusals[kind];
  const uint32_t count = it.is_deserted() ? refusals.rate.take_all() : refusals.rate.take(now_ns);
  if (count == 0) return;
  --it.unreported;
  --unreported_;
  events_.push(RefusedEvent{.server = server,
                            .peer = refused_peers_.add(refusals.first),
                            .code = code_of(kind),
                            .error = static_cast<uint32_t>(refusals.error),
                            .count = count});
}

// Reports the refusals that were not reported at once because there were too many.
void Engine::report_refusals(uint64_t now_ns) {
  for (uint32_t server = 0; unreported_ > 0 && server < servers_.size(); ++server) {
    if (servers_[server].unreported == 0) continue;
    if (!has_event_room()) return;
    for (uint32_t kind = 0; kind < kRefusals; ++kind) report_refusal(server, kind, now_ns);
  }
}

// The last refusals of a server are reported by the next poll, at whatever rate: the program waits for them.
void Engine::report_last_refusals_soon(const Server& server) {
  if (server.is_deserted() && server.unreported > 0) deadlines_.set(report_, io_->now_ns());
}

bool Engine::server_is_over(uint32_t server) const {
  if (server >= servers_.size()) return true;
  return servers_[server].is_deserted() && servers_[server].unreported == 0 &&
         !events_.has_unconsumed(EventKind::Refused, server);
}

}  // namespace zerio
