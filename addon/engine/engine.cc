// The straight path: one batch, what it receives, and what is sent. How connections come to be, end and grow old is in the files
// beside this one.
#include "engine.h"

#include <algorithm>

#include "check.h"
#include "framing.h"

namespace zerio {
namespace {

// A receive with less room than this is not worth its system call.
constexpr uint32_t kReceiveBytesMin = 4096;
constexpr uint32_t kArenaAlignment = 64;
// While several connections receive, none of them may have more than about this many frames delivered at a time, so that the
// others wait for 0.03 milliseconds and not for the 100,000 empty messages that fit into an arena. Twice as many give several
// senders of empty messages a tenth more, and double the p99 of who shares the server with them.
constexpr uint32_t kFairFrames = 256;
constexpr uint32_t kFairBytesMin = 512;
// To copy these takes as long.
constexpr uint32_t kFairBytesMax = 16384;
// The answers to PINGs are sends: one PING is as much work as so many messages.
constexpr uint32_t kControlCost = 32;
// For how many batches connections count as several after the last time that another one received.
constexpr uint32_t kContendedBatches = 1000;
// One received byte span yields at most one event for each 8 bytes: an empty data frame and an empty control frame.
constexpr uint32_t kBytesPerEventMin = 8;
constexpr uint32_t kEventsReserve = 64;
constexpr size_t kHotPeerBytes = 256;
// A process that ends waits no longer for those that do not read.
constexpr uint32_t kHandOverMsMax = 1000;

}  // namespace

// Hears what a FrameReader finds in one receive.
class Engine::Reading {
 public:
  Reading(Engine& engine, Peer& peer) : engine_(engine), peer_(peer) {}

  [[nodiscard]] bool runs() const { return peer_.state == State::Open; }

  bool on_run(const uint8_t* first, size_t bytes, uint32_t count) {
    arena_kept_ = true;
    messages_ += count;
    const Location at = {0, static_cast<uint32_t>(first - engine_.core_)};
    engine_.events_.push(RunEvent{
        .slot = peer_.slot, .slab = at.slab, .offset = at.offset, .bytes = static_cast<uint32_t>(bytes), .count = count});
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
    engine_.events_.push(MessageEvent{.slot = peer_.slot,
                                      .slab = at.slab,
                                      .offset = at.offset,
                                      .length = frame_length(header),
                                      .channel = frame_channel(header)});
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
      // Of a client's greeting there is no server.
      const uint32_t server = events_.next<GreetingEvent>().server_plus_one();
      return server == 0 ? EventOwner{false, index} : EventOwner{true, server - 1};
    }
    default:
      return {false, index};
  }
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
  if (peer.state != State::Open) {
    if (peer.state == State::Draining || peer.state == State::Lingering) return;
    if (peer.place == Place::Silent) move_to(peer, Place::Speaking);
  }
  // The batch that asked is over, so the program has overwritten the question.
  if (peer.awaits_verdict) {
    decide(peer, false);
    return;
  }
  peer.heard = kHeardByAll;
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

void Engine::hand_over() {
  // Once for the end of a process or worker, however many engines and late messages there are.
  thread_local const uint64_t began_ns = io_->now_ns();
  for (Peer* const peer : peers_) {
    if (peer->state != State::Open && peer->state != State::Draining) continue;
    const uint64_t until_ns = began_ns + std::min(peer->linger_ms, kHandOverMsMax) * kMillisecondNs;
    for (;;) {
      pump(*peer);
      const uint64_t now_ns = io_->now_ns();
      if (!peer->send_blocked || now_ns >= until_ns) break;
      if (!io_->wait_writable(peer->slot, static_cast<uint32_t>((until_ns - now_ns) / kMillisecondNs) + 1)) break;
      peer->send_blocked = false;
    }
  }
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
  // Behind a jump from the ring's end the head is still where it was.
  if (std::max(end, peer.ring.head()) > SendRing::kMain + options_.ring_kept_bytes && !peer.ring_noted) note_ring(peer);
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
  if (peer.state == State::Open && peer.ring.drained()) events_.push(Event{EventKind::Drain, slot});
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
  if (peer.of_server) move_to(peer, Place::Lingering);
}

}  // namespace zerio
