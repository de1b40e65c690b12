// The engine's state machine. The order of the functions is the life of a connection: made, greeted, used, ended.
#include "engine.h"

#include <algorithm>
#include <new>

#include "../io/memory.h"
#include "check.h"
#include "framing.h"

namespace zerio {
namespace {

constexpr uint64_t kMillisecondNs = 1'000'000;
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
// A peer stays among the strangers for so long: those that come only to go again keep nobody waiting.
constexpr uint32_t kProbationMs = 20;
constexpr uint64_t kAcceptRetryNs = 50 * kMillisecondNs;
// After so many silent heartbeats a peer is taken for dead. The first silent one sends the PING.
constexpr uint8_t kSilentHeartbeatsMax = 3;
// A receive with less room than this is not worth its system call.
constexpr uint32_t kReceiveBytesMin = 4096;
constexpr uint32_t kArenaAlignment = 64;
// While several connections receive, none of them may have more than about this many frames delivered at a time, so that the
// others wait for 0.05 milliseconds and not for the 100,000 empty messages that fit into an arena.
constexpr uint32_t kFairFrames = 512;
constexpr uint32_t kFairBytesMin = 1024;
// To copy these takes as long.
constexpr uint32_t kFairBytesMax = 16384;
// The answers to PINGs are sends: one PING is as much work as so many messages.
constexpr uint32_t kControlCost = 32;
// For how many batches connections count as several after the last time that another one received.
constexpr uint32_t kContendedBatches = 1000;
// One received byte span yields at most one event for each 8 bytes: an empty data frame and an empty control frame.
constexpr uint32_t kBytesPerEventMin = 8;
constexpr uint32_t kEventsReserve = 64;
// Ring pages beyond this are given back to the system when a connection ends.
constexpr uint32_t kRingBytesKept = 16384;

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

// Whether there was memory for it.
bool keep(std::string& in, std::string_view text) {
  try {
    in = text;
    return true;
  } catch (const std::bad_alloc&) {
    in.clear();
    return false;
  }
}

}  // namespace

bool Engine::Server::remember(const Peer& peer) {
  try {
    ids.emplace(peer.id, peer.slot);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

// Hears what a FrameReader finds in one receive.
class Engine::Reading {
 public:
  Reading(Engine& engine, Peer& peer) : engine_(engine), peer_(peer) {}

  [[nodiscard]] bool runs() const { return peer_.state == State::Open; }

  bool on_run(const uint8_t* first, size_t bytes, uint32_t count) {
    arena_kept_ = true;
    messages_ += count;
    const Location at = {0, static_cast<uint32_t>(first - engine_.core_)};
    engine_.events_.push(EventKind::Run, peer_.slot, at.slab, at.offset, static_cast<uint32_t>(bytes), count);
    return true;
  }

  bool on_frame(uint32_t header, uint8_t* payload, bool assembled) {
    if (assembled) {
      engine_.assemblies_.give_back_after_batch(payload);
      engine_.counters_[layout::kEngineCounterMessagesAssembled] += 1;
    } else {
      arena_kept_ = true;
    }
    if (frame_is_control(header)) {
      controls_ += 1;
      return engine_.on_control(peer_, header, payload);
    }
    if (peer_.state != State::Open) return engine_.on_first_frame(peer_, header, payload);
    messages_ += 1;
    const Location at = assembled ? engine_.locate(payload) : Location{0, static_cast<uint32_t>(payload - engine_.core_)};
    engine_.events_.push(EventKind::Message, peer_.slot, at.slab, at.offset, frame_length(header), frame_channel(header));
    return true;
  }

  uint8_t* assembly() { return engine_.assemblies_.take(); }

  [[nodiscard]] bool arena_kept() const { return arena_kept_; }
  [[nodiscard]] uint32_t messages() const { return messages_; }
  [[nodiscard]] uint32_t controls() const { return controls_; }

 private:
  Engine& engine_;
  Peer& peer_;
  bool arena_kept_ = false;
  uint32_t messages_ = 0;
  uint32_t controls_ = 0;
};

// ---- Memory and slots

bool Engine::add_slab(uint8_t* base, size_t bytes, const SlabParts& parts) {
  const uint64_t assemblies = uint64_t{parts.count} + AssemblyPool::kSparePerSlab;
  const bool fits = parts.count > 0 && peers_.size() + parts.count <= layout::kSlotsMax &&
                    parts.slots_offset + uint64_t{parts.count} * layout::kSlotBytes <= parts.rings_offset &&
                    parts.rings_offset + uint64_t{parts.count} * options_.send_ring_bytes <= parts.assemblies_offset &&
                    parts.assemblies_offset + assemblies * options_.assembly_bytes <= bytes && parts.slots_offset % 8 == 0;
  if (!fits) return false;
  // What may find no memory comes first, so that a refusal leaves the engine as it was.
  const auto first = static_cast<uint32_t>(peers_.size());
  const auto slab = static_cast<uint32_t>(slabs_.size());
  const uint32_t total = first + parts.count;
  auto chunk = std::make_unique<Peer[]>(parts.count);
  slabs_.reserve(slab + size_t{1});
  peer_chunks_.reserve(slab + size_t{1});
  assemblies_.reserve(total + (slab + size_t{1}) * AssemblyPool::kSparePerSlab);
  peers_.reserve(total);
  free_.reserve(total);
  freed_in_batch_.reserve(total);
  deferred_.reserve(total);
  io_->reserve(total);
  if (core_ == nullptr) {
    const uint64_t events_end = layout::kEventsOffset + uint64_t{options_.events_capacity} * layout::kEventBytes;
    const uint64_t arena_end = uint64_t{options_.arena_offset} + options_.arena_bytes;
    if (events_end > options_.arena_offset || arena_end > parts.slots_offset) return false;
    core_ = base;
    words_ = reinterpret_cast<int32_t*>(base);
    counters_ = reinterpret_cast<double*>(base + layout::kEngineCountersOffset);
    events_.set(reinterpret_cast<int32_t*>(base + layout::kEventsOffset), words_, options_.events_capacity);
    arena_ = base + options_.arena_offset;
    memory_use_small_pages(base, bytes);
    arena_direct_ = options_.arena_bytes - io_->keep_ahead(arena_, options_.arena_bytes);
  } else {
    memory_use_small_pages(base, bytes);
  }

  slabs_.push_back({base, bytes, first, parts.count});
  assemblies_.add(base + parts.assemblies_offset, options_.assembly_bytes, static_cast<uint32_t>(assemblies));
  peer_chunks_.push_back(std::move(chunk));
  for (uint32_t i = 0; i < parts.count; ++i) {
    Peer& peer = peer_chunks_.back()[i];
    uint8_t* const shared = base + parts.slots_offset + size_t{i} * layout::kSlotBytes;
    peer.slot = first + i;
    peer.slab = slab;
    peer.counters = reinterpret_cast<double*>(shared + layout::kSlotCountersOffset);
    peer.ring = SendRing(base + parts.rings_offset + size_t{i} * options_.send_ring_bytes, options_.send_ring_bytes,
                         reinterpret_cast<int32_t*>(shared));
    peers_.push_back(&peer);
  }
  for (uint32_t i = parts.count; i-- > 0;) free_.push_back(first + i);
  io_->add_memory(base + parts.rings_offset, size_t{parts.count} * options_.send_ring_bytes);
  slots_low_reported_ = false;
  resume_accepts();
  return true;
}

void Engine::slab_refused() {
  // The next shortage asks again: a listener that is neither paused nor waiting for an answer would keep the loop busy.
  slots_low_reported_ = false;
  // Places that have become free since nobody would ever announce again.
  if (!free_.empty()) return;
  for (uint32_t server = 0; server < servers_.size(); ++server) {
    if (!servers_[server].listening) continue;
    servers_[server].accept_paused = true;
    io_->accept_pause(server, true);
  }
}

void Engine::resume_accepts() {
  for (uint32_t server = 0; server < servers_.size(); ++server) {
    Server& it = servers_[server];
    if (!it.listening || !it.accept_paused || it.accept_retry_ns != 0) continue;
    it.accept_paused = false;
    io_->accept_pause(server, false);
  }
}

Peer* Engine::take_slot() {
  if (free_.empty()) return nullptr;
  Peer* peer = peers_[free_.back()];
  free_.pop_back();
  peer->begin_life();
  return peer;
}

Engine::Location Engine::locate(const void* at) const {
  const auto* byte = static_cast<const uint8_t*>(at);
  for (uint32_t slab = 0; slab < slabs_.size(); ++slab) {
    if (byte >= slabs_[slab].base && byte <= slabs_[slab].base + slabs_[slab].bytes) {
      return {slab, static_cast<uint32_t>(byte - slabs_[slab].base)};
    }
  }
  return {0, 0};
}

double* Engine::server_counters(uint32_t server) const {
  return reinterpret_cast<double*>(core_ + layout::kServerCountersOffset + size_t{server} * layout::kServerCountersBytes);
}

void Engine::count_server(const Peer& peer, uint32_t counter, double amount) {
  if (peer.of_server) server_counters(peer.server)[counter] += amount;
}

void Engine::addresses(uint32_t slot, Address& local, Address& remote) const {
  if (slot < peers_.size() && peers_[slot]->state != State::Free) io_->addresses(slot, local, remote);
}

uint8_t* Engine::slab_range(uint32_t slab, uint64_t offset, uint64_t bytes) const {
  const bool inside = slab < slabs_.size() && offset <= slabs_[slab].bytes && bytes <= slabs_[slab].bytes - offset;
  return inside ? slabs_[slab].base + offset : nullptr;
}

// ---- Servers

int Engine::listen(ServerOptions options, const Address& address, uint32_t& server, Address& bound) {
  server = 0;
  while (server < servers_.size() && servers_[server].used) ++server;
  if (server == layout::kServersMax) return layout::kErrorTooManyServers;
  if (server == servers_.size()) servers_.emplace_back();
  const int error = io_->listen(server, address, options.listen, bound);
  if (error != 0) return error;
  Server& it = servers_[server];
  it = Server{};
  it.used = it.listening = true;
  it.options = std::move(options);
  std::fill_n(server_counters(server), layout::kServerCountersBytes / sizeof(double), 0.0);
  return 0;
}

void Engine::unlisten(uint32_t server) {
  if (server >= servers_.size() || !servers_[server].listening) return;
  Server& it = servers_[server];
  it.listening = false;
  if (it.accept_retry_ns != 0) --accept_retries_;
  it.accept_retry_ns = 0;
  io_->unlisten(server);
  for (Peer* peer : peers_) {
    if (peer->of_server && peer->server == server && peer->state == State::Greeting) {
      close(peer->slot, static_cast<uint16_t>(Code::GoingAway), "");
    }
  }
}

void Engine::forget_server(uint32_t server) {
  if (server < servers_.size() && servers_[server].slots == 0 && !servers_[server].listening) servers_[server] = Server{};
}

bool Engine::can_accept(uint32_t server) {
  if (!has_room()) return false;
  if (!free_.empty()) return true;
  if (!slots_low_reported_) {
    slots_low_reported_ = true;
    events_.push(EventKind::SlotsLow, server);
  }
  return false;
}

void Engine::on_accepted(uint32_t server, AcceptedSocket socket) {
  Server& it = servers_[server];
  double* const counts = server_counters(server);
  counts[layout::kServerCounterAccepted] += 1;
  if (it.handshakes >= it.options.handshakes_max) {
    io_->discard(socket, {nullptr, 0});
    counts[layout::kServerCounterRefused] += 1;
    counts[layout::kServerCounterTooManyHandshakes] += 1;
    events_.push(EventKind::Refused, server, 0, 0, 0, static_cast<uint32_t>(Code::TooManyHandshakes));
    return;
  }
  Peer* const taken = take_slot();
  check(taken != nullptr, "a connection was accepted without a slot");
  Peer& peer = *taken;
  const int error = io_->attach(peer.slot, socket, it.options.listen.socket);
  if (error != 0) {
    free_.push_back(peer.slot);
    on_accept_error(server, error);
    return;
  }
  peer.of_server = true;
  peer.server = server;
  peer.linger_ms = it.options.linger_ms;
  peer.heartbeat_ms = it.options.heartbeat_ms;
  peer.state = State::Greeting;
  peer.reader = FrameReader(kPeerIdBytesMax);
  ++it.slots;
  counts[layout::kServerCounterHandshakes] = ++it.handshakes;
  set_deadline(peer, it.options.handshake_timeout_ms);
}

void Engine::on_accept_error(uint32_t server, int error) {
  Server& it = servers_[server];
  server_counters(server)[layout::kServerCounterAcceptErrors] += 1;
  events_.push(EventKind::AcceptError, server, 0, 0, 0, 0, static_cast<uint32_t>(error));
  // The connection stays in the listen queue; asking again at once would only spin until descriptors are free again.
  if (it.accept_retry_ns == 0) ++accept_retries_;
  it.accept_retry_ns = io_->now_ns() + kAcceptRetryNs;
  it.accept_paused = true;
  io_->accept_pause(server, true);
}

// ---- Clients

int Engine::connect(ClientOptions options, const Address& address, uint32_t& slot) {
  Peer* const peer = take_slot();
  if (peer == nullptr) return layout::kErrorNoSlot;
  const int error = io_->connect(peer->slot, address, options.socket);
  if (error != 0) {
    free_.push_back(peer->slot);
    return error;
  }
  slot = peer->slot;
  peer->state = State::Connecting;
  peer->protocol = options.classic ? Protocol::Classic : Protocol::Native;
  peer->id = std::move(options.id);
  peer->credential = std::move(options.credential);
  peer->linger_ms = options.linger_ms;
  peer->heartbeat_ms = options.heartbeat_ms;
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
  uint8_t frame[kControlFrameBytesMax];
  const Greeting greeting = {options_.message_length_max, peer.id, peer.credential};
  queue_control(
      peer, frame,
      peer.protocol == Protocol::Classic ? write_classic_id(frame, peer.id) : write_greeting(frame, Opcode::Hello, greeting));
  peer.credential.clear();
  pump(peer);
}

// ---- Receiving

// More bytes of a peer that waits for its verdict could not be read yet, and whose bytes come next is not known here.
// And each receive may end inside of a frame, whatever memory it comes in.
bool Engine::has_room() const { return !asked_ && assemblies_.available() && has_event_room(); }

bool Engine::has_event_room() const {
  return events_.room() > (options_.arena_bytes - arena_used_ - ahead_used_ + held_bytes_) / kBytesPerEventMin + kEventsReserve;
}

IoSpace Engine::receive_space() {
  const uint32_t left = arena_direct_ - arena_used_;
  if (left < kReceiveBytesMin || !has_room()) return {nullptr, 0};
  return {arena_ + arena_used_, std::min(left, receive_bytes_max())};
}

void Engine::on_received(uint32_t slot, uint8_t* data, size_t size, int error) {
  Peer& peer = *peers_[slot];
  if (peer.state == State::Free) return;
  if (error != 0) {
    fail(peer, Code::ConnectionFailed, error, "", false);
    return;
  }
  if (size == 0) {
    end_of_stream(peer);
    return;
  }
  const auto bytes = static_cast<double>(size);
  counters_[layout::kEngineCounterReceives] += 1;
  counters_[layout::kEngineCounterBytesReceived] += bytes;
  if (peer.state == State::Draining || peer.state == State::Lingering) return;
  // The batch that asked is over, so the program has overwritten the question.
  if (peer.awaits_verdict) {
    decide(peer, false);
    return;
  }
  peer.heard = true;
  if (slot != received_last_) contended_ = kContendedBatches;
  received_last_ = slot;
  batch_bytes_ += size;
  // A peer that ends now keeps its counters until its slot begins the next life.
  peer.counters[layout::kSlotCounterReceives] += 1;
  peer.counters[layout::kSlotCounterBytesReceived] += bytes;
  count_server(peer, layout::kServerCounterBytesReceived, bytes);
  if (!read(peer, data, size)) return;
  if (data >= arena_ + arena_direct_) {
    ahead_used_ += size;
    return;
  }
  const auto aligned = static_cast<uint32_t>((size + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment);
  arena_used_ = std::min(arena_used_ + aligned, arena_direct_);
}

// Returns whether the bytes must stay until the batch is over.
bool Engine::read(Peer& peer, uint8_t* data, size_t size) {
  Reading reading(*this, peer);
  const ReadResult result = peer.reader.read(data, size, reading);
  if (reading.messages() > 0) peer.told_batch = batch_;
  peer.counters[layout::kSlotCounterMessagesReceived] += reading.messages();
  counters_[layout::kEngineCounterMessagesReceived] += reading.messages();
  count_server(peer, layout::kServerCounterMessagesReceived, reading.messages());
  batch_frames_ += reading.messages() + reading.controls() * kControlCost;
  // The answers to all PINGs of a receive leave together.
  if (reading.controls() > 0 && peer.state == State::Open) pump(peer);
  if (peer.awaits_verdict) {
    peer.held = peer.reader.rest().data;
    peer.held_bytes = peer.reader.rest().size;
    held_bytes_ += peer.held_bytes;
    return true;
  }
  if (result != ReadResult::TooLong || peer.state == State::Free) return reading.arena_kept();
  if (peer.state != State::Greeting) {
    fail(peer, frame_is_control(peer.reader.refused_header()) ? Code::ProtocolError : Code::MessageTooLong, 0, "", true);
  } else if (peer.of_server) {
    if (frame_is_control(peer.reader.refused_header())) peer.protocol = Protocol::Native;
    fail(peer, peer.protocol == Protocol::Native ? Code::MalformedHello : Code::InvalidPeerId, 0, "", true);
  } else {
    fail(peer, Code::MalformedWelcome, 0, "", false);
  }
  return reading.arena_kept();
}

// ---- Greeting

bool Engine::on_first_frame(Peer& peer, uint32_t header, const uint8_t* payload) {
  Greeting greeting;
  greeting.length_max = kLengthMax;
  const std::string_view id(reinterpret_cast<const char*>(payload), frame_length(header));
  greeting.id = id;
  if (peer.of_server) {
    // Channels are no part of classic: bits above the length mean a length that the sender could not have meant.
    if (frame_channel(header) == 0 && is_classic_id(id)) return greet_server(peer, Protocol::Classic, greeting);
    fail(peer, Code::InvalidPeerId, 0, "", true);
    return false;
  }
  if (peer.protocol == Protocol::Classic && id == peer.id) {
    greeting.id = id.substr(0, 0);
    return greet_client(peer, Protocol::Classic, greeting);
  }
  fail(peer, Code::MalformedWelcome, 0, "", false);
  return false;
}

bool Engine::on_control(Peer& peer, uint32_t header, const uint8_t* payload) {
  const auto opcode = static_cast<Opcode>(frame_channel(header));
  const uint32_t length = frame_length(header);
  if (peer.state == State::Greeting && peer.of_server) {
    peer.protocol = Protocol::Native;
    Greeting greeting;
    const Code code = opcode == Opcode::Hello ? read_greeting(payload, length, greeting) : Code::MalformedHello;
    if (code == Code::None) return greet_server(peer, Protocol::Native, greeting);
    fail(peer, code, 0, "", true);
    return false;
  }
  if (peer.state == State::Greeting) {
    Greeting greeting;
    Farewell farewell;
    if (peer.protocol == Protocol::Native && opcode == Opcode::Welcome &&
        read_greeting(payload, length, greeting) == Code::None) {
      return greet_client(peer, Protocol::Native, greeting);
    }
    if (peer.protocol == Protocol::Native && opcode == Opcode::Reject && read_farewell(payload, length, farewell) == Code::None) {
      fail(peer, static_cast<Code>(farewell.code), 0, farewell.reason, false);
      return false;
    }
    fail(peer, Code::MalformedWelcome, 0, "", false);
    return false;
  }
  if (peer.protocol == Protocol::Native) {
    uint8_t frame[kControlFrameBytesMax];
    Farewell farewell;
    switch (opcode) {
      case Opcode::Ping:
        if (length != kPingBytes) break;
        // A peer that asks faster than it reads the answers loses answers, not our memory.
        if (!peer.control.fits(kHeaderBytes + kPingBytes)) pump(peer);
        queue_control(peer, frame, write_echo(frame, Opcode::Pong, payload));
        return true;
      case Opcode::Pong:
        if (length != kPingBytes) break;
        return true;
      case Opcode::Close:
        if (read_farewell(payload, length, farewell) != Code::None) break;
        report_end(peer, farewell.code, 0, farewell.reason);
        release(peer);
        return false;
      default:
        break;
    }
  }
  fail(peer, Code::ProtocolError, 0, "", true);
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
  events_.push(kind, peer.slot, peer.hello_slab, peer.hello_offset, static_cast<uint32_t>(peer.id.size()),
               peer.hello_credential_bytes, static_cast<uint32_t>(peer.protocol) | (peer.of_server ? peer.server + 1 : 0) << 8,
               peer.remote_length_max);
}

bool Engine::accept_peer(Peer& peer) {
  Server& server = servers_[peer.server];
  const auto found = server.ids.find(peer.id);
  if (found != server.ids.end()) {
    if (!server.options.replace_duplicates) {
      count_server(peer, layout::kServerCounterDuplicateIds, 1);
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
  counts[layout::kServerCounterHandshakes] = --server.handshakes;
  counts[layout::kServerCounterConnected] += 1;
  report_hello(EventKind::Connected, peer);
  peer.state = State::Open;
  peer.told_batch = batch_;
  peer.connected = peer.was_connected = true;
  peer.reader.set_length_max(options_.message_length_max);
  if (peer.protocol == Protocol::Classic) peer.reader.set_classic();
  set_deadline(peer, kProbationMs);
  heartbeat(peer, 0);
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
  const Location at = locate(greeting.id.data());
  events_.push(EventKind::Connected, peer.slot, at.slab, at.offset, static_cast<uint32_t>(greeting.id.size()), 0,
               static_cast<uint32_t>(protocol), greeting.length_max);
  peer.state = State::Open;
  peer.told_batch = batch_;
  peer.connected = true;
  peer.reader.set_length_max(options_.message_length_max);
  // A send that failed meanwhile has left the deadline of a half-dead connection.
  if (!peer.send_failed) clear_deadline(peer);
  heartbeat(peer, 0);
  return true;
}

// ---- Sending

bool Engine::queue_control(Peer& peer, const uint8_t* frame, uint32_t bytes) {
  ControlOut& control = peer.control;
  if (peer.ring.follow_rewind()) control.barrier = 0;
  if (control.empty()) {
    control.clear();
    control.barrier = peer.ring.tail();
  }
  if (!control.fits(bytes)) return false;
  std::memcpy(control.bytes + control.size, frame, bytes);
  control.size = static_cast<uint16_t>(control.size + bytes);
  return true;
}

uint32_t Engine::dirty_count() const {
  const auto count =
      static_cast<uint32_t>(std::atomic_ref<int32_t>(words_[layout::kWordDirtyCount]).load(std::memory_order_acquire));
  return std::min(count, static_cast<uint32_t>(peers_.size()));
}

constexpr size_t kHotPeerBytes = 256;

// The send of one peer pushes the next one's memory out of the cache: asked for in time, it is there again. Of 1,000 peers each
// costs a microsecond less, which is an eighth.
void Engine::prefetch_sends(const int32_t* dirty, uint32_t at, uint32_t count) {
  if (at + 2 < count) {
    if (const Peer* const second = peer_at(static_cast<uint32_t>(dirty[at + 2]))) memory_prefetch(second, kHotPeerBytes);
  }
  if (at + 1 < count) {
    if (const Peer* const next = peer_at(static_cast<uint32_t>(dirty[at + 1]))) next->ring.prefetch();
  }
}

void Engine::flush() {
  const auto* const dirty = reinterpret_cast<const int32_t*>(core_ + layout::kDirtyOffset);
  const uint32_t count = dirty_count();
  if (count == 1) return flush_slot(static_cast<uint32_t>(dirty[0]));
  const uint32_t batch_max = io_->sends_per_batch();
  for (uint32_t next = 0; next < count;) {
    uint32_t batch = 0;
    for (; next < count && batch < batch_max; ++next) {
      Peer* const peer = peer_at(static_cast<uint32_t>(dirty[next]));
      prefetch_sends(dirty, next, count);
      // The list is JavaScript's: a slot that is in it twice has nothing more to send in this batch.
      if (peer == nullptr || peer->state != State::Open || peer->send_prepared) continue;
      if (prepare_send(*peer, sends_[batch], sendings_[batch])) {
        peer->send_prepared = true;
        ++batch;
      }
    }
    io_->send_batch(sends_.data(), batch);
    for (uint32_t i = 0; i < batch; ++i) {
      if (i + 2 < batch) memory_prefetch(sendings_[i + 2].peer, kHotPeerBytes);
      if (i + 1 < batch) sendings_[i + 1].peer->ring.prefetch();
      sendings_[i].peer->send_prepared = false;
      if (finish_send(sendings_[i], sends_[i].taken)) pump(*sendings_[i].peer);
    }
  }
}

void Engine::flush_slot(uint32_t slot) {
  Peer* const peer = peer_at(slot);
  // The other states send from within poll(), where they may also end.
  if (peer != nullptr && peer->state == State::Open) pump(*peer);
}

void Engine::pump(Peer& peer) {
  IoSend send;
  Sending sending;
  while (prepare_send(peer, send, sending) && finish_send(sending, io_->send(peer.slot, send.slices, send.count))) {
  }
}

// Returns whether there is something to send now: ring bytes up to the barrier of the control frames, and these behind them.
bool Engine::prepare_send(Peer& peer, IoSend& send, Sending& sending) {
  if (peer.ring.follow_rewind()) peer.control.barrier = 0;
  if (peer.send_failed || peer.send_blocked) return false;
  if (peer.farewell_due && peer.control.empty() && peer.ring.empty()) {
    peer.farewell_due = false;
    peer.farewell_queued = true;
    uint8_t frame[kControlFrameBytesMax];
    queue_control(peer, frame, write_farewell(frame, peer.farewell, {peer.close_code, peer.reason}));
  }
  const bool control = !peer.control.empty();
  // What a handler of the same batch has written since comes too late.
  if (peer.farewell_queued && !control) return false;
  const uint32_t end = control ? peer.control.barrier : peer.ring.tail();
  const SendRing::Pending pending = peer.ring.pending(end);
  if (pending.corrupt) {
    counters_[layout::kEngineCounterCorruptions] += 1;
    send_lost(peer, 0);
    peer.close_requested = peer.reset_on_close = true;
    peer.close_code = static_cast<uint16_t>(Code::MemoryCorrupted);
    defer(peer);
    return false;
  }
  send.slot = peer.slot;
  send.count = pending.count;
  sending = {&peer, 0, end, 0};
  for (uint32_t i = 0; i < pending.count; ++i) {
    send.slices[i] = pending.slices[i];
    sending.ring_bytes += static_cast<uint32_t>(pending.slices[i].size);
  }
  sending.total = sending.ring_bytes;
  if (control) {
    const auto left = static_cast<size_t>(peer.control.size - peer.control.sent);
    send.slices[send.count++] = {peer.control.bytes + peer.control.sent, left};
    sending.total += left;
  }
  peer.high_water = std::max(peer.high_water, std::max(end, end < peer.ring.head() ? peer.ring.limit() : 0U));
  return sending.total > 0;
}

// Returns whether the peer may have more to send at once.
bool Engine::finish_send(const Sending& sending, int64_t taken) {
  Peer& peer = *sending.peer;
  if (taken < 0) {
    send_lost(peer, static_cast<int>(-taken));
    return false;
  }
  const auto bytes = static_cast<size_t>(taken);
  check(bytes <= sending.total, "more was sent than there was");
  peer.counters[layout::kSlotCounterSends] += 1;
  counters_[layout::kEngineCounterSends] += 1;
  const bool control = !peer.control.empty();
  count_sent(peer, bytes, sending.ring_bytes, sending.end);
  if (bytes == sending.total) return control || peer.farewell_due;
  counters_[layout::kEngineCounterSendsBlocked] += 1;
  peer.send_blocked = true;
  peer.blocked_bytes = sending.ring_bytes - static_cast<uint32_t>(std::min<size_t>(bytes, sending.ring_bytes));
  peer.blocked_end = sending.end;
  return false;
}

// The system took `bytes`: first of the `ring_bytes` in front of `end`, then of the control frames behind them.
void Engine::count_sent(Peer& peer, size_t bytes, uint32_t ring_bytes, uint32_t end) {
  const size_t of_ring = std::min<size_t>(bytes, ring_bytes);
  if (of_ring > 0) peer.ring.advance(static_cast<uint32_t>(of_ring), end);
  peer.control.sent = static_cast<uint16_t>(peer.control.sent + (bytes - of_ring));
  const auto amount = static_cast<double>(bytes);
  peer.counters[layout::kSlotCounterBytesSent] += amount;
  counters_[layout::kEngineCounterBytesSent] += amount;
  count_server(peer, layout::kServerCounterBytesSent, amount);
}

// What was received before is still read. The end follows by itself then; if it does not, the connection is half dead, and ended.
void Engine::send_lost(Peer& peer, int error) {
  peer.send_failed = true;
  peer.send_error = error;
  if (peer.state == State::Greeting || peer.state == State::Open) set_deadline(peer, peer.linger_ms);
  peer.farewell_due = false;
  peer.ring.discard();
  peer.control.clear();
}

void Engine::on_sent(uint32_t slot, size_t size, int error) {
  Peer& peer = *peers_[slot];
  if (peer.state == State::Free) return;
  peer.send_blocked = false;
  if (error != 0) {
    send_lost(peer, error);
  } else if (size > 0 && !peer.send_failed) {
    count_sent(peer, size, peer.blocked_bytes, peer.blocked_end);
  }
  pump(peer);
  after_pump(peer);
  if (peer.state == State::Open && peer.ring.drained()) events_.push(EventKind::Drain, slot);
}

void Engine::after_pump(Peer& peer) {
  if (peer.state != State::Draining) return;
  if (peer.send_failed) {
    release(peer);
    return;
  }
  if (peer.farewell_due || !peer.control.empty() || (!peer.farewell_queued && !peer.ring.empty())) return;
  if (!io_->sent_all(peer.slot)) return;
  if (peer.end_received) {
    release(peer);
    return;
  }
  io_->shutdown(peer.slot);
  peer.state = State::Lingering;
}

// ---- Endings

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
  if (peer->close_code == 0) peer->close_code = static_cast<uint16_t>(Code::Aborted);
  defer(*peer);
}

void Engine::defer(Peer& peer) {
  if (peer.deferred) return;
  peer.deferred = true;
  deferred_.push_back(peer.slot);
}

void Engine::carry_out_deferred() {
  size_t done = 0;
  for (; done < deferred_.size() && has_event_room(); ++done) {
    Peer& peer = *peers_[deferred_[done]];
    peer.deferred = false;
    if (peer.state == State::Free) continue;
    if (!peer.close_requested) {
      if (peer.end_deferred) end_of_stream(peer);
      continue;
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
  deferred_.erase(deferred_.begin(), deferred_.begin() + static_cast<std::ptrdiff_t>(done));
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
        events_.push(EventKind::ConnectFailed, peer.slot, at.slab, at.offset, static_cast<uint32_t>(text.size()), number,
                     static_cast<uint32_t>(error));
        release(peer);
        return;
      }
      peer.refused = true;
      count_server(peer, layout::kServerCounterRefused, 1);
      events_.push(EventKind::Refused, peer.server, 0, 0, 0, number, static_cast<uint32_t>(error));
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
  events_.push(EventKind::Disconnected, peer.slot, at.slab, at.offset, length, code, static_cast<uint32_t>(error));
  if (peer.heartbeat_due_ns != 0) --heartbeats_;
  peer.heartbeat_due_ns = 0;
  if (!peer.of_server) return;
  Server& server = servers_[peer.server];
  double* const counts = server_counters(peer.server);
  check(server.ids.erase(peer.id) == 1, "a peer left that was not there");
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
  peer.state = State::Draining;
  set_deadline(peer, peer.linger_ms);
  pump(peer);
  after_pump(peer);
}

void Engine::release(Peer& peer) {
  check(peer.state != State::Free, "a connection ended twice");
  peer.state = State::Free;
  clear_deadline(peer);
  if (peer.reader.assembly() != nullptr) assemblies_.give_back(peer.reader.assembly());
  peer.reader = FrameReader(0);
  // Its question was never answered, because the program overwrote the event.
  held_bytes_ -= peer.held_bytes;
  peer.held_bytes = 0;
  if (io_->close(peer.slot, peer.reset_on_close)) on_closed(peer.slot);
}

// The slot goes to its next life only now, because the system may have read its ring until here.
void Engine::on_closed(uint32_t slot) {
  Peer& peer = *peers_[slot];
  check(peer.state == State::Free, "a living connection was closed");
  if (peer.high_water > kRingBytesKept) memory_discard(peer.ring.main(), peer.ring.main_bytes());
  uint32_t slots_left = 0;
  if (peer.of_server) {
    Server& server = servers_[peer.server];
    check(server.slots > 0, "a server lost more connections than it had");
    if (!peer.was_connected) server_counters(peer.server)[layout::kServerCounterHandshakes] = --server.handshakes;
    slots_left = --server.slots;
  }
  freed_in_batch_.push_back(peer.slot);
  events_.push(EventKind::Released, peer.slot, peer.of_server ? peer.server : kNone, slots_left);
}

// ---- Time

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
  }
  uint32_t left = kWorkPerPoll;
  ticking_ = (!put_off_ && !expire_due(now, left)) || !send_heartbeats(now, left);
}

void Engine::retry_accepts(uint64_t now_ns) {
  for (uint32_t server = 0; accept_retries_ > 0 && server < servers_.size(); ++server) {
    Server& it = servers_[server];
    if (it.accept_retry_ns == 0 || now_ns < it.accept_retry_ns) continue;
    it.accept_retry_ns = 0;
    it.accept_paused = false;
    --accept_retries_;
    io_->accept_pause(server, false);
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

// ---- The batch

// By the length of the last batch's frames: bytes alone say little about how long a handler will take.
void Engine::share_arena() {
  if (contended_ > 0) {
    --contended_;
    const uint64_t bytes = batch_frames_ > 0 ? batch_bytes_ / batch_frames_ * kFairFrames : kFairBytesMax;
    fair_bytes_ = static_cast<uint32_t>(std::clamp<uint64_t>(bytes, kFairBytesMin, kFairBytesMax));
  }
  batch_bytes_ = batch_frames_ = 0;
}

uint32_t Engine::poll(bool spinning) {
  const uint32_t unconsumed = events_.unconsumed();
  if (unconsumed > 0) return unconsumed;
  if (events_.count() > 0) events_.begin_batch();
  ++batch_;
  assemblies_.end_batch();
  arena_used_ = 0;
  ahead_used_ = 0;
  asked_ = false;
  if (batch_bytes_ > 0) share_arena();
  if (!freed_in_batch_.empty()) {
    free_.insert(free_.end(), freed_in_batch_.begin(), freed_in_batch_.end());
    freed_in_batch_.clear();
    resume_accepts();
  }
  if (!deferred_.empty()) carry_out_deferred();
  io_->poll(*this, spinning);
  if (has_timers() || ticking_) tick();
  counters_[layout::kEngineCounterPolls] += 1;
  counters_[layout::kEngineCounterEvents] += events_.count();
  return events_.count();
}

}  // namespace zerio
