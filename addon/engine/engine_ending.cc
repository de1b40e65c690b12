// How connections end: by a close, a fault or the other side, with what is still to be sent and said, until the slot is free.
#include <algorithm>

#include "../io/memory.h"
#include "check.h"
#include "engine.h"

namespace zerio {
namespace {

// An end costs some 20 microseconds, and all peers wait for it: a program that closes thousands of connections has so many of
// them carried out in a poll. More only where it polls seldom, for a quarter of the time that has passed since, up to a
// millisecond.
constexpr uint32_t kEndsPerPoll = 4;
constexpr uint64_t kEndsShare = 4;
constexpr uint64_t kEndsSeldomNs = kMillisecondNs;
constexpr uint64_t kEndsMostNs = kMillisecondNs;

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

}  // namespace

void Engine::close(uint32_t slot, uint16_t code, std::string_view reason) {
  Peer* const peer = peer_at(slot);
  if (peer == nullptr || peer->state == State::Free || peer->close_requested) return;
  peer->close_requested = true;
  peer->close_code = code;
  (void)keep(peer->reason, reason);
  defer(*peer);
}

void Engine::abort(uint32_t slot) {
  Peer* const peer = peer_at(slot);
  if (peer == nullptr || peer->state == State::Free) return;
  peer->close_requested = peer->reset_on_close = true;
  const uint16_t of_all = peer->of_server ? servers_[peer->server].close_code : 0;
  if (peer->close_code == 0) peer->close_code = of_all != 0 ? of_all : static_cast<uint16_t>(Code::Aborted);
  defer(*peer);
}

void Engine::defer(Peer& peer) {
  if (peer.deferred) return;
  peer.deferred = true;
  deferred_.push_back(peer);
}

void Engine::carry_out_ends() {
  const uint64_t began = io_->now_ns();
  const uint64_t since_ns = ends_left_ ? began - ends_ns_ : 0;
  const uint64_t most_ns = since_ns > kEndsSeldomNs ? std::min(since_ns / kEndsShare, kEndsMostNs) : 0;
  for (uint32_t done = 0; has_ends_due() && has_event_room(); ++done) {
    if (done >= kEndsPerPoll && (most_ns == 0 || io_->now_ns() - began >= most_ns)) break;
    if (deferred_.empty()) {
      dismiss();
    } else {
      carry_out(*deferred_.first());
    }
  }
  ends_left_ = has_ends_due();
  ends_ns_ = began;
}

void Engine::carry_out(Peer& peer) {
  deferred_.remove(peer);
  peer.deferred = false;
  if (!peer.close_requested) {
    if (peer.end_deferred) end_of_stream(peer);
    return;
  }
  if (peer.reset_on_close || peer.state == State::Connecting || peer.state == State::Greeting) {
    report_end(peer, peer.close_code, 0, "");
    release(peer);
  } else if (peer.state == State::Open) {
    report_end(peer, peer.close_code, 0, "");
    say_farewell(peer, peer.close_code, peer.reason);
    drain(peer);
  }
}

// One connection of a server that stops.
void Engine::dismiss() {
  for (const Server& server : servers_) {
    Peer* const newcomer = server.listening ? nullptr : server.newcomer();
    if (newcomer != nullptr) return release(*newcomer);
    Peer* const peer = server.close_code == 0 ? nullptr : server.peer();
    if (peer == nullptr) continue;
    peer->close_requested = true;
    peer->close_code = server.close_code;
    report_end(*peer, server.close_code, 0, "");
    say_farewell(*peer, server.close_code, "");
    drain(*peer);
    return;
  }
  check(false, "a server that stops has fewer connections than were counted");
}

void Engine::fail(Peer& peer, Code code, int error, std::string_view text, bool tell) {
  if (is_protocol_error(code)) count_server(peer, layout::kServerCounterProtocolErrors, 1);
  const auto number = static_cast<uint16_t>(code);
  switch (peer.state) {
    case State::Free:
      return;
    case State::Connecting:
    case State::Greeting:
      if (!peer.of_server) {
        const Location at = locate(text.data());
        events_.push(EndEvent{.kind = EventKind::ConnectFailed,
                              .slot = peer.slot,
                              .slab = at.slab,
                              .offset = at.offset,
                              .length = static_cast<uint32_t>(text.size()),
                              .code = number,
                              .error = static_cast<uint32_t>(error)});
        release(peer);
        return;
      }
      peer.refused = true;
      refuse(peer.server, code, error);
      break;
    case State::Open:
      report_end(peer, number, error, text);
      break;
    case State::Draining:
    case State::Lingering:
      release(peer);
      return;
  }
  if (tell) {
    say_farewell(peer, number, text);
    drain(peer);
  } else {
    release(peer);
  }
}

void Engine::end_of_stream(Peer& peer) {
  peer.end_received = true;
  switch (peer.state) {
    case State::Open:
      if (peer.told_batch == batch_) {
        // The program has not seen the last messages yet, or not that there is a connection; its answers belong in front of the
        // end.
        peer.end_deferred = true;
        io_->receive_stop(peer.slot);
        defer(peer);
        return;
      }
      // A reset is told once, and the send that failed may have been told.
      if (peer.send_error != 0 && !io_->is_broken_pipe(peer.send_error)) {
        fail(peer, Code::ConnectionFailed, peer.send_error, "", false);
        return;
      }
      // The other side may still read: what was accepted before it left is sent, but nothing is added to it.
      report_end(peer, static_cast<uint16_t>(Code::PeerLeft), 0, "");
      drain(peer);
      if (peer.state != State::Free) io_->receive_stop(peer.slot);
      return;
    case State::Draining:
      io_->receive_stop(peer.slot);
      return;
    case State::Lingering:
      release(peer);
      return;
    default:
      fail(peer, Code::PeerLeft, 0, "", false);
      return;
  }
}

void Engine::report_end(Peer& peer, uint16_t code, int error, std::string_view text) {
  if (!peer.connected) return;
  peer.connected = false;
  const Location at = locate(text.data());
  const uint32_t length = at.offset == 0 ? 0 : static_cast<uint32_t>(text.size());
  events_.push(EndEvent{.kind = EventKind::Disconnected,
                        .slot = peer.slot,
                        .slab = at.slab,
                        .offset = at.offset,
                        .length = length,
                        .code = code,
                        .error = static_cast<uint32_t>(error)});
  end_looks(peer);
  if (!peer.of_server) return;
  Server& server = servers_[peer.server];
  double* const counts = server_counters(peer.server);
  check(server.ids.erase(peer.id) == 1, "a peer left that was not there");
  if (server.close_code != 0) --dismissals_;
  counts[layout::kServerCounterPeers] = --server.peers;
  counts[layout::kServerCounterDisconnected] += 1;
}

// Classic has no words for it, and a connection that has not said what it speaks would not understand them.
void Engine::say_farewell(Peer& peer, uint16_t code, std::string_view reason) {
  if (peer.protocol != Protocol::Native) return;
  peer.farewell_due = true;
  peer.farewell = peer.refused ? Opcode::Reject : Opcode::Close;
  peer.close_code = code;
  if (reason.data() != peer.reason.data()) (void)keep(peer.reason, reason);
}

void Engine::drain(Peer& peer) {
  if (peer.of_server) {
    if (peer.state == State::Greeting) end_handshake(peer);
    change_ended(peer, 1);
    // What the program has closed was promised that all is sent.
    move_to(peer, peer.close_requested ? Place::None : Place::Draining);
  }
  give_back_assembly(peer);
  peer.state = State::Draining;
  set_deadline(peer, peer.linger_ms);
  pump(peer);
  after_pump(peer);
}

void Engine::release(Peer& peer) {
  check(peer.state != State::Free, "a connection ended twice");
  if (peer.of_server) {
    if (peer.state == State::Greeting) end_handshake(peer);
    if (peer.state == State::Draining || peer.state == State::Lingering) change_ended(peer, -1);
    move_to(peer, Place::None);
  }
  peer.state = State::Free;
  clear_deadline(peer);
  if (peer.deferred) deferred_.remove(peer);
  peer.deferred = false;
  give_back_assembly(peer);
  // Its question was never answered, because the program overwrote the event.
  held_bytes_ -= peer.held_bytes;
  peer.held_bytes = 0;
  if (io_->close(peer.slot, peer.reset_on_close)) on_closed(peer.slot);
}

// A connection that is not read any more has no use for it.
void Engine::give_back_assembly(Peer& peer) {
  if (peer.reader.assembly() != nullptr) assemblies_.give_back(peer.reader.assembly());
  peer.reader = FrameReader(0);
}

// The slot goes to its next life only now, because the system may have read its ring until here.
void Engine::on_closed(uint32_t slot) {
  Peer& peer = *peers_[slot];
  check(peer.state == State::Free, "a living connection was closed");
  // Whatever JavaScript has written into it, sent or not. (Where nothing was touched this is half a microsecond.)
  memory_discard(peer.ring.main(), peer.ring.main_bytes());
  peer.forget_words();
  uint32_t slots_left = 0;
  if (peer.of_server) {
    Server& server = servers_[peer.server];
    check(server.slots > 0, "a server lost more connections than it had");
    slots_left = --server.slots;
    if (slots_left == 0 && !server.listening) report_last_refusals(peer.server);
  }
  freed_in_batch_.push_back(peer.slot);
  events_.push(ReleasedEvent{.slot = peer.slot, .server = peer.of_server ? peer.server : kNone, .slots_left = slots_left});
}

}  // namespace zerio
