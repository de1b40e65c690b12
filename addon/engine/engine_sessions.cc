// Sessions: what was accepted survives a broken connection. The ring keeps each message until the other side has acknowledged it,
// and the next connection of the session sends what the other side lacks. docs/sessions.md has the whole picture.
#include <algorithm>
#include <utility>

#include "check.h"
#include "engine.h"

namespace zerio {
namespace {

// An acknowledgement goes with the next send when so many bytes came since the last one: 16 bytes for each kilobyte.
constexpr uint32_t kAcknowledgeWithSendBytes = 1024;
// It is sent by itself when so many came, or a quarter of a ring, so that a sender that only sends never waits for the time
// below.
constexpr uint32_t kAcknowledgeBytesMax = 16384;
// It is sent by itself after this time.
constexpr uint64_t kAcknowledgeNs = 10 * kMillisecondNs;

}  // namespace

// ---- Opening

// What a HELLO asks for. A server that keeps no sessions ignores it.
Code Engine::read_session_wish(Connection& connection, const Greeting& greeting) const {
  Life& life = connection.life;
  SessionGreeting wish;
  bool has = false;
  const Code code = read_session(greeting.extensions, Opcode::Hello, has, wish);
  const ServerOptions& options = servers_[life.server].options;
  if (code != Code::None || !has || options.sessions_max == 0) return code;
  // In a new session nothing can have come yet.
  if (wish.token.is_zero() && wish.received != 0) return Code::MalformedHello;
  life.session.keep_ms = options.resume_ms_max;
  life.session.resumes = !wish.token.is_zero();
  life.session.token = wish.token;
  life.session.announced = wish.received;
  return Code::None;
}

void Engine::open_session(Connection& connection) {
  Life& life = connection.life;
  life.in_session = true;
  life.session.token = make_token();
  ++servers_[life.server].sessions;
  connection.ring.keep();
}

// What a greeting says of the session, if there is or shall be one. Returns its size.
uint32_t Engine::write_session_extension(const Connection& connection, Opcode opcode, uint8_t* out) {
  const Life& life = connection.life;
  const bool has_one = opcode == Opcode::Hello ? life.session.keep_ms != 0 : life.in_session;
  const SessionGreeting greeting = {life.session.token, life.received, life.session.keep_ms};
  return has_one ? write_session(out, opcode, greeting) : 0;
}

// Two keyed hashes of a number that is used once: without the key, which never leaves this process, no token can be guessed.
SessionToken Engine::make_token() {
  SessionToken token;
  ++tokens_made_;
  for (uint8_t half = 0; half < 2; ++half) {
    uint8_t input[sizeof tokens_made_ + 1];
    store(input, tokens_made_);
    input[sizeof tokens_made_] = half;
    const std::string_view bytes(reinterpret_cast<const char*>(input), sizeof input);
    store<uint64_t>(token.bytes + size_t{half} * sizeof(uint64_t), sip_hash<2, 4>(token_key_, bytes));
  }
  return token;
}

uint64_t Engine::hash_of_credential(std::string_view credential) const { return sip_hash<2, 4>(token_key_, credential); }

// ---- Resuming

// The connection that has this id, or nullptr.
Connection* Engine::holder_of(uint32_t server, const std::string& id) const {
  const auto& ids = servers_[server].ids;
  const auto found = ids.find(id);
  return found == ids.end() ? nullptr : connections_[found->second];
}

// The connection whose session this newcomer goes on with, or nullptr: it has the id, the token and the credential of its owner.
// Where the program checks credentials, it has admitted this one.
Connection* Engine::resumable(const Connection& connection) {
  const Life& life = connection.life;
  const Server& server = servers_[life.server];
  Connection* const old = holder_of(life.server, life.id);
  if (old == nullptr) return nullptr;
  const Session& session = old->life.session;
  const bool owner = old->life.in_session && session.token.equals(life.session.token) &&
                     (server.options.asks_for_verdict || session.credential == life.session.credential);
  // A HELLO of an earlier attempt that the client has given up, and that comes late.
  const bool late = life.session.announced < (session.awaits_ring ? session.announced : session.confirmed);
  return owner && !late && (old->life.state == State::Suspended || old->life.state == State::Open) ? old : nullptr;
}

// A new connection of a peer's session. The old one may look alive on this side.
bool Engine::resume(Connection& connection) {
  Life& life = connection.life;
  Connection* const found = resumable(connection);
  if (found == nullptr) {
    count_server(connection, layout::kServerCounterSessionsLost, 1);
    fail(connection, Code::SessionLost, 0, "", true);
    return false;
  }
  Connection& old = *found;
  if (old.life.state == State::Open) suspend(old, Code::PeerLeft, 0, "");
  const uint64_t announced = life.session.announced;
  life.session = old.life.session;
  life.received = old.life.received;
  life.session.announced = announced;
  life.session.closing = false;
  life.session.awaits_ring = true;
  life.session.old_slot = old.slot;
  life.session.unacknowledged_bytes = 0;
  life.session.early = 0;
  life.in_session = true;
  connection.ring.keep();
  servers_[life.server].ids.find(life.id)->second = connection.slot;
  leave_session(old);
  move_to(old, Place::None);
  double* const counts = server_counters(life.server);
  counts[layout::kServerCounterSuspended] -= 1;
  counts[layout::kServerCounterResumed] += 1;
  events_.push(ResumedEvent{.slot = old.slot, .by = connection.slot, .length_max = life.remote_length_max});
  open_peer(connection);
  return true;
}

// Another connection has the session. What is left is the ring, until adopt().
void Engine::leave_session(Connection& old) {
  old.life.connected = old.life.in_session = false;
  clear_deadline(old);
}

// A client gave up the connection of its session before its ring moved there. What came on it is dropped, so the session cannot
// go on with another one either.
void Engine::lose_session_of(const Connection& connection) {
  Connection* const old = connection_at(connection.life.session.old_slot);
  if (old == nullptr || old->life.state != State::Suspended || old->life.close_requested) return;
  old->life.connected = old->life.in_session = true;
  report_end(*old, static_cast<uint16_t>(Code::SessionLost), 0, "");
  release(*old);
}

// How many messages of a session that ends the other side has not acknowledged.
uint32_t Engine::count_unacknowledged(Connection& connection) {
  const Life& life = connection.life;
  if (!life.in_session) return 0;
  // Each connection of this batch waits for the ring of the one before.
  Connection* holder = &connection;
  for (size_t i = 0; i < connections_.size() && holder->life.session.awaits_ring; ++i) {
    Connection* const old = connection_at(holder->life.session.old_slot);
    if (old == nullptr) break;
    holder = old;
  }
  return static_cast<uint32_t>(holder->ring.count_kept());
}

// A client's session has a connection. False when the answer is not one to its HELLO, or the session has ended meanwhile.
bool Engine::welcome_session(Connection& connection, const SessionGreeting& greeting) {
  Life& life = connection.life;
  Session& session = life.session;
  if (session.resumes) {
    Connection* const old = connection_at(session.old_slot);
    const bool waits = old != nullptr && old->life.state == State::Suspended && old->life.in_session;
    if (!waits || !old->life.session.token.equals(greeting.token)) return false;
    leave_session(*old);
  } else if (greeting.received != 0) {
    return false;
  }
  session.token = greeting.token;
  session.announced = greeting.received;
  session.awaits_ring = session.resumes;
  session.keep_ms = std::min(session.keep_ms, std::max(greeting.keep_ms, uint32_t{1}));
  life.in_session = true;
  connection.ring.keep();
  return true;
}

bool Engine::adopt(uint32_t slot, uint32_t old_slot) {
  Connection* const old = connection_at(old_slot);
  if (old == nullptr || slot >= connections_.size() || slot == old_slot || old->life.state != State::Suspended) return false;
  Connection& connection = *connections_[slot];
  Life& life = connection.life;
  if (!life.session.awaits_ring) return false;
  life.session.awaits_ring = false;
  // These go on also when the connection has ended in this batch.
  for (uint32_t i = 0; i < layout::kSlotPingUs; ++i) connection.counters[i] += old->counters[i];
  connection.counters[layout::kSlotPingUs] = old->counters[layout::kSlotPingUs];
  if (life.state != State::Open && life.state != State::Suspended) return false;
  // The old one may have been moved to itself in this batch, and have learned more since.
  life.session.confirmed = old->life.session.confirmed;
  // The handler of an earlier Drain of this batch may have been refused again.
  life.drain_batch = 0;
  const uint32_t events = events_.count();
  const bool whole = connection.ring.copy_from(old->ring);
  // A connection that broke again in this batch has said what it lacks, too. To the next one all counts as sent, because the
  // other side may have received it over an earlier one.
  if (!whole || !take_acknowledgement(connection, life.session.announced)) {
    if (life.state == State::Open) fail(connection, whole ? Code::ProtocolError : Code::MemoryCorrupted, 0, "", true);
  } else if (life.state == State::Open) {
    connection.ring.send_again();
    // Control frames that wait stand in front of all that is sent again.
    if (!life.control.empty()) life.control.barrier = connection.ring.head();
    pump(connection);
  }
  counters_[layout::kEngineCounterEvents] += events_.count() - events;
  return true;
}

// ---- Replacing

// Whether a newcomer takes the place of the peer that has its id.
bool Engine::may_replace(const Connection& connection, const Connection& other) const {
  const ServerOptions& options = servers_[connection.life.server].options;
  // Who comes without the token of its session has begun anew.
  const bool is_owner = options.asks_for_verdict || other.life.session.credential == connection.life.session.credential;
  return options.replace_duplicates || (other.life.state == State::Suspended && is_owner);
}

void Engine::replace(Connection& other) {
  if (other.life.state != State::Suspended) return fail(other, Code::Replaced, 0, "", true);
  report_end(other, static_cast<uint16_t>(Code::Replaced), 0, "");
  release(other);
}

// ---- Suspending

// The connection of a session broke: its slot keeps the ring, and the program may go on to fill it.
void Engine::suspend(Connection& connection, Code code, int error, std::string_view text) {
  Life& life = connection.life;
  const Location at = locate(text.data());
  events_.push(EndEvent{.kind = EventKind::Suspended,
                        .slot = connection.slot,
                        .slab = at.slab,
                        .offset = at.offset,
                        .length = at.offset == 0 ? 0 : static_cast<uint32_t>(text.size()),
                        .code = static_cast<uint32_t>(code),
                        .error = static_cast<uint32_t>(error)});
  end_looks(connection);
  give_back_assembly(connection);
  // A program that closes it in this batch is heard.
  if (life.deferred && !life.close_requested) {
    deferred_.remove(connection);
    life.deferred = false;
  }
  connection.ring.assume_sent();
  life.control.clear();
  life.topic_frames.clear();
  life.session.early = 0;
  life.send_blocked = life.send_failed = life.control_due = life.paused = false;
  life.end_received = life.end_deferred = false;
  life.send_error = 0;
  life.state = State::Suspended;
  if (life.of_server) server_counters(life.server)[layout::kServerCounterSuspended] += 1;
  set_deadline(connection, life.session.keep_ms);
  life.session.closing = !io_->close(connection.slot, true);
}

// ---- Acknowledging

void Engine::note_received(Connection& connection, uint32_t messages, size_t bytes) {
  Life& life = connection.life;
  Session& session = life.session;
  session.unacknowledged_bytes += static_cast<uint32_t>(bytes);
  if (messages == 0 || life.state != State::Open) return;
  const uint32_t alone_bytes = std::min(kAcknowledgeBytesMax, options_.send_ring_bytes / 4);
  if (session.unacknowledged_bytes >= std::min(kAcknowledgeWithSendBytes, alone_bytes)) life.control_due = true;
  if (session.unacknowledged_bytes >= alone_bytes) {
    pump(connection);
  } else if (!connection.acknowledgement.is_set()) {
    deadlines_.set(connection.acknowledgement, io_->now_ns() + kAcknowledgeNs);
  }
}

// What waits until the control frames before are sent.
void Engine::queue_due(Connection& connection) {
  connection.life.control_due = false;
  if (connection.life.session.unacknowledged_bytes > 0) queue_acknowledgement(connection);
  queue_topic_frames(connection);
}

void Engine::queue_acknowledgement(Connection& connection) {
  Life& life = connection.life;
  life.session.unacknowledged_bytes = 0;
  uint8_t frame[kHeaderBytes + kAcknowledgeBytes];
  queue_control(connection, frame, write_acknowledge(frame, life.received));
}

void Engine::acknowledge_late(Connection& connection) {
  deadlines_.clear(connection.acknowledgement);
  Life& life = connection.life;
  if (life.session.unacknowledged_bytes == 0) return;
  life.control_due = true;
  pump(connection);
}

// The other side has received so many messages in this session. False when that cannot be.
bool Engine::take_acknowledgement(Connection& connection, uint64_t received) {
  Life& life = connection.life;
  Session& session = life.session;
  if (session.awaits_ring) {
    if (received < session.announced) return false;
    session.announced = received;
    return true;
  }
  if (received < session.confirmed || received < session.early) return false;
  // The system tells what it took of a blocked send when it has taken all of it, and of one that failed never; the other side may
  // have answered by then. Of a blocked send this is tried once, because it walks over the ring.
  const bool is_known = session.early == 0 && connection.ring.confirm(received - session.confirmed);
  if (!is_known) {
    if (!life.send_blocked && !life.send_failed) return false;
    session.early = received;
    return true;
  }
  session.confirmed = received;
  if (life.connected) report_drain(connection);
  return true;
}

// The system has taken more. False when the connection has ended, because the other side cannot have what it says.
bool Engine::take_early_acknowledgement(Connection& connection) {
  Session& session = connection.life.session;
  const uint64_t received = std::exchange(session.early, 0);
  if (take_acknowledgement(connection, received)) return true;
  fail(connection, Code::ProtocolError, 0, "", true);
  return false;
}

}  // namespace zerio
