// What is done when a deadline is due, a little in each poll: time limits, probation, heartbeats and idle limits.
#include <algorithm>

#include "engine.h"

namespace zerio {
namespace {

// A poll that comes so late after a deadline means that the thread has stood still. A deadline that ends a connection is put off
// once then, so that bytes which arrived in time are read first. Timers alone are late by less: those of Windows have steps of
// 16 ms.
constexpr uint64_t kLateNs = 20 * kMillisecondNs;
constexpr uint64_t kPutOffNs = 50 * kMillisecondNs;
// When a thousand deadlines are due at once, each poll serves some of them, so that messages do not wait for all. A PING and an
// end are system calls that send, a promotion is a cheaper one, and a look needs none.
constexpr uint32_t kWorkPerPoll = 256;
constexpr uint32_t kDueWork = 64;
constexpr uint32_t kPromotionWork = 16;
constexpr uint32_t kLookWork = 1;
// The looks of one interval fall on so many moments of it, whenever the connections opened, so that a thousand silent peers do
// not wake the thread a thousand times.
constexpr uint64_t kMomentsPerInterval = 16;
// After so many silent heartbeats the other side counts as dead. The first silent one sends the PING.
constexpr uint8_t kSilentHeartbeatsMax = 3;
// How often an idle limit is looked at within its time. A connection ends at most one such part of the limit, and two moments,
// late.
constexpr uint8_t kIdleLooks = 4;

// The last moment that is not after `at_ns`, and the first one that is not before it.
uint64_t moment_before(uint64_t at_ns, uint64_t interval_ns) { return at_ns - at_ns % (interval_ns / kMomentsPerInterval); }
uint64_t moment_after(uint64_t at_ns, uint64_t interval_ns) {
  return moment_before(at_ns + interval_ns / kMomentsPerInterval - 1, interval_ns);
}

// Whether such a deadline may end a connection at once. A heartbeat sends a PING first.
bool may_end(DeadlineKind kind) {
  return kind == DeadlineKind::State || kind == DeadlineKind::Idle || kind == DeadlineKind::Question;
}

}  // namespace

void Engine::set_deadline(Connection& connection, uint32_t timeout_ms) {
  deadlines_.set(connection.deadline, io_->now_ns() + timeout_ms * kMillisecondNs);
}

void Engine::clear_deadline(Connection& connection) { deadlines_.clear(connection.deadline); }

// For the events of what is received now.
void Engine::look_at_clock() {
  const uint64_t now = io_->now_ns();
  if (receives_ == 0) {
    received_ns_ = now;
    counters_[layout::kEngineReceivedNs] = static_cast<double>(now);
  }
  after_ns_ = static_cast<uint32_t>(std::min<uint64_t>(now - received_ns_, UINT32_MAX));
}

void Engine::tick() {
  // A poll that has received knows the time.
  const uint64_t now = receives_ > 0 ? received_ns_ : io_->now_ns();
  ticking_ = !deadlines_.empty() && now >= deadlines_.first_ns() && !serve_due(now);
}

// Returns whether everything that is due was done.
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
      return expire(*connections_[due.slot]);
    case DeadlineKind::Heartbeat:
      return heartbeat(*connections_[due.slot], now_ns);
    case DeadlineKind::Idle:
      return look_for_idle(*connections_[due.slot], now_ns);
    case DeadlineKind::Question:
      return end_question(*connections_[due.slot]);
    case DeadlineKind::Acknowledgement:
      return acknowledge_late(*connections_[due.slot]);
    case DeadlineKind::AcceptRetry:
      return retry_accepts(now_ns);
    case DeadlineKind::Report:
      report_refusals(now_ns);
      return set_report(now_ns);
    case DeadlineKind::Io:
      // The next poll, which Io::has_news() asks for, reports it.
      return deadlines_.clear(io_due_);
  }
}

uint32_t Engine::work_of(const Deadline& deadline) const {
  if (deadline.slot == kNone) return kLookWork;
  const Connection& connection = *connections_[deadline.slot];
  const Life& life = connection.life;
  switch (deadline.kind) {
    case DeadlineKind::Heartbeat:
      return (life.heard & kHeardByHeartbeat) != 0 ? kLookWork : kDueWork;
    case DeadlineKind::Idle:
      return kLookWork;
    case DeadlineKind::Question:
      return (life.heard & kHeardByQuestion) != 0 ? kLookWork : kDueWork;
    case DeadlineKind::Acknowledgement:
      return life.session.unacknowledged_bytes == 0 ? kLookWork : kPromotionWork;
    default:
      return receives(life.state) ? kPromotionWork : kDueWork;
  }
}

void Engine::on_due(uint64_t due_ns) {
  if (due_ns == kNothingDue) {
    deadlines_.clear(io_due_);
  } else {
    deadlines_.set(io_due_, due_ns);
  }
}

// The deadline is that of the first server that is to accept again.
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

void Engine::expire(Connection& connection) {
  Life& life = connection.life;
  switch (life.state) {
    case State::Connecting:
    case State::Greeting:
      if (life.of_server) {
        count_server(connection, layout::kServerCounterHandshakeTimeouts, 1);
        fail(connection, Code::HandshakeTimeout, 0, "", true);
      } else {
        fail(connection, life.send_failed ? Code::ConnectFailed : Code::ConnectTimeout, life.send_error, "", false);
      }
      return;
    case State::Open:
    case State::Ended:
      if (life.send_failed) {
        fail(connection, Code::ConnectionFailed, life.send_error, "", false);
      } else {
        end_probation(connection);
      }
      return;
    case State::Draining:
      life.reset_on_close = true;
      release(connection);
      return;
    case State::Suspended:
      count_server(connection, layout::kServerCounterSessionsLost, 1);
      report_end(connection, static_cast<uint16_t>(Code::SessionLost), 0, "");
      release(connection);
      return;
    default:
      release(connection);
  }
}

void Engine::end_probation(Connection& connection) {
  clear_deadline(connection);
  const int error = io_->promote(connection.slot);
  if (error != 0) fail(connection, Code::ConnectionFailed, error, "", false);
}

// ---- Silence

void Engine::begin_looks(Connection& connection) {
  begin_heartbeats(connection);
  begin_idle_looks(connection);
}

void Engine::begin_heartbeats(Connection& connection) {
  Life& life = connection.life;
  const uint64_t interval_ns = life.heartbeat_ms * kMillisecondNs;
  life.silent_heartbeats = 0;
  const bool has_answers = life.protocol == Protocol::Native && !life.end_requested && !life.end_received;
  if (interval_ns == 0 || !has_answers) return deadlines_.clear(connection.heartbeat);
  deadlines_.set(connection.heartbeat, moment_after(io_->now_ns() + interval_ns, interval_ns));
}

void Engine::begin_idle_looks(Connection& connection) {
  Life& life = connection.life;
  const uint64_t limit_ns = life.idle_timeout_ms * kMillisecondNs;
  life.is_idle = false;
  life.silent_looks = 0;
  life.heard &= static_cast<uint8_t>(~kHeardByIdle);
  if (limit_ns == 0 || life.end_received) return deadlines_.clear(connection.idle);
  deadlines_.set(connection.idle, moment_after(io_->now_ns() + limit_ns / kIdleLooks, limit_ns));
}

void Engine::configure(uint32_t slot, Setting setting, uint32_t value) {
  Connection* const connection = connection_at(slot);
  if (connection == nullptr || connection->life.state == State::Free || connection->life.state == State::Suspended) return;
  Life& life = connection->life;
  switch (setting) {
    case Setting::LingerMs:
      life.linger_ms = value;
      if (life.state == State::Draining || life.state == State::Lingering) set_deadline(*connection, value);
      return;
    case Setting::HeartbeatMs:
      life.heartbeat_ms = value;
      if (life.state == State::Open) begin_heartbeats(*connection);
      return;
    case Setting::IdleTimeoutMs:
      life.idle_timeout_ms = value;
      if (receives(life.state)) begin_idle_looks(*connection);
      return;
    case Setting::NoDelay:
      return io_->configure(slot, SocketSetting::NoDelay, value);
    case Setting::KeepAliveMs:
      return io_->configure(slot, SocketSetting::KeepAliveMs, value);
    case Setting::UserTimeoutMs:
      return io_->configure(slot, SocketSetting::UserTimeoutMs, value);
  }
}

void Engine::end_looks(Connection& connection) {
  deadlines_.clear(connection.heartbeat);
  deadlines_.clear(connection.idle);
  deadlines_.clear(connection.question);
  deadlines_.clear(connection.acknowledgement);
}

void Engine::heartbeat(Connection& connection, uint64_t now_ns) {
  Life& life = connection.life;
  const uint64_t interval_ns = life.heartbeat_ms * kMillisecondNs;
  deadlines_.set(connection.heartbeat, moment_before(now_ns, interval_ns) + interval_ns);
  if ((life.heard & kHeardByHeartbeat) != 0) {
    life.heard &= static_cast<uint8_t>(~kHeardByHeartbeat);
    life.silent_heartbeats = 0;
    return;
  }
  if (life.paused) {
    // It cannot be heard. The PING shows the other side that this one lives, because its own PINGs are not read.
    ping(connection, now_ns);
    return;
  }
  if (++life.silent_heartbeats > kSilentHeartbeatsMax) {
    count_server(connection, layout::kServerCounterHeartbeatTimeouts, 1);
    fail(connection, Code::HeartbeatTimeout, 0, "", true);
    return;
  }
  ping(connection, now_ns);
}

void Engine::look_for_idle(Connection& connection, uint64_t now_ns) {
  Life& life = connection.life;
  const uint64_t limit_ns = life.idle_timeout_ms * kMillisecondNs;
  const uint64_t step_ns = limit_ns / kIdleLooks;
  if ((life.heard & kHeardByIdle) != 0 || life.paused) {
    life.heard &= static_cast<uint8_t>(~kHeardByIdle);
    life.silent_looks = 0;
    deadlines_.set(connection.idle, moment_after(now_ns + step_ns, limit_ns));
    return;
  }
  if (++life.silent_looks < kIdleLooks) {
    deadlines_.set(connection.idle, moment_before(now_ns, limit_ns) + step_ns);
    return;
  }
  // The program hears of it first, and may set another limit. Otherwise the next poll ends the connection.
  deadlines_.clear(connection.idle);
  life.is_idle = true;
  events_.push(Event{EventKind::Idle, connection.slot});
  defer(connection);
}

void Engine::end_idle(Connection& connection) {
  count_server(connection, layout::kServerCounterIdleTimeouts, 1);
  fail(connection, Code::IdleTimeout, 0, "", true);
}

// Another connection wants this peer's id. This one may be dead although its socket is open, so it gets a PING, and as long to
// answer as two handshakes may take.
void Engine::question(Connection& connection) {
  Life& life = connection.life;
  if (life.protocol != Protocol::Native || life.state != State::Open || connection.question.is_set()) return;
  // A connection of which one side has ended has no answer to give.
  if (life.end_requested || life.end_received) return;
  const uint64_t now_ns = io_->now_ns();
  life.heard &= static_cast<uint8_t>(~kHeardByQuestion);
  deadlines_.set(connection.question, now_ns + 2 * servers_[life.server].options.handshake_timeout_ms * kMillisecondNs);
  ping(connection, now_ns);
}

void Engine::end_question(Connection& connection) {
  deadlines_.clear(connection.question);
  if ((connection.life.heard & kHeardByQuestion) != 0 || connection.life.paused) return;
  count_server(connection, layout::kServerCounterHeartbeatTimeouts, 1);
  fail(connection, Code::HeartbeatTimeout, 0, "", true);
}

void Engine::ask_no_more(uint32_t slot) {
  Connection* const connection = connection_at(slot);
  if (connection != nullptr && std::exchange(connection->life.ping_asked, false)) connection->life.ping_ns = 0;
}

void Engine::ask(uint32_t slot) {
  Connection* const connection = connection_at(slot);
  if (connection == nullptr || connection->life.state != State::Open || connection->life.protocol != Protocol::Native) return;
  Life& life = connection->life;
  if (!life.control.fits(kHeaderBytes + kPingBytes)) pump(*connection);
  life.ping_asked = false;
  const uint64_t now_ns = io_->now_ns();
  if (!ping(*connection, now_ns)) return;
  life.ping_asked = true;
  // Also while it is paused: the answer is read afterwards.
  life.ping_ns = now_ns;
}

// Returns false when another side that does not read has left no room for it.
bool Engine::ping(Connection& connection, uint64_t now_ns) {
  Life& life = connection.life;
  uint8_t frame[kControlFrameBytesMax];
  uint8_t payload[kPingBytes];
  store<uint64_t>(payload, now_ns);
  const bool queued = queue_control(connection, frame, write_echo(frame, Opcode::Ping, payload));
  // That of a heartbeat does not take the place of the one that the program waits for.
  if (queued && !life.ping_asked && !life.paused) life.ping_ns = now_ns;
  pump(connection);
  return queued;
}

// The other side chooses what it sends: only the answer to the PING that is measured counts, and only once.
void Engine::on_pong(Connection& connection, const uint8_t* payload) {
  constexpr double kNsPerMicrosecond = 1000;
  Life& life = connection.life;
  if (life.ping_ns == 0 || load<uint64_t>(payload) != life.ping_ns) return;
  const uint64_t took_ns = std::max<uint64_t>(io_->now_ns() - std::exchange(life.ping_ns, 0), 1);
  connection.counters[layout::kSlotPingUs] = static_cast<double>(took_ns) / kNsPerMicrosecond;
  if (std::exchange(life.ping_asked, false)) events_.push(Event{EventKind::Pong, connection.slot});
}

// After a pause every rule of silence begins anew: what the other side has sent meanwhile could not be heard.
void Engine::pause(uint32_t slot, bool paused) {
  Connection* const connection = connection_at(slot);
  if (connection == nullptr || !receives(connection->life.state) || connection->life.paused == paused) return;
  Life& life = connection->life;
  life.paused = paused;
  life.heard = kHeardByAll;
  // The program pauses it when it hears that it is idle.
  if (life.is_idle) begin_idle_looks(*connection);
  // The answer to a PING would have waited as long as the pause lasts.
  if (!life.ping_asked) life.ping_ns = 0;
  io_->receive_pause(slot, paused);
}

// The engine itself reads on, though the program has paused the connection.
void Engine::end_pause(Connection& connection) {
  if (std::exchange(connection.life.paused, false)) io_->receive_pause(connection.slot, false);
}

}  // namespace zerio
