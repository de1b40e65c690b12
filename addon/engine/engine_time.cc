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
// How often an idle limit is looked at within its time: a connection ends at most so much of it, and two moments, late.
constexpr uint8_t kIdleLooks = 4;

// The last moment that is not after `at_ns`, and the first one that is not before it.
uint64_t moment_before(uint64_t at_ns, uint64_t interval_ns) { return at_ns - at_ns % (interval_ns / kMomentsPerInterval); }
uint64_t moment_after(uint64_t at_ns, uint64_t interval_ns) {
  return moment_before(at_ns + interval_ns / kMomentsPerInterval - 1, interval_ns);
}

// A heartbeat asks first.
bool may_end(DeadlineKind kind) {
  return kind == DeadlineKind::State || kind == DeadlineKind::Idle || kind == DeadlineKind::Question;
}

}  // namespace

void Engine::set_deadline(Peer& peer, uint32_t timeout_ms) {
  deadlines_.set(peer.deadline, io_->now_ns() + timeout_ms * kMillisecondNs);
}

void Engine::clear_deadline(Peer& peer) { deadlines_.clear(peer.deadline); }

void Engine::tick() {
  const uint64_t now = io_->now_ns();
  ticking_ = !deadlines_.empty() && now >= deadlines_.first_ns() && !serve_due(now);
}

// Returns whether that is all.
bool Engine::serve_due(uint64_t now_ns) {
  uint32_t left = kWorkPerPoll;
  while (!deadlines_.empty() && deadlines_.first_ns() <= now_ns) {
    Deadline& due = deadlines_.first();
    const bool late = may_end(due.kind) && !due.was_put_off && now_ns - deadlines_.first_ns() > kLateNs;
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
    case DeadlineKind::Idle:
      return look_for_idle(*peers_[due.slot], now_ns);
    case DeadlineKind::Question:
      return end_question(*peers_[due.slot]);
    case DeadlineKind::AcceptRetry:
      return retry_accepts(now_ns);
    case DeadlineKind::Report:
      report_refusals(now_ns);
      return set_report(now_ns);
  }
}

uint32_t Engine::work_of(const Deadline& deadline) const {
  if (deadline.kind == DeadlineKind::AcceptRetry || deadline.kind == DeadlineKind::Report) return kLookWork;
  const Peer& peer = *peers_[deadline.slot];
  switch (deadline.kind) {
    case DeadlineKind::Heartbeat:
      return (peer.heard & kHeardByHeartbeat) != 0 ? kLookWork : kDueWork;
    case DeadlineKind::Idle:
      return (peer.heard & kHeardByIdle) != 0 || peer.silent_looks + 1 < kIdleLooks ? kLookWork : kDueWork;
    case DeadlineKind::Question:
      return (peer.heard & kHeardByQuestion) != 0 ? kLookWork : kDueWork;
    default:
      return peer.state == State::Open ? kWelcomeWork : kDueWork;
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

void Engine::set_report(uint64_t now_ns) {
  if (unreported_ > 0) {
    deadlines_.set(report_, now_ns + ReportRate::kIntervalNs);
  } else {
    deadlines_.clear(report_);
  }
}

void Engine::retry_accepts(uint64_t now_ns) {
  for (uint32_t server = 0; server < servers_.size(); ++server) {
    const Server& it = servers_[server];
    if (it.accept_retry_ns == 0 || now_ns < it.accept_retry_ns) continue;
    resume_accept(server);
  }
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

// ---- Silence

void Engine::begin_looks(Peer& peer) {
  const uint64_t heartbeat_ns = peer.heartbeat_ms * kMillisecondNs;
  if (heartbeat_ns != 0 && peer.protocol == Protocol::Native) {
    deadlines_.set(peer.heartbeat, moment_after(io_->now_ns() + heartbeat_ns, heartbeat_ns));
  }
  const uint64_t idle_ns = peer.idle_timeout_ms * kMillisecondNs;
  if (idle_ns != 0) {
    peer.heard &= static_cast<uint8_t>(~kHeardByIdle);
    deadlines_.set(peer.idle, moment_after(io_->now_ns() + idle_ns / kIdleLooks, idle_ns));
  }
}

void Engine::end_looks(Peer& peer) {
  deadlines_.clear(peer.heartbeat);
  deadlines_.clear(peer.idle);
  deadlines_.clear(peer.question);
}

void Engine::heartbeat(Peer& peer, uint64_t now_ns) {
  const uint64_t interval_ns = peer.heartbeat_ms * kMillisecondNs;
  deadlines_.set(peer.heartbeat, moment_before(now_ns, interval_ns) + interval_ns);
  if ((peer.heard & kHeardByHeartbeat) != 0) {
    peer.heard &= static_cast<uint8_t>(~kHeardByHeartbeat);
    peer.silent_heartbeats = 0;
    return;
  }
  if (++peer.silent_heartbeats > kSilentHeartbeatsMax) {
    count_server(peer, layout::kServerCounterHeartbeatTimeouts, 1);
    fail(peer, Code::HeartbeatTimeout, 0, "", true);
    return;
  }
  ping(peer, now_ns);
}

void Engine::look_for_idle(Peer& peer, uint64_t now_ns) {
  const uint64_t limit_ns = peer.idle_timeout_ms * kMillisecondNs;
  const uint64_t step_ns = limit_ns / kIdleLooks;
  if ((peer.heard & kHeardByIdle) != 0) {
    peer.heard &= static_cast<uint8_t>(~kHeardByIdle);
    peer.silent_looks = 0;
    deadlines_.set(peer.idle, moment_after(now_ns + step_ns, limit_ns));
    return;
  }
  if (++peer.silent_looks < kIdleLooks) {
    deadlines_.set(peer.idle, moment_before(now_ns, limit_ns) + step_ns);
    return;
  }
  count_server(peer, layout::kServerCounterIdleTimeouts, 1);
  fail(peer, Code::IdleTimeout, 0, "", true);
}

// Another connection wants this peer's id. Its own may be dead without anybody knowing: it is asked, and has as long to say
// something as two handshakes may take.
void Engine::question(Peer& peer) {
  if (peer.protocol != Protocol::Native || peer.state != State::Open || peer.question.is_set()) return;
  const uint64_t now_ns = io_->now_ns();
  peer.heard &= static_cast<uint8_t>(~kHeardByQuestion);
  deadlines_.set(peer.question, now_ns + 2 * servers_[peer.server].options.handshake_timeout_ms * kMillisecondNs);
  ping(peer, now_ns);
}

void Engine::end_question(Peer& peer) {
  deadlines_.clear(peer.question);
  if ((peer.heard & kHeardByQuestion) != 0) return;
  count_server(peer, layout::kServerCounterHeartbeatTimeouts, 1);
  fail(peer, Code::HeartbeatTimeout, 0, "", true);
}

void Engine::ping(Peer& peer, uint64_t now_ns) {
  uint8_t frame[kControlFrameBytesMax];
  uint8_t payload[kPingBytes];
  store<uint64_t>(payload, now_ns);
  queue_control(peer, frame, write_echo(frame, Opcode::Ping, payload));
  pump(peer);
}

}  // namespace zerio
