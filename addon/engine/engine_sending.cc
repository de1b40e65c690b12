// What is sent: one flush over all connections that have something to send, one send for each of them, and what follows when the
// system has taken it.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "check.h"
#include "engine.h"

namespace zerio {

bool Engine::queue_control(Connection& connection, const uint8_t* frame, uint32_t bytes) {
  ControlOut& control = connection.life.control;
  if (connection.ring.follow_rewind()) control.barrier = connection.ring.head();
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

uint32_t Engine::send_straight(uint32_t slot, uint32_t position, uint32_t header, std::span<const uint8_t> payload) {
  Connection* const found = connection_at(slot);
  if (found == nullptr || found->life.state != State::Open || !io_->copies_at_once()) return 0;
  Connection& connection = *found;
  Life& life = connection.life;
  if (connection.ring.follow_rewind()) life.control.barrier = connection.ring.head();
  const bool is_free = !life.in_session && !life.send_failed && !life.send_blocked && life.control.empty() && !life.control_due &&
                       !life.farewell_due && !life.farewell_queued && connection.ring.empty();
  if (!is_free) return 0;
  uint8_t header_bytes[kHeaderBytes];
  store<uint32_t>(header_bytes, header);
  const IoSlice slices[] = {{header_bytes, kHeaderBytes}, {payload.data(), payload.size()}};
  const size_t total = kHeaderBytes + payload.size();
  const int64_t taken = io_->send(slot, slices, 2);
  if (taken < 0) {
    send_lost(connection, static_cast<int>(-taken));
    return static_cast<uint32_t>(total);
  }
  const auto bytes = static_cast<size_t>(taken);
  check(bytes <= total, "more was sent than there was");
  connection.counters[layout::kSlotCounterSends] += 1;
  counters_[layout::kEngineCounterSends] += 1;
  count_bytes(connection, bytes);
  if (bytes == total) return static_cast<uint32_t>(total);
  counters_[layout::kEngineCounterSendsBlocked] += 1;
  life.send_blocked = true;
  life.blocked_bytes = 0;
  life.blocked_end = connection.ring.tail();
  if (bytes > 0) connection.ring.begin_behind(position, static_cast<uint32_t>(bytes));
  return static_cast<uint32_t>(bytes);
}

// Returns whether there is something to send now: ring bytes up to the barrier of the control frames, and these behind them.
bool Engine::prepare_send(Connection& connection, IoSend& send, Sending& sending) {
  Life& life = connection.life;
  if (connection.ring.follow_rewind()) life.control.barrier = connection.ring.head();
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
  count_bytes(connection, bytes);
}

void Engine::count_bytes(const Connection& connection, size_t bytes) {
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
  if ((life.state == State::Greeting || life.state == State::Open) && !life.end_deferred)
    set_deadline(connection, life.linger_ms);
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
  // Of a message that is blocked from its first byte on, the ring shows nothing before JavaScript has flushed it.
  if (life.send_blocked) return;
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
