// What a server's connections may hold that are no peers: newcomers, refused ones, and those that have ended. And how often it is
// reported that one was refused.
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

Peer* Engine::Server::dispensable() const {
  for (size_t place = 0; place < kDispensablePlaces; ++place) {
    if (!places[place].empty()) return places[place].first();
  }
  return nullptr;
}

Peer* Engine::Server::newcomer() const {
  Peer* const silent = places[static_cast<size_t>(Place::Silent)].first();
  return silent != nullptr ? silent : places[static_cast<size_t>(Place::Speaking)].first();
}

Peer* Engine::Server::peer() const { return places[static_cast<size_t>(Place::Peer)].first(); }

void Engine::move_to(Peer& peer, Place place) {
  Server& server = servers_[peer.server];
  if (peer.place != Place::None) server.places[static_cast<size_t>(peer.place)].remove(peer);
  peer.place = place;
  if (place != Place::None) server.places[static_cast<size_t>(place)].push_back(peer);
}

void Engine::end_handshake(const Peer& peer) {
  Server& server = servers_[peer.server];
  server_counters(peer.server)[layout::kServerCounterHandshakes] = --server.handshakes;
  if (!server.listening) --dismissals_;
}

void Engine::change_ended(const Peer& peer, int32_t by) {
  Server& server = servers_[peer.server];
  server.ended += static_cast<uint32_t>(by);
  server_counters(peer.server)[layout::kServerCounterEnded] = server.ended;
}

// Whether the server may hold one connection more. Where it holds all that it may, the most dispensable one goes.
bool Engine::make_place(uint32_t server) {
  const Server& it = servers_[server];
  if (it.others() < it.options.handshakes_max) return true;
  Peer* const peer = it.dispensable();
  if (peer == nullptr) return false;
  double* const counts = server_counters(server);
  if (peer->state == State::Greeting) {
    counts[layout::kServerCounterNewcomersEvicted] += 1;
    counts[layout::kServerCounterTooManyHandshakes] += 1;
    fail(*peer, Code::TooManyHandshakes, 0, "", false);
  } else {
    counts[layout::kServerCounterLingersCut] += 1;
    // What is not sent is discarded, as when lingerMs is over.
    peer->reset_on_close = peer->state == State::Draining;
    release(*peer);
  }
  return true;
}

// ---- Refusals

void Engine::refuse(uint32_t server, Code code, int error) {
  server_counters(server)[layout::kServerCounterRefused] += 1;
  Server& it = servers_[server];
  const uint32_t kind = kind_of(code);
  Refusals& refusals = it.refusals[kind];
  if (refusals.rate.unreported() == 0) {
    ++it.unreported;
    ++unreported_;
  }
  refusals.rate.add();
  refusals.error = error;
  const uint64_t now = io_->now_ns();
  report_refusal(server, kind, refusals.rate.take(now));
  if (unreported_ > 0 && !report_.is_set()) set_report(now);
}

void Engine::report_refusal(uint32_t server, uint32_t kind, uint32_t count) {
  if (count == 0) return;
  Server& it = servers_[server];
  --it.unreported;
  --unreported_;
  events_.push(RefusedEvent{
      .server = server, .code = code_of(kind), .error = static_cast<uint32_t>(it.refusals[kind].error), .count = count});
}

// Those that have come too fast are reported when a report is due.
void Engine::report_refusals(uint64_t now_ns) {
  for (uint32_t server = 0; unreported_ > 0 && server < servers_.size(); ++server) {
    if (servers_[server].unreported == 0) continue;
    if (!has_event_room()) return;
    for (uint32_t kind = 0; kind < kRefusals; ++kind) {
      report_refusal(server, kind, servers_[server].refusals[kind].rate.take(now_ns));
    }
  }
}

// The server ends, so this is the last time that it can report them.
void Engine::report_last_refusals(uint32_t server) {
  if (servers_[server].unreported == 0 || !has_event_room()) return;
  for (uint32_t kind = 0; kind < kRefusals; ++kind) {
    report_refusal(server, kind, servers_[server].refusals[kind].rate.take_all());
  }
}

}  // namespace zerio
