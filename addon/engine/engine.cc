// The path of a message: one batch, and what it receives. What is sent is in engine_sending.cc; how connections open, end and
// grow old is in the files beside it.
#include "engine.h"

#include <algorithm>

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
// So much of a frame is received where it is assembled. Less is received with what follows, which saves a system call.
constexpr size_t kStraightBytesMin = 16384;

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
      engine_.assemblies_.give_back_after_batch(payload - kHeaderBytes);
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
  // What is received begins elsewhere in each batch (memory.h).
  arena_used_ = batch_bytes_ >= kStaggeredBytesMin ? memory_stagger(batch_) : 0;
  ahead_used_ = 0;
  receives_ = after_ns_ = peer_ends_ = 0;
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
// bytes come from. Besides, each receive may end inside of a frame, which then needs an assembly buffer. Bytes that go into one
// leave the arena as it was: they count all the same, so that a batch is bounded, and with it what a pause has to hold back.
bool Engine::has_room() const {
  return !asked_ && batch_bytes_ < options_.arena_bytes && assemblies_.available() && has_event_room();
}

bool Engine::has_event_room() const {
  return events_.room() > (options_.arena_bytes - arena_used_ - ahead_used_ + held_bytes_) / kBytesPerEventMin + kEventsReserve;
}

IoSpace Engine::receive_space(uint32_t slot) {
  if (!has_room()) return {nullptr, 0};
  uint32_t most = receive_bytes_max();
  if (slot < connections_.size()) {
    const FrameReader& reader = connections_[slot]->life.reader;
    const FrameReader::Rest rest = reader.rest_of_frame();
    // Also more than is left of the batch: what is left over would cost one more wake-up.
    if (rest.size >= kStraightBytesMin) return {rest.data, std::min<size_t>(rest.size, most)};
    // Only its header and a little more, so that the rest can be received where it belongs.
    if (reader.expects_long()) most = std::min(most, kReceiveBytesMin);
  }
  const uint32_t left = std::min(arena_direct_ - arena_used_, options_.arena_bytes - static_cast<uint32_t>(batch_bytes_));
  if (left < kReceiveBytesMin) return {nullptr, 0};
  return {arena_ + arena_used_, std::min(left, most)};
}

// Not while others receive, too: each gets its share.
bool Engine::wants_more(uint32_t slot) const {
  const Life& life = connections_[slot]->life;
  return life.state == State::Open && !life.paused && contended_ == 0 && life.reader.rest_of_frame().size >= kStraightBytesMin;
}

void Engine::on_received(uint32_t slot, uint8_t* data, size_t size, int error) {
  Connection& connection = *connections_[slot];
  Life& life = connection.life;
  if (life.state == State::Free || life.state == State::Suspended) return;
  if (error != 0 || size == 0) return ended_by_peer(connection, error);
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
        left_by_peer(connection, farewell);
        return false;
      default:
        if (on_topic_frame(connection, opcode, payload, length)) return true;
        break;
    }
  }
  fail(connection, Code::ProtocolError, 0, "", true);
  return false;
}

}  // namespace zerio
