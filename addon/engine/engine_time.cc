// Deadlines and heartbeats: what is due, a little in each poll.
#include <algorithm>

#include "engine.h"

namespace zerio {
namespace {

constexpr uint64_t kTickNs = 10 * kMillisecondNs;
// A tick that comes so late puts off, once, what has a deadline: the thread stood still, and what has arrived in time is read
// first.
constexpr uint64_t kTickLateNs = 50 * kMillisecondNs;
constexpr uint64_t kPutOffNs = 50 * kMillisecondNs;
// What is due is done a little at a time, with polls in between: when a thousand peers are due at once, nobody waits for all of
// them. A PING and an end are calls of the system that send; a welcome is a cheaper one.
constexpr uint32_t kWorkPerPoll = 16;
constexpr uint32_t kDueWork = 4;
constexpr uint32_t kWelcomeWork = 1;
constexpr uint32_t kPeersPerPoll = 256;
// After so many silent heartbeats a peer is taken for dead. The first silent one sends the PING.
constexpr uint8_t kSilentHeartbeatsMax = 3;

}  // namespace

void Engine::set_deadline(Peer& peer, uint32_t timeout_ms) {
  const uint64_t now = io_->now_ns();
  peer.deadline_ns = now + timeout_ms * kMillisecondNs;
  if (!has_timers()) {
    // No tick was missed while there was nothing to wait for.
    next_tick_ns_ = std::max(next_tick_ns_, now);
    put_off_ = false;
  }
  if (peer.timed) return;
  peer.timed = true;
  peer.timed_previous = kNone;
  peer.timed_next = timed_first_;
  if (timed_first_ != kNone) peers_[timed_first_]->timed_previous = peer.slot;
  timed_first_ = peer.slot;
}

void Engine::clear_deadline(Peer& peer) {
  if (!peer.timed) return;
  peer.timed = false;
  if (peer.timed_previous == kNone) {
    timed_first_ = peer.timed_next;
  } else {
    peers_[peer.timed_previous]->timed_next = peer.timed_next;
  }
  if (peer.timed_next != kNone) peers_[peer.timed_next]->timed_previous = peer.timed_previous;
}

void Engine::tick() {
  const uint64_t now = io_->now_ns();
  if (!ticking_) {
    if (now < next_tick_ns_) return;
    put_off_ = !put_off_ && now - next_tick_ns_ > kTickLateNs;
    next_tick_ns_ = now + (put_off_ ? kPutOffNs : kTickNs);
    heartbeat_next_ = 0;
    retry_accepts(now);
    if (unreported_ > 0) report_refusals(now);
  }
  uint32_t left = kWorkPerPoll;
  ticking_ = (!put_off_ && !expire_due(now, left)) || !send_heartbeats(now, left);
}

void Engine::retry_accepts(uint64_t now_ns) {
  for (uint32_t server = 0; accept_retries_ > 0 && server < servers_.size(); ++server) {
    const Server& it = servers_[server];
    if (it.accept_retry_ns == 0 || now_ns < it.accept_retry_ns) continue;
    resume_accept(server);
  }
}

// Returns whether that is all.
bool Engine::expire_due(uint64_t now_ns, uint32_t& left) {
  for (uint32_t slot = timed_first_; slot != kNone;) {
    Peer& peer = *peers_[slot];
    slot = peer.timed_next;
    if (now_ns < peer.deadline_ns) continue;
    const uint32_t work = peer.state == State::Open ? kWelcomeWork : kDueWork;
    if (left < work || !has_event_room()) return false;
    left -= work;
    expire(peer);
  }
  return true;
}

// Likewise.
bool Engine::send_heartbeats(uint64_t now_ns, uint32_t& left) {
  if (heartbeats_ == 0) return true;
  const auto end = static_cast<uint32_t>(std::min<size_t>(peers_.size(), heartbeat_next_ + kPeersPerPoll));
  for (; heartbeat_next_ < end; ++heartbeat_next_) {
    Peer& peer = *peers_[heartbeat_next_];
    if (peer.heartbeat_due_ns == 0 || now_ns < peer.heartbeat_due_ns) continue;
    if (left < kDueWork || !has_event_room()) return false;
    if (!peer.heard) left -= kDueWork;
    heartbeat(peer, now_ns);
  }
  return heartbeat_next_ == peers_.size();
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

// With `now_ns` 0 a peer gets its first heartbeat.
void Engine::heartbeat(Peer& peer, uint64_t now_ns) {
  if (peer.heartbeat_ms == 0 || peer.protocol != Protocol::Native) return;
  const uint64_t interval_ns = peer.heartbeat_ms * kMillisecondNs;
  if (now_ns == 0) {
    ++heartbeats_;
    peer.heartbeat_due_ns = io_->now_ns() + interval_ns;
    return;
  }
  peer.heartbeat_due_ns = now_ns + interval_ns;
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
