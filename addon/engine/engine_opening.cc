// How connections come to be: servers that listen, clients that connect, and the handshakes of both.
#include <algorithm>
#include <new>

#include "check.h"
#include "engine.h"
#include "framing.h"

namespace zerio {
namespace {

// A peer stays among the strangers for so long: those that come only to go again keep nobody waiting.
constexpr uint32_t kProbationMs = 20;
constexpr uint64_t kAcceptRetryNs = 50 * kMillisecondNs;

}  // namespace

bool Engine::Server::remember(const Peer& peer) {
  try {
    ids.emplace(peer.id, peer.slot);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

// ---- Servers

int Engine::listen(ServerOptions options, const Address& address, uint32_t& server, Address& bound) {
  server = 0;
  // What JavaScript has not heard yet of a server that is gone must not reach the next one of its number.
  const auto is_taken = [this](const Server& it) { return it.used || (it.batch_at_end == batch_ && events_.unconsumed() > 0); };
  while (server < servers_.size() && is_taken(servers_[server])) ++server;
  if (server == layout::kServersMax) return layout::kErrorTooManyServers;
  if (server == servers_.size()) servers_.emplace_back(id_key_);
  const int error = io_->listen(server, address, options.listen, bound);
  if (error != 0) return error;
  Server& it = servers_[server];
  it = Server(id_key_);
  it.used = it.listening = true;
  it.options = std::move(options);
  std::fill_n(server_counters(server), layout::kServerCountersBytes / sizeof(double), 0.0);
  return 0;
}

void Engine::unlisten(uint32_t server) {
  if (server >= servers_.size() || !servers_[server].listening) return;
  Server& it = servers_[server];
  it.listening = false;
  it.accept_retry_ns = 0;
  set_accept_retry();
  it.wants_slot = false;
  io_->unlisten(server);
  // Those that are in their handshake go in the next polls.
  dismissals_ += it.handshakes;
}

void Engine::close_peers(uint32_t server, uint16_t code) {
  if (server >= servers_.size() || servers_[server].close_code != 0) return;
  servers_[server].close_code = code;
  dismissals_ += servers_[server].peers;
}

void Engine::forget_server(uint32_t server) {
  if (server >= servers_.size() || servers_[server].slots > 0 || servers_[server].listening) return;
  unreported_ -= servers_[server].unreported;
  servers_[server] = Server(id_key_);
  servers_[server].batch_at_end = batch_;
}

bool Engine::can_accept(uint32_t server) {
  if (!has_room()) return false;
  if (!free_.empty()) return true;
  if (slab_retry_ns_ > io_->now_ns()) {
    // A slab was refused, and a slot that became free is taken again: the next try has its time.
    pause_accept(server, slab_retry_ns_ - io_->now_ns());
    servers_[server].wants_slot = true;
  } else if (!slots_low_reported_) {
    slots_low_reported_ = true;
    events_.push(Event{EventKind::SlotsLow, server});
  }
  return false;
}

void Engine::on_accepted(uint32_t server, AcceptedSocket socket) {
  Server& it = servers_[server];
  double* const counts = server_counters(server);
  counts[layout::kServerCounterAccepted] += 1;
  if (!make_place(server)) {
    io_->discard(socket, {nullptr, 0});
    counts[layout::kServerCounterTooManyHandshakes] += 1;
    refuse(server, Code::TooManyHandshakes, 0);
    return;
  }
  Peer* const taken = take_slot();
  check(taken != nullptr, "a connection was accepted without a slot");
  Peer& peer = *taken;
  const int error = io_->attach(peer.slot, socket, it.options.listen.socket);
  if (error != 0) {
    return_slot(peer.slot);
    on_accept_error(server, error);
    return;
  }
  peer.of_server = true;
  peer.server = server;
  peer.linger_ms = it.options.linger_ms;
  peer.heartbeat_ms = it.options.heartbeat_ms;
  peer.idle_timeout_ms = it.options.idle_timeout_ms;
  peer.state = State::Greeting;
  peer.reader = FrameReader(kPeerIdBytesMax);
  ++it.slots;
  counts[layout::kServerCounterHandshakes] = ++it.handshakes;
  move_to(peer, Place::Silent);
  set_deadline(peer, it.options.handshake_timeout_ms);
}

void Engine::on_accept_error(uint32_t server, int error) {
  server_counters(server)[layout::kServerCounterAcceptErrors] += 1;
  events_.push(AcceptErrorEvent{.server = server, .error = static_cast<uint32_t>(error)});
  // The connection stays in the listen queue; asking again at once would only spin until descriptors are free again.
  pause_accept(server, kAcceptRetryNs);
}

void Engine::pause_accept(uint32_t server, uint64_t retry_ns) {
  Server& it = servers_[server];
  it.accept_retry_ns = io_->now_ns() + retry_ns;
  set_accept_retry();
  io_->accept_pause(server, true);
}

void Engine::resume_accept(uint32_t server) {
  Server& it = servers_[server];
  it.accept_retry_ns = 0;
  it.wants_slot = false;
  set_accept_retry();
  io_->accept_pause(server, false);
}

// ---- Clients

int Engine::connect(ClientOptions options, const Address& address, uint32_t& slot) {
  Peer* const peer = take_slot();
  if (peer == nullptr) return layout::kErrorNoSlot;
  const int error = io_->connect(peer->slot, address, options.socket);
  if (error != 0) {
    return_slot(peer->slot);
    return error;
  }
  slot = peer->slot;
  peer->state = State::Connecting;
  peer->protocol = options.classic ? Protocol::Classic : Protocol::Native;
  peer->id = std::move(options.id);
  peer->credential = std::move(options.credential);
  peer->linger_ms = options.linger_ms;
  peer->heartbeat_ms = options.heartbeat_ms;
  peer->holds_hello = options.holds_hello;
  peer->idle_timeout_ms = options.idle_timeout_ms;
  peer->reader = FrameReader(kPeerIdBytesMax);
  if (options.classic) peer->reader.set_classic();
  set_deadline(*peer, options.connect_timeout_ms);
  return 0;
}

void Engine::on_connected(uint32_t slot, int error) {
  Peer& peer = *peers_[slot];
  check(peer.state == State::Connecting, "a connection was made that nobody asked for");
  if (error != 0) {
    fail(peer, Code::ConnectFailed, error, "", false);
    return;
  }
  peer.state = State::Greeting;
  if (peer.holds_hello) {
    events_.push(Event{EventKind::Reached, slot});
  } else {
    introduce(peer);
  }
}

void Engine::greet(uint32_t slot) {
  Peer* const peer = peer_at(slot);
  if (peer == nullptr || peer->of_server || peer->state != State::Greeting || !peer->holds_hello) return;
  const uint32_t events = events_.count();
  peer->holds_hello = false;
  introduce(*peer);
  counters_[layout::kEngineCounterEvents] += events_.count() - events;
}

void Engine::introduce(Peer& peer) {
  uint8_t frame[kControlFrameBytesMax];
  const Greeting greeting = {options_.message_length_max, peer.id, peer.credential};
  queue_control(
      peer, frame,
      peer.protocol == Protocol::Classic ? write_classic_id(frame, peer.id) : write_greeting(frame, Opcode::Hello, greeting));
  peer.credential.clear();
  pump(peer);
}

// ---- Greeting

bool Engine::on_first_frame(Peer& peer, uint32_t header, const uint8_t* payload) {
  Greeting greeting;
  greeting.length_max = kLengthMax;
  const std::string_view id(reinterpret_cast<const char*>(payload), frame_length(header));
  greeting.id = id;
  if (peer.of_server) {
    // Channels are no part of classic: bits above the length mean a length that the sender could not have meant.
    const bool is_classic = frame_channel(header) == 0 && is_classic_id(id);
    const bool allowed = servers_[peer.server].options.allow_classic;
    if (is_classic && allowed) return greet_server(peer, Protocol::Classic, greeting);
    fail(peer, is_classic ? Code::UnsupportedVersion : Code::InvalidPeerId, 0, "", true);
    return false;
  }
  if (peer.protocol == Protocol::Classic && id == peer.id) {
    greeting.id = id.substr(0, 0);
    return greet_client(peer, Protocol::Classic, greeting);
  }
  fail(peer, Code::MalformedWelcome, 0, "", false);
  return false;
}

bool Engine::greet_server(Peer& peer, Protocol protocol, const Greeting& greeting) {
  peer.protocol = protocol;
  peer.remote_length_max = greeting.length_max;
  if (!keep(peer.id, greeting.id)) {
    fail(peer, Code::OutOfMemory, 0, "", false);
    return false;
  }
  const Location at = locate(greeting.id.data());
  peer.hello_slab = at.slab;
  peer.hello_offset = at.offset;
  peer.hello_credential_bytes = static_cast<uint32_t>(greeting.credential.size());
  if (!servers_[peer.server].options.asks_for_verdict) return accept_peer(peer);
  peer.awaits_verdict = asked_ = true;
  report_hello(EventKind::Asked, peer);
  return false;
}

void Engine::report_hello(EventKind kind, const Peer& peer) {
  const uint32_t origin = GreetingEvent::origin_of(static_cast<uint32_t>(peer.protocol), peer.of_server ? peer.server + 1 : 0);
  events_.push(GreetingEvent{.kind = kind,
                             .slot = peer.slot,
                             .slab = peer.hello_slab,
                             .offset = peer.hello_offset,
                             .id_bytes = static_cast<uint32_t>(peer.id.size()),
                             .credential_bytes = peer.hello_credential_bytes,
                             .origin = origin,
                             .length_max = peer.remote_length_max});
}

bool Engine::accept_peer(Peer& peer) {
  Server& server = servers_[peer.server];
  if (!server.listening) {
    fail(peer, Code::GoingAway, 0, "", true);
    return false;
  }
  const auto found = server.ids.find(peer.id);
  if (found != server.ids.end()) {
    if (!server.options.replace_duplicates) {
      count_server(peer, layout::kServerCounterDuplicateIds, 1);
      question(*peers_[found->second]);
      fail(peer, Code::DuplicatePeerId, 0, "", true);
      return false;
    }
    fail(*peers_[found->second], Code::Replaced, 0, "", true);
  }
  if (server.peers >= server.options.peers_max) {
    count_server(peer, layout::kServerCounterServerFull, 1);
    fail(peer, Code::ServerFull, 0, "", true);
    return false;
  }
  if (!server.remember(peer)) {
    fail(peer, Code::OutOfMemory, 0, "", false);
    return false;
  }
  double* const counts = server_counters(peer.server);
  counts[layout::kServerCounterPeers] = ++server.peers;
  end_handshake(peer);
  move_to(peer, Place::Peer);
  counts[layout::kServerCounterConnected] += 1;
  report_hello(EventKind::Connected, peer);
  peer.state = State::Open;
  peer.told_batch = batch_;
  peer.connected = true;
  peer.reader.set_length_max(options_.message_length_max);
  if (peer.protocol == Protocol::Classic) peer.reader.set_classic();
  set_deadline(peer, kProbationMs);
  begin_looks(peer);
  uint8_t frame[kControlFrameBytesMax];
  const Greeting welcome = {options_.message_length_max, server.options.id, {}};
  queue_control(
      peer, frame,
      peer.protocol == Protocol::Classic ? write_classic_id(frame, peer.id) : write_greeting(frame, Opcode::Welcome, welcome));
  pump(peer);
  return true;
}

void Engine::admit(uint32_t slot, bool admitted) {
  Peer* const peer = peer_at(slot);
  if (peer == nullptr || !peer->awaits_verdict) return;
  const uint32_t events = events_.count();
  decide(*peer, admitted);
  counters_[layout::kEngineCounterEvents] += events_.count() - events;
}

void Engine::decide(Peer& peer, bool admitted) {
  peer.awaits_verdict = false;
  uint8_t* const held = peer.held;
  const size_t held_bytes = peer.held_bytes;
  held_bytes_ -= held_bytes;
  peer.held = nullptr;
  peer.held_bytes = 0;
  if (peer.state != State::Greeting) return;
  if (!admitted) {
    fail(peer, Code::Unauthorized, 0, "", true);
    return;
  }
  // What came behind the HELLO is still where it was received: a verdict is given within the batch that asked for it.
  if (accept_peer(peer) && held_bytes > 0) (void)read(peer, held, held_bytes);
}

bool Engine::greet_client(Peer& peer, Protocol protocol, const Greeting& greeting) {
  // An answer to what was not said yet.
  if (peer.holds_hello) {
    fail(peer, Code::MalformedWelcome, 0, "", false);
    return false;
  }
  const Location at = locate(greeting.id.data());
  events_.push(GreetingEvent{.kind = EventKind::Connected,
                             .slot = peer.slot,
                             .slab = at.slab,
                             .offset = at.offset,
                             .id_bytes = static_cast<uint32_t>(greeting.id.size()),
                             .credential_bytes = 0,
                             .origin = GreetingEvent::origin_of(static_cast<uint32_t>(protocol), 0),
                             .length_max = greeting.length_max});
  peer.state = State::Open;
  peer.told_batch = batch_;
  peer.connected = true;
  peer.reader.set_length_max(options_.message_length_max);
  // A send that failed meanwhile has left the deadline of a half-dead connection.
  if (!peer.send_failed) clear_deadline(peer);
  begin_looks(peer);
  return true;
}

}  // namespace zerio
