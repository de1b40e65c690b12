// How connections open: servers that listen, clients that connect, and the handshakes of both.
#include <algorithm>
#include <new>

#include "check.h"
#include "engine.h"
#include "framing.h"

namespace zerio {
namespace {

// A peer counts as a newcomer for so long, so that peers which connect and leave again at once do not delay the others.
constexpr uint32_t kProbationMs = 20;
constexpr uint64_t kAcceptRetryNs = 50 * kMillisecondNs;
// A client sends nothing before WELCOME; a classic one may send a little behind its id.
constexpr uint32_t kEarlyBytesMax = 1024;

// The backend's number for the socket of a server's address: its place is 0 for the first one.
uint32_t listener_of(uint32_t server, uint32_t place) { return server + place * layout::kServersMax; }
uint32_t server_of(uint32_t listener) { return listener % layout::kServersMax; }
uint32_t bit_of(uint32_t listener) { return 1U << (listener / layout::kServersMax); }

// What a greeting's event says of a connection.
uint32_t features_of(const Life& life) {
  return static_cast<uint32_t>(life.protocol) | (life.in_session ? GreetingEvent::kInSession : 0) |
         (life.has_topics ? GreetingEvent::kHasTopics : 0);
}

}  // namespace

bool Engine::Server::remember(const Connection& connection) {
  try {
    ids.emplace(connection.life.id, connection.slot);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

// ---- Servers

int Engine::listen(ServerOptions options, const Address& address, uint32_t& server, Address& bound) {
  server = 0;
  // Unconsumed events of a server that is gone must not reach the next server with its number.
  const auto is_taken = [this](const Server& it) { return it.used || (it.batch_at_end == batch_ && events_.unconsumed() > 0); };
  while (server < servers_.size() && is_taken(servers_[server])) ++server;
  if (server == layout::kServersMax) return layout::kErrorTooManyServers;
  if (server == servers_.size()) servers_.emplace_back(id_key_);
  const int error = io_->listen(listener_of(server, 0), address, options.listen, bound);
  if (error != 0) return error;
  Server& it = servers_[server];
  it = Server(id_key_);
  it.used = it.listening = true;
  it.options = std::move(options);
  it.listeners = 1;
  it.paths = bound.is_path() ? 1 : 0;
  std::fill_n(server_counters(server), layout::kServerCountersBytes / sizeof(double), 0.0);
  return 0;
}

int Engine::listen_also(uint32_t server, const Address& address, int descriptor, Address& bound) {
  if (server >= servers_.size() || !servers_[server].listening) return layout::kErrorNoSlot;
  Server& it = servers_[server];
  if (it.listeners == layout::kServerAddressesMax) return layout::kErrorTooManyServers;
  const uint32_t listener = listener_of(server, it.listeners);
  ListenOptions options = it.options.listen;
  options.descriptor = descriptor;
  const int error = io_->listen(listener, address, options, bound);
  if (error != 0) return error;
  ++it.listeners;
  if (bound.is_path()) it.paths |= bit_of(listener);
  return 0;
}

void Engine::unlisten(uint32_t server) {
  if (server >= servers_.size() || !servers_[server].listening) return;
  Server& it = servers_[server];
  it.listening = false;
  it.accept_retry_ns = 0;
  set_accept_retry();
  it.wants_slot = false;
  for (uint32_t place = 0; place < it.listeners; ++place) io_->unlisten(listener_of(server, place));
  // The next polls end the connections that are in their handshake.
  dismissals_ += it.handshakes;
  report_last_refusals_soon(it);
}

void Engine::close_peers(uint32_t server, uint16_t code) {
  if (server >= servers_.size() || servers_[server].close_code != 0) return;
  servers_[server].close_code = code;
  dismissals_ += servers_[server].peers;
}

void Engine::forget_server(uint32_t server) {
  if (server >= servers_.size() || !servers_[server].is_deserted()) return;
  unreported_ -= servers_[server].unreported;
  servers_[server] = Server(id_key_);
  servers_[server].batch_at_end = batch_;
}

bool Engine::can_accept(uint32_t listener) {
  const uint32_t server = server_of(listener);
  if (!has_room()) return false;
  if (!free_.empty()) return true;
  if (slab_retry_ns_ > io_->now_ns()) {
    // A slab was refused a short while ago: accepting waits until the next one may be asked for.
    pause_accept(server, slab_retry_ns_ - io_->now_ns());
    servers_[server].wants_slot = true;
  } else if (!slots_low_reported_) {
    slots_low_reported_ = true;
    events_.push(Event{EventKind::SlotsLow, server});
  }
  return false;
}

void Engine::on_accepted(uint32_t listener, AcceptedSocket socket) {
  const uint32_t server = server_of(listener);
  Server& it = servers_[server];
  double* const counts = server_counters(server);
  counts[layout::kServerCounterAccepted] += 1;
  if (!make_room(server)) {
    io_->discard(socket);
    counts[layout::kServerCounterTooManyHandshakes] += 1;
    refuse(server, nullptr, Code::TooManyHandshakes, 0);
    return;
  }
  Connection* const taken = take_slot();
  check(taken != nullptr, "a connection was accepted without a slot");
  Connection& connection = *taken;
  Life& life = connection.life;
  const SocketOptions& options = it.options.listen.socket;
  const bool is_path = (it.paths & bit_of(listener)) != 0;
  const int error = io_->attach(connection.slot, socket, is_path ? options.of_path() : options);
  if (error != 0) {
    return_slot(connection.slot);
    on_accept_error(listener, error);
    return;
  }
  life.of_server = true;
  life.server = server;
  life.take(it.options);
  life.state = State::Greeting;
  life.reader = FrameReader(kPeerIdBytesMax);
  ++it.slots;
  counts[layout::kServerCounterHandshakes] = ++it.handshakes;
  move_to(connection, Place::Silent);
  set_deadline(connection, it.options.handshake_timeout_ms);
}

void Engine::on_accept_error(uint32_t listener, int error) {
  const uint32_t server = server_of(listener);
  server_counters(server)[layout::kServerCounterAcceptErrors] += 1;
  events_.push(AcceptErrorEvent{.server = server, .error = static_cast<uint32_t>(error)});
  // The connection stays in the listen queue. A retry at once would only spin until descriptors are free again.
  pause_accept(server, kAcceptRetryNs);
}

void Engine::pause_all_listeners(uint32_t server, bool paused) {
  for (uint32_t place = 0; place < servers_[server].listeners; ++place) io_->accept_pause(listener_of(server, place), paused);
}

void Engine::pause_accept(uint32_t server, uint64_t retry_ns) {
  Server& it = servers_[server];
  it.accept_retry_ns = io_->now_ns() + retry_ns;
  set_accept_retry();
  pause_all_listeners(server, true);
}

void Engine::resume_accept(uint32_t server) {
  Server& it = servers_[server];
  it.accept_retry_ns = 0;
  it.wants_slot = false;
  set_accept_retry();
  pause_all_listeners(server, false);
}

// ---- Clients

int Engine::connect(ClientOptions options, const Address& address, uint32_t& slot) {
  Connection* const connection = take_slot();
  if (connection == nullptr) return layout::kErrorNoSlot;
  const int error = io_->connect(connection->slot, address, options.socket);
  if (error != 0) {
    return_slot(connection->slot);
    return error;
  }
  slot = connection->slot;
  connection->life.state = State::Connecting;
  connection->life.protocol = options.classic ? Protocol::Classic : Protocol::Native;
  connection->life.id = std::move(options.id);
  connection->life.credential = std::move(options.credential);
  connection->life.take(options);
  connection->life.holds_hello = options.holds_hello;
  connection->life.session.keep_ms = options.resume_ms;
  const Connection* const old = connection_at(options.resumes);
  if (old != nullptr && old->life.state == State::Suspended) {
    connection->life.session.resumes = true;
    connection->life.session.old_slot = old->slot;
    connection->life.session.token = old->life.session.token;
    connection->life.received = old->life.received;
    connection->life.session.confirmed = old->life.session.confirmed;
  }
  connection->life.reader = FrameReader(kPeerIdBytesMax);
  if (options.classic) connection->life.reader.set_classic();
  set_deadline(*connection, options.connect_timeout_ms);
  return 0;
}

void Engine::on_connected(uint32_t slot, int error) {
  Connection& connection = *connections_[slot];
  check(connection.life.state == State::Connecting, "a connection was made that was not asked for");
  if (error != 0) {
    fail(connection, Code::ConnectFailed, error, "", false);
    return;
  }
  connection.life.state = State::Greeting;
  if (connection.life.holds_hello) {
    events_.push(Event{EventKind::Reached, slot});
  } else {
    send_hello(connection);
  }
}

void Engine::greet(uint32_t slot) {
  Connection* const connection = connection_at(slot);
  if (connection == nullptr || connection->life.of_server || connection->life.state != State::Greeting ||
      !connection->life.holds_hello)
    return;
  const uint32_t events = events_.count();
  connection->life.holds_hello = false;
  send_hello(*connection);
  counters_[layout::kEngineCounterEvents] += events_.count() - events;
}

void Engine::send_hello(Connection& connection) {
  Life& life = connection.life;
  uint8_t frame[kControlFrameBytesMax];
  ExtensionsBuffer buffer;
  const Greeting greeting = {options_.message_length_max, life.id, life.credential,
                             extensions_of(connection, Opcode::Hello, buffer)};
  queue_control(
      connection, frame,
      life.protocol == Protocol::Classic ? write_classic_id(frame, life.id) : write_greeting(frame, Opcode::Hello, greeting));
  life.credential.clear();
  pump(connection);
}

// ---- Greeting

bool Engine::on_first_frame(Connection& connection, uint32_t header, const uint8_t* payload) {
  Life& life = connection.life;
  Greeting greeting;
  greeting.length_max = kLengthMax;
  const std::string_view id(reinterpret_cast<const char*>(payload), frame_length(header));
  greeting.id = id;
  if (life.of_server) {
    // Classic has no channels: bits above the length belong to a length that is too long.
    const bool is_classic = frame_channel(header) == 0 && is_classic_id(id);
    const bool allowed = servers_[life.server].options.allow_classic;
    if (is_classic && allowed) return greet_server(connection, Protocol::Classic, greeting);
    fail(connection, is_classic ? Code::UnsupportedVersion : Code::InvalidPeerId, 0, "", true);
    return false;
  }
  if (life.protocol == Protocol::Classic && id == life.id) {
    greeting.id = id.substr(0, 0);
    return greet_client(connection, Protocol::Classic, greeting);
  }
  fail(connection, Code::MalformedWelcome, 0, "", false);
  return false;
}

bool Engine::greet_server(Connection& connection, Protocol protocol, const Greeting& greeting) {
  Life& life = connection.life;
  life.protocol = protocol;
  life.remote_length_max = greeting.length_max;
  if (!keep(life.id, greeting.id)) {
    fail(connection, Code::OutOfMemory, 0, "", false);
    return false;
  }
  const Location at = locate(greeting.id.data());
  life.hello_slab = at.slab;
  life.hello_offset = at.offset;
  life.hello_credential_bytes = static_cast<uint32_t>(greeting.credential.size());
  if (servers_[life.server].options.sessions_max != 0) life.session.credential = hash_of_credential(greeting.credential);
  if (!servers_[life.server].options.asks_for_verdict) return accept_peer(connection);
  life.verdict = Verdict::Asked;
  move_to(connection, Place::Asked);
  asked_ = true;
  report_hello(EventKind::Asked, connection);
  return false;
}

void Engine::report_hello(EventKind kind, const Connection& connection) {
  const Life& life = connection.life;
  const uint32_t origin = GreetingEvent::origin_of(features_of(life), life.of_server ? life.server + 1 : 0);
  events_.push(GreetingEvent{.kind = kind,
                             .slot = connection.slot,
                             .slab = life.hello_slab,
                             .offset = life.hello_offset,
                             .id_bytes = static_cast<uint32_t>(life.id.size()),
                             .credential_bytes = life.hello_credential_bytes,
                             .origin = origin,
                             .length_max = life.remote_length_max});
}

bool Engine::accept_peer(Connection& connection) {
  Life& life = connection.life;
  Server& server = servers_[life.server];
  if (!server.listening) {
    fail(connection, Code::GoingAway, 0, "", true);
    return false;
  }
  if (life.session.resumes) return resume(connection);
  Connection* const other = peer_of(life.server, life.id);
  if (other != nullptr && !may_replace(connection, *other)) {
    count_server(connection, layout::kServerCounterDuplicateIds, 1);
    question(*other);
    fail(connection, Code::DuplicatePeerId, 0, "", true);
    return false;
  }
  // Without the one that it replaces.
  const uint32_t peers = server.peers - (other != nullptr ? 1 : 0);
  const uint32_t sessions = server.sessions - (other != nullptr && other->life.in_session ? 1 : 0);
  if (peers >= server.options.peers_max || (life.session.keep_ms != 0 && sessions >= server.options.sessions_max)) {
    count_server(connection, layout::kServerCounterServerFull, 1);
    fail(connection, Code::ServerFull, 0, "", true);
    return false;
  }
  if (other != nullptr) replace(*other);
  if (!server.remember(connection)) {
    fail(connection, Code::OutOfMemory, 0, "", false);
    return false;
  }
  double* const counts = server_counters(life.server);
  counts[layout::kServerCounterPeers] = ++server.peers;
  counts[layout::kServerCounterConnected] += 1;
  if (life.session.keep_ms != 0) open_session(connection);
  report_hello(EventKind::Connected, connection);
  open_peer(connection);
  return true;
}

// From here on messages flow.
void Engine::open_peer(Connection& connection) {
  Life& life = connection.life;
  end_handshake(connection);
  move_to(connection, Place::Peer);
  life.state = State::Open;
  life.last_event_batch = batch_;
  life.connected = true;
  life.reader.set_length_max(options_.message_length_max);
  if (life.protocol == Protocol::Classic) life.reader.set_classic();
  set_deadline(connection, kProbationMs);
  begin_looks(connection);
  uint8_t frame[kControlFrameBytesMax];
  ExtensionsBuffer buffer;
  const Greeting welcome = {
      options_.message_length_max, servers_[life.server].options.id, {}, extensions_of(connection, Opcode::Welcome, buffer)};
  queue_control(
      connection, frame,
      life.protocol == Protocol::Classic ? write_classic_id(frame, life.id) : write_greeting(frame, Opcode::Welcome, welcome));
  pump(connection);
}

void Engine::admit(uint32_t slot, bool admitted) {
  Connection* const connection = connection_at(slot);
  if (connection == nullptr) return;
  Life& life = connection->life;
  if (life.verdict == Verdict::Postponed && life.state == State::Greeting) {
    life.verdict = admitted ? Verdict::Admitted : Verdict::Refused;
    defer(*connection);
  }
  if (life.verdict != Verdict::Asked) return;
  const uint32_t events = events_.count();
  decide(*connection, admitted);
  counters_[layout::kEngineCounterEvents] += events_.count() - events;
}

void Engine::decide(Connection& connection, bool admitted) {
  Life& life = connection.life;
  life.verdict = Verdict::None;
  uint8_t* const held = life.held;
  const size_t held_bytes = life.held_bytes;
  held_bytes_ -= held_bytes;
  life.held = nullptr;
  life.held_bytes = 0;
  if (life.state != State::Greeting) return;
  if (!admitted) {
    fail(connection, Code::Unauthorized, 0, "", true);
    return;
  }
  // What came behind the HELLO still lies where it was received, because a verdict is given within the batch that asks for it.
  if (accept_peer(connection) && held_bytes > 0) (void)read(connection, held, held_bytes);
}

void Engine::postpone(uint32_t slot) {
  Connection* const connection = connection_at(slot);
  if (connection == nullptr || connection->life.verdict != Verdict::Asked) return;
  Life& life = connection->life;
  const size_t held_bytes = std::exchange(life.held_bytes, 0);
  held_bytes_ -= held_bytes;
  const uint8_t* const held = std::exchange(life.held, nullptr);
  // The time of the handshake may have run out in the batch that asks.
  life.verdict = life.state == State::Greeting ? Verdict::Postponed : Verdict::None;
  if (life.verdict == Verdict::None) return;
  const uint32_t events = events_.count();
  if (!reserve(life.early, kEarlyBytesMax)) {
    fail(*connection, Code::OutOfMemory, 0, "", false);
  } else if (held_bytes > 0) {
    hold(*connection, held, held_bytes);
  }
  counters_[layout::kEngineCounterEvents] += events_.count() - events;
}

// Bytes came behind a HELLO that has no verdict.
void Engine::hold(Connection& connection, const uint8_t* data, size_t size) {
  Life& life = connection.life;
  // The batch that asked for the verdict is over, so the program has overwritten the event.
  if (life.verdict == Verdict::Asked) return decide(connection, false);
  if (life.early.size() + size > kEarlyBytesMax) return fail(connection, Code::ProtocolError, 0, "", true);
  life.early.append(reinterpret_cast<const char*>(data), size);
}

bool Engine::has_verdict_room() const {
  return arena_direct_ - arena_used_ >= aligned(kPeerIdBytesMax) + aligned(kEarlyBytesMax);
}

// The batch that asked is over: what it received lies in the arena again, as if it came now.
void Engine::decide_late(Connection& connection) {
  Life& life = connection.life;
  const bool admitted = std::exchange(life.verdict, Verdict::None) == Verdict::Admitted;
  if (life.state != State::Greeting) return;
  if (!admitted) {
    fail(connection, Code::Unauthorized, 0, "", true);
    return;
  }
  check(has_verdict_room(), "a verdict is carried out without room for its greeting");
  const Location at = locate(copy_to_arena(life.id));
  life.hello_slab = at.slab;
  life.hello_offset = at.offset;
  life.hello_credential_bytes = 0;
  const size_t early_bytes = life.early.size();
  uint8_t* const early = copy_to_arena(life.early);
  std::string().swap(life.early);
  if (accept_peer(connection) && early_bytes > 0) (void)read(connection, early, early_bytes);
}

uint8_t* Engine::copy_to_arena(std::string_view bytes) {
  uint8_t* const at = arena_ + arena_used_;
  std::copy(bytes.begin(), bytes.end(), at);
  arena_used_ += aligned(bytes.size());
  return at;
}

bool Engine::greet_client(Connection& connection, Protocol protocol, const Greeting& greeting) {
  Life& life = connection.life;
  // The program has given this attempt up, so its session does not go on with it.
  if (life.close_requested) {
    release(connection);
    return false;
  }
  // The other side answers a HELLO that was not sent.
  if (life.holds_hello) {
    fail(connection, Code::MalformedWelcome, 0, "", false);
    return false;
  }
  SessionGreeting session;
  bool has_session = false;
  Code code = read_session(greeting.extensions, Opcode::Welcome, has_session, session);
  if (code == Code::None) code = read_topics(greeting.extensions, life.has_topics);
  if (code != Code::None || (has_session && (life.session.keep_ms == 0 || !welcome_session(connection, session)))) {
    fail(connection, Code::MalformedWelcome, 0, "", false);
    return false;
  }
  // The server was started anew, without sessions.
  if (!has_session && life.session.resumes) {
    fail(connection, Code::SessionLost, 0, "", false);
    return false;
  }
  const Location at = locate(greeting.id.data());
  events_.push(GreetingEvent{.kind = EventKind::Connected,
                             .slot = connection.slot,
                             .slab = at.slab,
                             .offset = at.offset,
                             .id_bytes = static_cast<uint32_t>(greeting.id.size()),
                             .credential_bytes = 0,
                             .origin = GreetingEvent::origin_of(features_of(life), 0),
                             .length_max = greeting.length_max});
  life.state = State::Open;
  life.last_event_batch = batch_;
  life.connected = true;
  life.reader.set_length_max(options_.message_length_max);
  // A send that failed meanwhile has set the deadline of a half-dead connection, which stays.
  if (!life.send_failed) clear_deadline(connection);
  begin_looks(connection);
  return true;
}

}  // namespace zerio
