// How connections end: by a close, a fault or the other side, or with the process. What was accepted is sent, then the farewell,
// and then the slot is freed.
#include <algorithm>
#include <utility>

#include "../io/memory.h"
#include "check.h"
#include "engine.h"

namespace zerio {
namespace {

// When thousands of connections end at once, a poll carries out a few ends. A program that polls seldom gets more of them, for a
// quarter of the time since the last poll, up to a millisecond; one that polls each 20 milliseconds or less often, for a
// twentieth of that time, because thousands of ends would take minutes otherwise.
constexpr uint64_t kEndsShare = 4;
constexpr uint64_t kEndsSeldomNs = kMillisecondNs;
constexpr uint64_t kEndsMaxNs = kMillisecondNs;
constexpr uint64_t kEndsSeldomShare = 20;
constexpr uint64_t kEndsSeldomMaxNs = 20 * kMillisecondNs;
// How many of the ends that wait are looked at for one that makes a place free.
constexpr uint32_t kEndsLookedAtMax = 256;
// A process that ends waits at most so long for a connection whose other side does not read.
constexpr uint32_t kHandOverMsMax = 1000;

bool is_protocol_error(Code code) {
  switch (code) {
    case Code::ProtocolError:
    case Code::MessageTooLong:
    case Code::MalformedHello:
    case Code::UnsupportedVersion:
    case Code::InvalidPeerId:
      return true;
    default:
      return false;
  }
}

// Whether a session goes on after such an end of its connection.
bool is_break(Code code) { return code == Code::ConnectionFailed || code == Code::PeerLeft || code == Code::HeartbeatTimeout; }

}  // namespace

void Engine::close(uint32_t slot, uint16_t code, std::string_view reason) {
  Connection* const connection = connection_at(slot);
  if (connection == nullptr || connection->life.state == State::Free || connection->life.close_requested) return;
  connection->life.close_requested = true;
  connection->life.close_code = code;
  (void)keep(connection->life.reason, reason);
  defer(*connection);
}

void Engine::end(uint32_t slot) {
  Connection* const connection = connection_at(slot);
  if (connection == nullptr || connection->life.state != State::Open || connection->life.in_session) return;
  connection->life.end_requested = true;
  // No answer to a PING is asked for any more, because none could be asked for again.
  deadlines_.clear(connection->heartbeat);
  deadlines_.clear(connection->question);
  defer(*connection);
}

void Engine::abort(uint32_t slot) {
  Connection* const connection = connection_at(slot);
  if (connection == nullptr || connection->life.state == State::Free) return;
  connection->life.close_requested = connection->life.reset_on_close = true;
  const uint16_t of_all = connection->life.of_server ? servers_[connection->life.server].close_code : 0;
  if (connection->life.close_code == 0) connection->life.close_code = of_all != 0 ? of_all : static_cast<uint16_t>(Code::Aborted);
  defer(*connection);
}

void Engine::defer(Connection& connection) {
  if (connection.life.deferred) return;
  connection.life.deferred = true;
  deferred_.push_back(connection);
}

void Engine::carry_out_ends() {
  const uint64_t began = io_->now_ns();
  const uint64_t since_ns = ends_left_ ? began - ends_ns_ : 0;
  uint64_t most_ns = since_ns > kEndsSeldomNs ? std::min(since_ns / kEndsShare, kEndsMaxNs) : 0;
  most_ns = std::max(most_ns, std::min(since_ns / kEndsSeldomShare, kEndsSeldomMaxNs));
  for (uint32_t done = 0; has_ends_due() && has_event_room() && has_verdict_room(); ++done) {
    if (done >= options_.ends_per_poll && (most_ns == 0 || io_->now_ns() - began >= most_ns)) break;
    if (deferred_.empty()) {
      dismiss();
    } else {
      carry_out(*deferred_.first());
    }
  }
  ends_left_ = has_ends_due();
  ends_ns_ = began;
}

void Engine::carry_out(Connection& connection) {
  Life& life = connection.life;
  deferred_.remove(connection);
  life.deferred = false;
  if (!life.close_requested) {
    if (life.end_requested && !life.end_sent && life.state == State::Open) send_end(connection);
    if (life.is_idle && receives(life.state)) {
      end_idle(connection);
    } else if (life.end_deferred) {
      end_left(connection);
    } else if (life.verdict != Verdict::None) {
      // What came before the verdict counts as received now.
      look_at_clock();
      decide_late(connection);
    }
    return;
  }
  life.end_deferred = false;
  if (!life.of_server && life.session.awaits_ring) {
    lose_session_of(connection);
    // It cannot send what was accepted, and a CLOSE would say that everything was.
    life.reset_on_close = true;
  }
  if (life.reset_on_close || life.state == State::Connecting || life.state == State::Greeting || life.state == State::Suspended) {
    report_end(connection, life.close_code, 0, "");
    release(connection);
  } else if (receives(life.state)) {
    report_end(connection, life.close_code, 0, "");
    set_farewell(connection, life.close_code, life.reason);
    drain(connection);
  }
}

// One connection of a server that stops.
void Engine::dismiss() {
  for (const Server& server : servers_) {
    Connection* const newcomer = server.listening ? nullptr : server.any_newcomer();
    // One that has sent its HELLO hears why.
    if (newcomer != nullptr && newcomer->life.place == Place::Asked) {
      return fail(*newcomer, Code::GoingAway, 0, "", newcomer->life.protocol == Protocol::Native);
    }
    if (newcomer != nullptr) return release(*newcomer);
    Connection* const connection = server.close_code == 0 ? nullptr : server.any_peer();
    if (connection == nullptr) continue;
    connection->life.close_requested = true;
    connection->life.close_code = server.close_code;
    report_end(*connection, server.close_code, 0, "");
    if (connection->life.state == State::Suspended) return release(*connection);
    set_farewell(*connection, server.close_code, "");
    drain(*connection);
    return;
  }
  check(false, "a server that stops has fewer connections than were counted");
}

void Engine::fail(Connection& connection, Code code, int error, std::string_view text, bool with_farewell) {
  Life& life = connection.life;
  if (is_protocol_error(code)) count_server(connection, layout::kServerCounterProtocolErrors, 1);
  const auto number = static_cast<uint16_t>(code);
  switch (life.state) {
    case State::Free:
      return;
    case State::Connecting:
    case State::Greeting:
      if (!life.of_server) {
        const Location at = locate(text.data());
        events_.push(EndEvent{.kind = EventKind::ConnectFailed,
                              .slot = connection.slot,
                              .slab = at.slab,
                              .offset = at.offset,
                              .length = static_cast<uint32_t>(text.size()),
                              .code = number,
                              .error = static_cast<uint32_t>(error)});
        release(connection);
        return;
      }
      life.refused = true;
      refuse(life.server, &connection, code, error);
      break;
    case State::Open:
      if (life.in_session && is_break(code)) return suspend(connection, code, error, text);
      report_end(connection, number, error, text);
      break;
    case State::Ended:
      report_end(connection, number, error, text);
      break;
    case State::Suspended:
      return;
    case State::Draining:
    case State::Lingering:
      release(connection);
      return;
  }
  if (with_farewell) {
    set_farewell(connection, number, text);
    drain(connection);
  } else {
    release(connection);
  }
}

void Engine::send_end(Connection& connection) {
  if (connection.life.end_received && !connection.life.end_deferred) {
    // Both sides have ended: the connection has, too, when what was accepted is sent.
    report_end(connection, static_cast<uint16_t>(Code::PeerLeft), 0, "");
    drain(connection);
    return;
  }
  pump(connection);
  send_end_if_sent(connection);
}

void Engine::send_end_if_sent(Connection& connection) {
  Life& life = connection.life;
  // The other side's end has its turn in this poll or in the next, with its reason.
  if (life.end_deferred) return;
  if (life.send_failed || life.send_blocked || !life.control.empty() || !connection.ring.empty()) return;
  if (!io_->sent_all(connection.slot)) return;
  io_->shutdown(connection.slot);
  life.end_sent = true;
  life.state = State::Ended;
}

// The other side has ended its stream, or an error has broken the connection. Where all peers leave at once, the first few end in
// this poll, and the others in the next ones.
void Engine::ended_by_peer(Connection& connection, int error) {
  Life& life = connection.life;
  // Nothing that follows an end changes its reason.
  if (life.end_deferred) return;
  if (life.state == State::Open && ends_later() && !(error == 0 && outlives_end(life))) {
    return end_later(connection, error != 0 ? Code::ConnectionFailed : Code::PeerLeft, error);
  }
  if (error != 0) return fail(connection, Code::ConnectionFailed, error, "", false);
  end_of_stream(connection);
}

// The other side has said that it leaves, with a CLOSE.
void Engine::left_by_peer(Connection& connection, const Farewell& farewell) {
  // A text is in the arena, and gone with this batch.
  if (farewell.reason.empty() && connection.life.state == State::Open && ends_later()) {
    return end_later(connection, static_cast<Code>(farewell.code), 0);
  }
  report_end(connection, farewell.code, 0, farewell.reason);
  release(connection);
}

// Counts an end that a peer has brought about. Returns whether its turn is a later poll.
bool Engine::ends_later() { return peer_ends_++ >= options_.ends_per_poll; }

void Engine::end_later(Connection& connection, Code code, int error) {
  Life& life = connection.life;
  life.end_received = life.end_deferred = true;
  const bool reset = code == Code::PeerLeft && sent_into_reset(life);
  life.end_code = static_cast<uint16_t>(reset ? Code::ConnectionFailed : code);
  life.end_error = reset ? life.send_error : error;
  io_->receive_stop(connection.slot);
  // Nothing can come any more, so silence says nothing.
  end_looks(connection);
  clear_deadline(connection);
  defer(connection);
}

// The turn of an end that came later has come.
void Engine::end_left(Connection& connection) {
  Life& life = connection.life;
  life.end_deferred = false;
  if (life.state != State::Open) return end_of_stream(connection);
  const auto code = static_cast<Code>(life.end_code);
  if (code == Code::PeerLeft) return leave(connection);
  if (code == Code::ConnectionFailed) return fail(connection, code, life.end_error, "", false);
  // The other side's code: its empty text, too, has a place in the arena.
  report_end(connection, life.end_code, 0, std::string_view(reinterpret_cast<const char*>(arena_), 1).substr(0, 0));
  release(connection);
}

// The peer that has this id, or nullptr. One that has left, and whose end was to come later, ends now; so does another one when
// all places are taken.
Connection* Engine::peer_of(uint32_t server, const std::string& id) {
  // What came before its end in this batch is dispatched before.
  const auto leaves = [&](const Connection& one) { return one.life.end_deferred && one.life.last_event_batch != batch_; };
  Connection* const peer = holder_of(server, id);
  Connection* leaving = peer;
  if (peer == nullptr && servers_[server].peers >= servers_[server].options.peers_max) {
    leaving = deferred_.first();
    const auto frees = [&](const Connection& one) {
      return leaves(one) && one.life.of_server && !one.life.in_session && one.life.server == server;
    };
    for (uint32_t looks = 1; leaving != nullptr && !frees(*leaving); ++looks) {
      leaving = looks < kEndsLookedAtMax ? deferred_.next(*leaving) : nullptr;
    }
  }
  if (leaving == nullptr || !leaves(*leaving) || !has_event_room()) return peer;
  carry_out(*leaving);
  return holder_of(server, id);
}

bool Engine::outlives_end(const Life& life) {
  return life.half_open && !life.in_session && !life.end_requested && !life.send_failed;
}

// The system reports a reset once, and the send that failed may have got it.
bool Engine::sent_into_reset(const Life& life) const { return life.send_error != 0 && !io_->is_broken_pipe(life.send_error); }

void Engine::end_of_stream(Connection& connection) {
  Life& life = connection.life;
  life.end_received = true;
  switch (life.state) {
    case State::Open:
      if (outlives_end(life)) {
        events_.push(Event{EventKind::Ended, connection.slot});
        io_->receive_stop(connection.slot);
        give_back_assembly(connection);
        // Nothing can come any more, so silence says nothing.
        end_looks(connection);
        return;
      }
      if (life.last_event_batch == batch_) {
        // The program has not handled the last messages yet, or the event that the connection is open. Its answers belong in
        // front of the end.
        end_later(connection, Code::PeerLeft, 0);
      } else if (sent_into_reset(life)) {
        fail(connection, Code::ConnectionFailed, life.send_error, "", false);
      } else {
        leave(connection);
      }
      return;
    case State::Draining:
      io_->receive_stop(connection.slot);
      return;
    case State::Lingering:
      release(connection);
      return;
    default:
      fail(connection, Code::PeerLeft, 0, "", false);
      return;
  }
}

// The other side has left, and may still read. What was accepted before is sent, and nothing is accepted any more.
void Engine::leave(Connection& connection) {
  if (connection.life.in_session) return suspend(connection, Code::PeerLeft, 0, "");
  report_end(connection, static_cast<uint16_t>(Code::PeerLeft), 0, "");
  drain(connection);
  if (connection.life.state != State::Free) io_->receive_stop(connection.slot);
}

void Engine::report_end(Connection& connection, uint16_t code, int error, std::string_view text) {
  Life& life = connection.life;
  if (!life.connected) return;
  life.connected = false;
  const Location at = locate(text.data());
  const uint32_t length = at.offset == 0 ? 0 : static_cast<uint32_t>(text.size());
  events_.push(EndEvent{.kind = EventKind::Disconnected,
                        .slot = connection.slot,
                        .slab = at.slab,
                        .offset = at.offset,
                        .length = length,
                        .code = code,
                        .error = static_cast<uint32_t>(error),
                        .unacknowledged = count_unacknowledged(connection)});
  end_looks(connection);
  if (!life.of_server) return;
  Server& server = servers_[life.server];
  if (life.in_session) --server.sessions;
  double* const counts = server_counters(life.server);
  check(server.ids.erase(life.id) == 1, "a peer left whose id is not known");
  if (server.close_code != 0) --dismissals_;
  counts[layout::kServerCounterPeers] = --server.peers;
  counts[layout::kServerCounterDisconnected] += 1;
}

// A farewell is a frame of the native protocol: classic has none, and another side that has not greeted may not know it.
void Engine::set_farewell(Connection& connection, uint16_t code, std::string_view reason) {
  Life& life = connection.life;
  if (life.protocol != Protocol::Native || life.end_sent) return;
  life.farewell_due = true;
  // So that the other side knows what has arrived.
  if (life.in_session && life.session.unacknowledged_bytes > 0) life.control_due = true;
  life.farewell = life.refused ? Opcode::Reject : Opcode::Close;
  life.close_code = code;
  if (reason.data() != life.reason.data()) (void)keep(life.reason, reason);
}

void Engine::drain(Connection& connection) {
  Life& life = connection.life;
  if (life.of_server) {
    if (life.state == State::Greeting) end_handshake(connection);
    change_ended(connection, 1);
    // A program that closes or ends a connection was promised that everything is sent: this one makes no room for newcomers.
    move_to(connection, life.close_requested || life.end_requested ? Place::None : Place::Draining);
  }
  give_back_assembly(connection);
  // The other side's end of stream is behind what was not received, and none of that is delivered any more.
  end_pause(connection);
  life.state = State::Draining;
  set_deadline(connection, life.linger_ms);
  if (!life.end_sent) pump(connection);
  after_pump(connection);
}

void Engine::release(Connection& connection) {
  Life& life = connection.life;
  check(life.state != State::Free, "a connection ended twice");
  if (life.of_server) {
    if (life.state == State::Greeting) end_handshake(connection);
    if (life.state == State::Draining || life.state == State::Lingering) change_ended(connection, -1);
    move_to(connection, Place::None);
  }
  // What is on its way of an attempt that is given up must not end the session's next connection.
  if (life.state == State::Greeting && !life.of_server && life.session.resumes) life.reset_on_close = true;
  const bool was_suspended = life.state == State::Suspended;
  if (was_suspended && life.in_session) count_server(connection, layout::kServerCounterSuspended, -1);
  life.state = State::Free;
  clear_deadline(connection);
  if (life.deferred) deferred_.remove(connection);
  life.deferred = false;
  give_back_assembly(connection);
  // The program gave no verdict, because it overwrote the event.
  held_bytes_ -= life.held_bytes;
  life.held_bytes = 0;
  const bool closed = was_suspended ? !life.session.closing : io_->close(connection.slot, life.reset_on_close);
  if (closed) on_closed(connection.slot);
}

// A connection that is not read any more needs no assembly buffer.
void Engine::give_back_assembly(Connection& connection) {
  if (connection.life.reader.assembly() != nullptr) assemblies_.give_back(connection.life.reader.assembly());
  connection.life.reader = FrameReader(0);
}

// The slot is free for its next life only now, because the system may have read its ring until here.
void Engine::on_closed(uint32_t slot) {
  Connection& connection = *connections_[slot];
  Life& life = connection.life;
  life.session.closing = false;
  if (life.state == State::Suspended) return;
  check(life.state == State::Free, "a living connection was closed");
  // Discards everything that JavaScript has written, sent or not. (Where no page was touched this takes half a microsecond.)
  memory_discard(connection.ring.main(), connection.ring.main_bytes());
  connection.free_texts();
  uint32_t slots_left = 0;
  if (life.of_server) {
    Server& server = servers_[life.server];
    check(server.slots > 0, "a server lost more connections than it had");
    slots_left = --server.slots;
    report_last_refusals_soon(server);
  }
  freed_in_batch_.push_back(connection.slot);
  events_.push(ReleasedEvent{.slot = connection.slot, .server = life.of_server ? life.server : kNone, .slots_left = slots_left});
}

void Engine::hand_over() {
  for (Connection* const connection : connections_) hand_over(*connection);
}

void Engine::hand_over_slot(uint32_t slot) {
  if (Connection* const connection = connection_at(slot)) hand_over(*connection);
}

void Engine::hand_over(Connection& connection) {
  // One time limit for the end of a process or worker, however many engines and late messages there are.
  thread_local const uint64_t began_ns = io_->now_ns();
  Life& life = connection.life;
  if (life.state != State::Open && life.state != State::Draining) return;
  const uint64_t until_ns = began_ns + std::min(life.linger_ms, kHandOverMsMax) * kMillisecondNs;
  for (;;) {
    pump(connection);
    const uint64_t now_ns = io_->now_ns();
    if ((!life.send_blocked && io_->sent_all(connection.slot)) || now_ns >= until_ns) return;
    const int64_t taken = io_->wait_writable(connection.slot, static_cast<uint32_t>((until_ns - now_ns) / kMillisecondNs) + 1);
    if (taken < 0) return;
    if (!std::exchange(life.send_blocked, false)) continue;
    count_sent(connection, static_cast<size_t>(taken), life.blocked_bytes, life.blocked_end);
  }
}

}  // namespace zerio
