// The path of a message: one batch, what it receives, and what is sent. How connections open, end and grow old is in the files
// beside this one.
#include "engine.h"

#include <algorithm>

#include "check.h"
#include "framing.h"

namespace zerio {
namespace {

// A receive with less room than this is not worth its system call.
constexpr uint32_t kReceiveBytesMin = 4096;
// While several connections receive, a batch delivers at most about this many frames of each, so that the others wait for 0.03
// milliseconds and not for the 100,000 empty messages that fit into an arena. Twice as many bring a tenth more of empty messages
// from several senders, and double the p99 of the peers that share the server with them.
constexpr uint32_t kFairFrames = 256;
constexpr uint32_t kFairBytesMin = 512;
// Copying these takes as long as delivering that many frames.
constexpr uint32_t kFairBytesMax = 16384;
// A PING is answered by a send, which is as much work as so many messages.
constexpr uint32_t kControlCost = 32;
// Several connections count as receiving for so many batches after the last change from one to another.
constexpr uint32_t kContendedBatches = 1000;
// Asking the clock takes as long as two messages, so it is asked once for so many receives of a batch.
constexpr uint32_t kReceivesPerLook = 16;
// Received bytes yield at most one event for each 8 of them: an empty data frame and an empty control frame.
constexpr uint32_t kBytesPerEventMin = 8;
constexpr uint32_t kEventsReserve = 64;
constexpr size_t kHotConnectionBytes = 256;

}  // namespace

// Takes what a FrameReader finds in one receive.
class Engine::Reading {
 public:
  Reading(Engine& engine, Connection& connection) : engine_(engine), connection_(connection) {}

  [[nodiscard]] bool runs() const { return receives(connection_.life.state); }

  bool on_run(const uint8_t* first, size_t bytes, uint32_t count) {
    arena_kept_ = true;
    engine_.events_.push(RunEvent{.slot = connection_.slot,
                                  .slab = 0,
                                  .offset = static_cast<uint32_t>(first - engine_.core_),
                                  .bytes = static_cast<uint32_t>(bytes),
                                  .count = count,
                                  .before = before(),
                                  .after_ns = engine_.after_ns_});
    messages_ += count;
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
      return engine_.on_control(connection_, header, payload);
    }
    if (!receives(connection_.life.state)) return engine_.on_first_frame(connection_, header, payload);
    const Location at = assembled ? engine_.locate(payload) : Location{0, static_cast<uint32_t>(payload - engine_.core_)};
    engine_.events_.push(MessageEvent{.slot = connection_.slot,
                                      .slab = at.slab,
                                      .offset = at.offset,
                                      .length = frame_length(header),
                                      .channel = frame_channel(header),
                                      .before = before(),
                                      .after_ns = engine_.after_ns_});
    messages_ += 1;
    return true;
  }

  uint8_t* assembly() { return engine_.assemblies_.take(); }

  [[nodiscard]] bool arena_kept() const { return arena_kept_; }
  [[nodiscard]] uint32_t messages() const { return messages_; }
  [[nodiscard]] uint32_t controls() const { return controls_; }

 private:
  [[nodiscard]] uint32_t before() const { return static_cast<uint32_t>(connection_.life.received) + messages_; }

  Engine& engine_;
  Connection& connection_;
  bool arena_kept_ = false;
  uint32_t messages_ = 0;
  uint32_t controls_ = 0;
};

// ---- The batch

// Limits each receive by the mean length of the last batch's frames: a handler's time depends on their number more than on their
// bytes.
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
  receives_ = after_ns_ = 0;
  asked_ = false;
  refused_peers_.clear();
  if (batch_bytes_ > 0) share_arena();
  if (!freed_in_batch_.empty()) {
    for (const uint32_t slot : freed_in_batch_) return_slot(slot);
    freed_in_batch_.clear();
    resume_accepts();
  }
  if (has_ends_due()) carry_out_ends();
  io_->poll(*this, spinning);
  if (!deadlines_.empty() || ticking_) tick();
  if (assemblies_.has_surplus()) give_back_later();
  if (give_back_due_ns_ != kNothingDue) give_back();
  counters_[layout::kEngineCounterPolls] += 1;
  counters_[layout::kEngineCounterEvents] += events_.count();
  return events_.count();
}

Engine::EventOwner Engine::next_event_owner() const {
  const auto [kind, index] = events_.next<Event>();
  switch (kind) {
    case EventKind::Refused:
    case EventKind::AcceptError:
    case EventKind::SlotsLow:
      return {true, index};
    case EventKind::Asked:
    case EventKind::Connected: {
      // A client's greeting names no server.
      const uint32_t server = events_.next<GreetingEvent>().server_plus_one();
      return server == 0 ? EventOwner{false, index} : EventOwner{true, server - 1};
    }
    default:
      return {false, index};
  }
}

// ---- Receiving

// While a connection waits for its verdict, more bytes of it could not be read yet, and it is not known which connection the next
// bytes come from. Besides, each receive may end inside of a frame, which then needs an assembly buffer.
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
  Connection& connection = *connections_[slot];
  Life& life = connection.life;
  if (life.state == State::Free || life.state == State::Suspended) return;
  if (error != 0) {
    fail(connection, Code::ConnectionFailed, error, "", false);
    return;
  }
  if (size == 0) {
    end_of_stream(connection);
    return;
  }
  if (receives_ % kReceivesPerLook == 0) look_at_clock();
  ++receives_;
  const auto bytes = static_cast<double>(size);
  counters_[layout::kEngineCounterReceives] += 1;
  counters_[layout::kEngineCounterBytesReceived] += bytes;
  if (life.state != State::Open) {
    if (life.state == State::Draining || life.state == State::Lingering) return;
    if (life.place == Place::Silent) move_to(connection, Place::Speaking);
  }
  life.heard = kHeardByAll;
  if (slot != received_last_) contended_ = kContendedBatches;
  received_last_ = slot;
  batch_bytes_ += size;
  // A connection that ends now keeps its counters until its slot begins the next life.
  connection.counters[layout::kSlotCounterReceives] += 1;
  connection.counters[layout::kSlotCounterBytesReceived] += bytes;
  count_server(connection, layout::kServerCounterBytesReceived, bytes);
  if (life.verdict != Verdict::None) return hold(connection, data, size);
  if (!read(connection, data, size)) return;
  if (data >= arena_ + arena_direct_) {
    ahead_used_ += size;
    return;
  }
  arena_used_ = std::min(arena_used_ + aligned(size), arena_direct_);
}

// Returns whether the bytes must stay until the batch is over.
bool Engine::read(Connection& connection, uint8_t* data, size_t size) {
  Life& life = connection.life;
  Reading reading(*this, connection);
  const ReadResult result = life.reader.read(data, size, reading);
  if (reading.messages() > 0) life.last_event_batch = batch_;
  life.received += reading.messages();
  if (life.in_session) note_received(connection, reading.messages(), size);
  connection.counters[layout::kSlotCounterMessagesReceived] += reading.messages();
  counters_[layout::kEngineCounterMessagesReceived] += reading.messages();
  count_server(connection, layout::kServerCounterMessagesReceived, reading.messages());
  batch_frames_ += reading.messages() + reading.controls() * kControlCost;
  // The answers to all PINGs of a receive are sent together.
  if (reading.controls() > 0 && life.state == State::Open) pump(connection);
  if (life.verdict == Verdict::Asked) {
    life.held = life.reader.rest().data;
    life.held_bytes = life.reader.rest().size;
    held_bytes_ += life.held_bytes;
    return true;
  }
  if (result != ReadResult::TooLong || life.state == State::Free) return reading.arena_kept();
  if (life.state != State::Greeting) {
    fail(connection, frame_is_control(life.reader.refused_header()) ? Code::ProtocolError : Code::MessageTooLong, 0, "", true);
  } else if (life.of_server) {
    if (frame_is_control(life.reader.refused_header())) life.protocol = Protocol::Native;
    fail(connection, life.protocol == Protocol::Native ? Code::MalformedHello : Code::InvalidPeerId, 0, "", true);
  } else {
    fail(connection, Code::MalformedWelcome, 0, "", false);
  }
  return reading.arena_kept();
}

bool Engine::on_control(Connection& connection, uint32_t header, const uint8_t* payload) {
  Life& life = connection.life;
  const auto opcode = static_cast<Opcode>(frame_channel(header));
  const uint32_t length = frame_length(header);
  if (life.state == State::Greeting && life.of_server) {
    life.protocol = Protocol::Native;
    Greeting greeting;
    Code code = opcode == Opcode::Hello ? read_greeting(payload, length, greeting) : Code::MalformedHello;
    if (code == Code::None) code = read_extensions(connection, greeting);
    if (code == Code::None) return greet_server(connection, Protocol::Native, greeting);
    fail(connection, code, 0, "", true);
    return false;
  }
  if (life.state == State::Greeting) {
    Greeting greeting;
    Farewell farewell;
    if (life.protocol == Protocol::Native && opcode == Opcode::Welcome &&
        read_greeting(payload, length, greeting) == Code::None) {
      return greet_client(connection, Protocol::Native, greeting);
    }
    if (life.protocol == Protocol::Native && opcode == Opcode::Reject && read_farewell(payload, length, farewell) == Code::None) {
      fail(connection, static_cast<Code>(farewell.code), 0, farewell.reason, false);
      return false;
    }
    fail(connection, Code::MalformedWelcome, 0, "", false);
    return false;
  }
  if (life.protocol == Protocol::Native) {
    uint8_t frame[kControlFrameBytesMax];
    Farewell farewell;
    switch (opcode) {
      case Opcode::Ping:
        if (length != kPingBytes) break;
        // Behind the end of the stream there is no answer. The other side expects none when it has received the end.
        if (life.end_sent) return true;
        // Another side that sends PINGs faster than it reads the answers loses answers; the engine keeps no more of them.
        if (!life.control.fits(kHeaderBytes + kPingBytes)) pump(connection);
        queue_control(connection, frame, write_echo(frame, Opcode::Pong, payload));
        return true;
      case Opcode::Pong:
        if (length != kPingBytes) break;
        on_pong(connection, payload);
        return true;
      case Opcode::Acknowledge:
        if (length != kAcknowledgeBytes || !life.in_session) break;
        if (!take_acknowledgement(connection, load<uint64_t>(payload))) break;
        return true;
      case Opcode::Close:
        if (read_farewell(payload, length, farewell) != Code::None) break;
        report_end(connection, farewell.code, 0, farewell.reason);
        release(connection);
        return false;
      default:
        if (on_topic_frame(connection, opcode, payload, length)) return true;
        break;
    }
  }
  fail(connection, Code::ProtocolError, 0, "", true);
  return false;
}

// ---- Sending

bool Engine::queue_control(Connection& connection, const uint8_t* frame, uint32_t bytes) {
  ControlOut& control = connection.life.control;
  if (connection.ring.follow_rewind()) control.barrier = 0;
  if (control.empty()) {
    control.clear();
    control.barrier = connection.ring.tail();
  }
  if (!control.fits(bytes)) return false;
  std::memcpy(control.bytes + control.size, frame, bytes);
  control.size = static_cast<uint16_t>(control.size + bytes);
  return true;
}

uint32_t Engine::dirty_count() const {
  const auto count =
      static_cast<uint32_t>(std::atomic_ref<int32_t>(words_[layout::kWordDirtyCount]).load(std::memory_order_acquire));
  return std::min(count, static_cast<uint32_t>(connections_.size()));
}

// A send pushes the memory of the next connection out of the cache. A prefetch brings it back in time: with 1,000 peers it saves
// a microsecond for each, which is an eighth.
void Engine::prefetch_sends(const int32_t* dirty, uint32_t at, uint32_t count) {
  if (at + 2 < count) {
    if (const Connection* const second = connection_at(static_cast<uint32_t>(dirty[at + 2])))
      memory_prefetch(second, kHotConnectionBytes);
  }
  if (at + 1 < count) {
    if (const Connection* const next = connection_at(static_cast<uint32_t>(dirty[at + 1]))) next->ring.prefetch();
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
      Connection* const connection = connection_at(static_cast<uint32_t>(dirty[next]));
      prefetch_sends(dirty, next, count);
      // JavaScript writes the list: a slot that is in it twice has nothing more to send in this batch.
      if (connection == nullptr || connection->life.state != State::Open || connection->life.send_prepared) continue;
      if (prepare_send(*connection, sends_[batch], sendings_[batch])) {
        connection->life.send_prepared = true;
        ++batch;
      }
    }
    io_->send_batch(sends_.data(), batch);
    for (uint32_t i = 0; i < batch; ++i) {
      if (i + 2 < batch) memory_prefetch(sendings_[i + 2].connection, kHotConnectionBytes);
      if (i + 1 < batch) sendings_[i + 1].connection->ring.prefetch();
      sendings_[i].connection->life.send_prepared = false;
      if (finish_send(sendings_[i], sends_[i].taken)) pump(*sendings_[i].connection);
    }
  }
}

void Engine::flush_slot(uint32_t slot) {
  Connection* const connection = connection_at(slot);
  // In other states a connection sends inside poll(), where it may also end.
  if (connection != nullptr && connection->life.state == State::Open) pump(*connection);
}

void Engine::pump(Connection& connection) {
  IoSend send;
  Sending sending;
  while (prepare_send(connection, send, sending) && finish_send(sending, io_->send(connection.slot, send.slices, send.count))) {
  }
}

// Returns whether there is something to send now: ring bytes up to the barrier of the control frames, and these behind them.
bool Engine::prepare_send(Connection& connection, IoSend& send, Sending& sending) {
  Life& life = connection.life;
  if (connection.ring.follow_rewind()) life.control.barrier = 0;
  if (life.send_failed || life.send_blocked) return false;
  if (life.control_due && life.control.empty() && !life.farewell_queued) queue_due(connection);
  if (life.farewell_due && life.control.empty() && connection.ring.empty()) {
    life.farewell_due = false;
    life.farewell_queued = true;
    uint8_t frame[kControlFrameBytesMax];
    queue_control(connection, frame, write_farewell(frame, life.farewell, {life.close_code, life.reason}));
  }
  const bool control = !life.control.empty();
  // What a handler of the same batch has written since the farewell is not sent.
  if (life.farewell_queued && !control) return false;
  const uint32_t end = control ? life.control.barrier : connection.ring.tail();
  const SendRing::Pending pending = connection.ring.pending(end);
  if (pending.corrupt) {
    counters_[layout::kEngineCounterCorruptions] += 1;
    send_lost(connection, 0);
    life.close_requested = life.reset_on_close = true;
    life.close_code = static_cast<uint16_t>(Code::MemoryCorrupted);
    defer(connection);
    return false;
  }
  send.slot = connection.slot;
  send.count = pending.count;
  sending = {&connection, 0, end, 0};
  for (uint32_t i = 0; i < pending.count; ++i) {
    send.slices[i] = pending.slices[i];
    sending.ring_bytes += static_cast<uint32_t>(pending.slices[i].size);
  }
  sending.total = sending.ring_bytes;
  if (control) {
    const auto left = static_cast<size_t>(life.control.size - life.control.sent);
    send.slices[send.count++] = {life.control.bytes + life.control.sent, left};
    sending.total += left;
  }
  // Behind a jump from the ring's end the head is still where it was.
  if (std::max(end, connection.ring.head()) > SendRing::kMain + options_.ring_kept_bytes && !connection.ring_noted)
    note_ring(connection);
  return sending.total > 0;
}

// Returns whether the connection may have more to send at once.
bool Engine::finish_send(const Sending& sending, int64_t taken) {
  Connection& connection = *sending.connection;
  Life& life = connection.life;
  if (taken < 0) {
    send_lost(connection, static_cast<int>(-taken));
    return false;
  }
  const auto bytes = static_cast<size_t>(taken);
  check(bytes <= sending.total, "more was sent than there was");
  connection.counters[layout::kSlotCounterSends] += 1;
  counters_[layout::kEngineCounterSends] += 1;
  const bool control = !life.control.empty();
  count_sent(connection, bytes, sending.ring_bytes, sending.end);
  if (bytes == sending.total) return control || life.farewell_due;
  counters_[layout::kEngineCounterSendsBlocked] += 1;
  life.send_blocked = true;
  life.blocked_bytes = sending.ring_bytes - static_cast<uint32_t>(std::min<size_t>(bytes, sending.ring_bytes));
  life.blocked_end = sending.end;
  return false;
}

// The system took `bytes`: first of the `ring_bytes` in front of `end`, then of the control frames behind them.
void Engine::count_sent(Connection& connection, size_t bytes, uint32_t ring_bytes, uint32_t end) {
  const size_t of_ring = std::min<size_t>(bytes, ring_bytes);
  if (of_ring > 0) connection.ring.advance(static_cast<uint32_t>(of_ring), end);
  connection.life.control.sent = static_cast<uint16_t>(connection.life.control.sent + (bytes - of_ring));
  const auto amount = static_cast<double>(bytes);
  connection.counters[layout::kSlotCounterBytesSent] += amount;
  counters_[layout::kEngineCounterBytesSent] += amount;
  count_server(connection, layout::kServerCounterBytesSent, amount);
}

// What the system has received is still read, and the end of the stream is expected to follow. If it does not, the connection is
// half dead, and the deadline ends it.
void Engine::send_lost(Connection& connection, int error) {
  Life& life = connection.life;
  life.send_failed = true;
  life.send_error = error;
  if (life.state == State::Greeting || life.state == State::Open) set_deadline(connection, life.linger_ms);
  life.farewell_due = false;
  if (!life.in_session) connection.ring.discard();
  life.control.clear();
  // JavaScript holds back what a paused connection still has.
  end_pause(connection);
}

void Engine::on_sent(uint32_t slot, size_t size, int error) {
  Connection& connection = *connections_[slot];
  Life& life = connection.life;
  if (life.state == State::Free || life.state == State::Suspended) return;
  life.send_blocked = false;
  if (error != 0) {
    send_lost(connection, error);
  } else if (size > 0 && !life.send_failed) {
    count_sent(connection, size, life.blocked_bytes, life.blocked_end);
  }
  const bool answered = life.in_session && life.state == State::Open && life.session.early > 0;
  if (answered && !life.send_failed && !take_early_acknowledgement(connection)) return;
  pump(connection);
  after_pump(connection);
  if (life.state == State::Open && !life.in_session && !life.end_requested) report_drain(connection);
}

void Engine::after_pump(Connection& connection) {
  Life& life = connection.life;
  if (life.end_requested && life.state == State::Open) return send_end_if_sent(connection);
  if (life.state != State::Draining) return;
  if (life.send_failed) {
    release(connection);
    return;
  }
  if (life.farewell_due || !life.control.empty() || (!life.farewell_queued && !connection.ring.empty())) return;
  if (!io_->sent_all(connection.slot)) return;
  if (life.end_received) {
    release(connection);
    return;
  }
  if (!life.end_sent) io_->shutdown(connection.slot);
  life.state = State::Lingering;
  if (life.of_server) move_to(connection, Place::Lingering);
}

}  // namespace zerio
