// Deadlines and heartbeats: what is due, a little in each poll.
#include <algorithm>

#include "engine.h"

namespace zerio {
namespace {

// A thread that comes so late has stood still, and what ends a connection is put off once: what has arrived in time is read
// first. Timers are late by less: those of Windows have steps of 16 ms.
constexpr uint64_t kLateNs = 20 * kMillisecondNs;
constexpr uint64_t kPutOffNs = 50 * kMillisecondNs;
// What is due is done a little at a time, with polls in between: when a thousand peers are due at once, nobody waits for all of
// them. A PING and an end are calls of the system that send; a welcome is a cheaper one; a look needs none.
constexpr uint32_t kWorkPerPoll = 256;
constexpr uint32_t kDueWork = 64;
constexpr uint32_t kWelcomeWork = 16;
constexpr uint32_t kLookWork = 1;
// Looks of one interval fall on so many moments of it, whenever the connections came: a thousand silent peers do not wake the
// thread a thousand times.
constexpr uint64_t kMomentsPerInterval = 16;
// After so many silent heartbeats a peer is taken for dead. The first silent one sends the PING.
constexpr uint8_t kSilentHeartbeatsMax = 3;

// The last moment that is not after `at_ns`, and the first one that is not before it.
uint64_t moment_before(uint64_t at_ns, uint64_t interval_ns) { return at_ns - at_ns % (interval_ns / kMomentsPerInterval); }
uint64_t moment_after(uint64_t at_ns, uint64_t interval_ns) {
  return moment_before(at_ns + interval_ns / kMomentsPerInterval - 1, interval_ns);
}

}  // namespace

void Engine::set_deadline(Peer& peer, uint32_t timeout_ms) {
  deadlines_.set(peer.deadline, io_->now_ns() + timeout_ms * kMillisecondNs);
}

void Engine::clear_deadline(Peer& peer) { deadlines_.clear(peer.deadline); }

void Engine::tick() {
  const uint64_t now = io_->now_ns();
  ticking_ = now >= next_due_ns() && !serve_due(now);
}

// Returns whether that is all.
bool Engine::serve_due(uint64_t now_ns) {
  uint32_t left = kWorkPerPoll;
  while (next_due_ns() <= now_ns) {
    Deadline& due = deadlines_.first();
    const bool late = due.kind == DeadlineKind::State && !due.was_put_off && now_ns - deadlines_.first_ns() > kLateNs;
    const uint32_t work = late ? kLookWork : work_of(due);
    if (left < work || !has_event_room()) return false;
    left -= work;
    if (late) {
      deadlines_.put_off(due, now_ns + kPutOffNs);
    } else {
      serve(due, now_ns);
    }
  }
  return true;
}

void Engine::serve(const Deadline& due, uint64_t now_ns) {
  switch (due.kind) {
    case DeadlineKind::State:
      return expire(*peers_[due.slot]);
    case DeadlineKind::Heartbeat:
      return heartbeat(*peers_[due.slot], now_ns);
    case DeadlineKind::AcceptRetry:
      return retry_accepts(now_ns);
  }
}

uint32_t Engine::work_of(const Deadline& deadline) const {
  switch (deadline.kind) {
    case DeadlineKind::State:
      return peers_[deadline.slot]->state == State::Open ? kWelcomeWork : kDueWork;
    case DeadlineKind::Heartbeat:
      return peers_[deadline.slot]->heard ? kLookWork : kDueWork;
    default:
      return kLookWork;
  }
}

// For the first of all servers that wait to accept again.
void Engine::set_accept_retry() {
  uint64_t first_ns = UINT64_MAX;
  for (const Server& it : servers_) {
    if (it.accept_retry_ns != 0) first_ns = std::min(first_ns, it.accept_retry_ns);
  }
  if (first_ns == UINT64_MAX) {
    deadlines_.clear(accept_retry_);
  } else {
    deadlines_.set(accept_retry_, first_ns);
  }
}

void Engine::retry_accepts(uint64_t now_ns) {
  for (uint32_t server = 0; server < servers_.size(); ++server) {
    Server& it = servers_[server];
    if (it.accept_retry_ns == 0 || now_ns < it.accept_retry_ns) continue;
    it.accept_retry_ns = 0;
    it.accept_paused = false;
    io_->accept_pause(server, false);
  }
  set_accept_retry();
}

void Engine::expire(Peer& peer) {
  switch (peer.state) {
    case State::Connecting:
    case State::Greeting:
      if (peer.of_server) {
        count_server(peer, layout::kServerCounterHandshakeTimeouts, 1);
        fail(peer, Code::HandshakeTimeout, 0, "", true);
      } else {
        fail(peer, peer.send_failed ? Code::ConnectFailed : Code::ConnectTimeout, peer.send_error, "", false);
      }
      return;
    case State::Open:
      if (peer.send_failed) {
        fail(peer, Code::ConnectionFailed, peer.send_error, "", false);
      } else {
        end_probation(peer);
      }
      return;
    case State::Draining:
      peer.reset_on_close = true;
      release(peer);
      return;
    default:
      release(peer);
  }
}

void Engine::end_probation(Peer& peer) {
  clear_deadline(peer);
  const int error = io_->welcome(peer.slot);
  if (error != 0) fail(peer, Code::ConnectionFailed, error, "", false);
}

void Engine::begin_heartbeats(Peer& peer) {
  if (peer.heartbeat_ms == 0 || peer.protocol != Protocol::Native) return;
  const uint64_t interval_ns = peer.heartbeat_ms * kMillisecondNs;
  deadlines_.set(peer.heartbeat, moment_after(io_->now_ns() + interval_ns, interval_ns));
}

void Engine::heartbeat(Peer& peer, uint64_t now_ns) {
  const uint64_t interval_ns = peer.heartbeat_ms * kMillisecondNs;
  deadlines_.set(peer.heartbeat, moment_before(now_ns, interval_ns) + interval_ns);
  if (peer.heard) {
    peer.heard = false;
    peer.silent_heartbeats = 0;
    return;
  }
  if (++peer.silent_heartbeats > kSilentHeartbeatsMax) {
    count_server(peer, layout::kServerCounterHeartbeatTimeouts, 1);
    fail(peer, Code::HeartbeatTimeout, 0, "", true);
    return;
  }
  uint8_t frame[kControlFrameBytesMax];
  uint8_t payload[kPingBytes];
  store<uint64_t>(payload, now_ns);
  queue_control(peer, frame, write_echo(frame, Opcode::Ping, payload));
  pump(peer);
}

}  // namespace zerio
