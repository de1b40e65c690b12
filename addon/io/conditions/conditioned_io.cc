// What comes when: the order of the bytes of a connection stays, their times change.
#include "conditioned_io.h"

#include <algorithm>

namespace zerio {

ConditionedIo::ConditionedIo(std::unique_ptr<Io> io, const Conditions& conditions, int reset_error)
    : io_(std::move(io)),
      conditions_(conditions),
      reset_error_(reset_error),
      arena_(std::make_unique_for_overwrite<uint8_t[]>(kArenaBytes)) {}

void ConditionedIo::reserve(uint32_t count) {
  io_->reserve(count);
  if (count > connections_.size()) connections_.resize(count);
  waiting_.reserve(count);
}

// The other backend receives into an arena of its own, from which everything is copied: so none of the engine's is kept.
uint32_t ConditionedIo::keep_ahead(uint8_t* /*arena*/, uint32_t /*bytes*/) {
  arena_direct_ = kArenaBytes - io_->keep_ahead(arena_.get(), kArenaBytes);
  return 0;
}

int ConditionedIo::listen(uint32_t listener, const Address& address, const ListenOptions& options, Address& bound) {
  if (listener >= accepted_.size()) accepted_.resize(listener + size_t{1});
  accepted_[listener] = 0;
  return io_->listen(listener, address, options, bound);
}

// Accepted connections have the even numbers, from 0 on for each listener, and made ones the odd numbers: so what is decided for
// the clients of one server does not depend on what else there is.
int ConditionedIo::attach(uint32_t slot, AcceptedSocket socket, const SocketOptions& options) {
  const int error = io_->attach(slot, socket, options);
  if (error == 0) begin(slot, 2 * accepted_[accepting_]++);
  return error;
}

void ConditionedIo::on_connected(uint32_t slot, int error) {
  if (error == 0) begin(slot, 2 * made_++ + 1);
  sink_->on_connected(slot, error);
}

void ConditionedIo::begin(uint32_t slot, uint64_t number) {
  Connection& connection = connections_[slot];
  forget(connection);
  connection.decisions = Decisions(conditions_, number, io_->now_ns());
  if (due_ns(connection) != HeldBytes::kNever) wait(slot);
}

void ConditionedIo::forget(Connection& connection) {
  held_.clear(connection.held);
  connection.decisions = {};
  connection.resets = connection.ended = connection.paused = connection.waits_for_room = false;
}

void ConditionedIo::receive_stop(uint32_t slot) {
  held_.clear(connections_[slot].held);
  io_->receive_stop(slot);
}

void ConditionedIo::receive_pause(uint32_t slot, bool paused) {
  Connection& connection = connections_[slot];
  connection.paused = paused;
  // What is held back is delivered when it is due, and the program's side holds it.
  if (!connection.waits_for_room) io_->receive_pause(slot, paused);
}

bool ConditionedIo::close(uint32_t slot, bool reset) {
  const bool resets = connections_[slot].resets;
  forget(connections_[slot]);
  return io_->close(slot, reset || resets);
}

IoSpace ConditionedIo::receive_space(uint32_t /*slot*/) {
  if (!has_room()) return {nullptr, 0};
  return {arena_.get(), std::min(arena_direct_, kReceiveBytesMax)};
}

void ConditionedIo::on_received(uint32_t slot, uint8_t* data, size_t size, int error) {
  Connection& connection = connections_[slot];
  // Also a socket whose two directions have ended reports an error. What came before its end is still held.
  if (connection.ended) return;
  if (error != 0) {
    // As with a reset, what the program has not read is lost.
    held_.clear(connection.held);
    sink_->on_received(slot, nullptr, 0, error);
    return;
  }
  held_.append(connection.held, data, size, connection.decisions.due_ns(io_->now_ns()));
  wait(slot);
  if (size > 0 && held_.is_nearly_full() && !connection.waits_for_room) {
    connection.waits_for_room = true;
    io_->receive_pause(slot, true);
  }
  if (size > 0) return;
  // The backend would go on to report the end of the stream, because the engine does not know it yet.
  connection.ended = true;
  io_->receive_stop(slot);
}

void ConditionedIo::poll(IoSink& sink, bool spinning) {
  sink_ = &sink;
  io_->poll(*this, spinning);
  deliver();
  sink.on_due(due_ns_);
}

void ConditionedIo::wait(uint32_t slot) {
  if (connections_[slot].waiting) return;
  connections_[slot].waiting = true;
  waiting_.push_back(slot);
}

uint64_t ConditionedIo::due_ns(const Connection& connection) const {
  return std::min(held_.due_ns(connection.held), connection.resets ? HeldBytes::kNever : connection.decisions.reset_ns());
}

// A connection at a time, so that those which find no room come first in the next poll.
void ConditionedIo::deliver() {
  const uint64_t now_ns = io_->now_ns();
  left_ = false;
  due_ns_ = HeldBytes::kNever;
  size_t kept = 0;
  size_t full_at = 0;
  for (size_t i = 0; i < waiting_.size(); ++i) {
    const uint32_t slot = waiting_[i];
    if (!left_ && due_ns(connections_[slot]) <= now_ns && !deliver_to(slot, now_ns)) {
      left_ = true;
      full_at = kept;
    }
    const uint64_t due = due_ns(connections_[slot]);
    connections_[slot].waiting = due != HeldBytes::kNever;
    if (due == HeldBytes::kNever) continue;
    due_ns_ = std::min(due_ns_, due);
    waiting_[kept++] = slot;
  }
  waiting_.resize(kept);
  if (left_) std::rotate(waiting_.begin(), waiting_.begin() + static_cast<ptrdiff_t>(full_at), waiting_.end());
}

// What is due of one connection: one receive of it, its end, or its reset. Returns false when there is no room.
bool ConditionedIo::deliver_to(uint32_t slot, uint64_t now_ns) {
  Connection& connection = connections_[slot];
  if (!sink_->has_room()) return false;
  if (!connection.resets && connection.decisions.reset_ns() <= now_ns) {
    held_.clear(connection.held);
    connection.resets = true;
    sink_->on_received(slot, nullptr, 0, reset_error_);
    return true;
  }
  if (held_.is_at_end(connection.held)) {
    held_.clear(connection.held);
    sink_->on_received(slot, nullptr, 0, 0);
    return true;
  }
  const IoSpace space = sink_->receive_space(slot);
  if (space.size == 0) return false;
  const size_t taken = held_.take(connection.held, now_ns, space.data, space.size);
  if (connection.waits_for_room && held_.due_ns(connection.held) == HeldBytes::kNever) {
    connection.waits_for_room = false;
    io_->receive_pause(slot, connection.paused);
  }
  sink_->on_received(slot, space.data, taken, 0);
  return true;
}

}  // namespace zerio
