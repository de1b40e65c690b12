// How JavaScript's side pauses a connection (src/engine/pausing.ts): what the engine had read is held back, within a bound.
#include <iterator>
#include <utility>

#include "allocations.h"
#include "engine_model.h"

namespace zerio::simulation {

void EngineModel::tell_pause(Connection& connection, bool paused) {
  // Silence counts anew, for a connection that is idle as well.
  connection.idle_set_in = polls_;
  connection.is_idle = false;
  const uint64_t before = allocations_counted();
  {
    const Counting counting(true);
    engine_->pause(connection.slot, paused);
  }
  require_equal(allocations_counted(), before, "a pause allocates nothing");
}

void EngineModel::pause(Connection& connection) {
  if (!connection.receiving || connection.paused) return;
  trace_.add('e', number, "slot # is paused", {connection.slot});
  connection.paused = true;
  connection.paused_in = polls_;
  if (connection.held_back.empty()) tell_pause(connection, true);
}

void EngineModel::resume(Connection& connection) {
  if (!connection.receiving || !connection.paused) return;
  trace_.add('e', number, "slot # goes on, with # messages held back", {connection.slot, connection.held_back.size()});
  connection.paused = false;
  if (connection.held_back.empty()) tell_pause(connection, false);
}

// What a pause has left in the session's next connection.
void EngineModel::move_pause(Connection& connection) {
  connection.paused_in = polls_;
  if (connection.paused || !connection.held_back.empty()) tell_pause(connection, true);
}

void EngineModel::hold(Connection& connection, const uint8_t* bytes, uint32_t length, uint32_t channel) {
  connection.held_bytes += kHeaderBytes + length;
  // A broken connection is read to its end, so that the program hears of it.
  const bool is_bounded = connection.suspended || !io_.has_broken(connection.slot);
  const size_t most = size_t{2} * shape_.options.arena_bytes + shape_.options.message_length_max + kHeaderBytes;
  require(!is_bounded || connection.held_bytes <= most, "a paused connection holds no more than was read and under way");
  connection.held_back.push_back({std::vector<uint8_t>(bytes, bytes + length), channel});
}

// Returns whether the handler has thrown.
bool EngineModel::deliver_now(Connection& connection, const uint8_t* bytes, uint32_t length, uint32_t channel) {
  if (connection.is_unheard()) return false;
  ledger_.stream(connection.ledger_link, 1 - connection.side).deliver(bytes, length, channel);
  if (connection.receiving) return program_.message(connection);
  return false;
}

// Until the program pauses again; with `ended` all, because the end comes behind them.
void EngineModel::deliver_held(Connection& connection, bool ended) {
  while (!connection.held_back.empty() && connection.receiving && (ended || !connection.paused)) {
    const Held one = std::move(connection.held_back.front());
    connection.held_back.pop_front();
    connection.held_bytes -= kHeaderBytes + one.bytes.size();
    (void)deliver_now(connection, one.bytes.data(), static_cast<uint32_t>(one.bytes.size()), one.channel);
  }
  if (!ended && connection.held_back.empty() && connection.receiving && !connection.paused) tell_pause(connection, false);
  say_end_if_due(connection);
}

// The program hears of the other side's end behind all messages.
void EngineModel::say_end_if_due(Connection& connection) {
  if (!connection.held_back.empty() || !std::exchange(connection.end_unsaid, false)) return;
  trace_.add('e', number, "the other side of slot # has ended", {connection.slot});
  if (connection.receiving) program_.ended(connection);
}

// A turn of its own for each connection that goes on. Returns whether there was one.
bool EngineModel::deliver_resumed() {
  bool any = false;
  for (size_t slot = 0; slot < connections_.size(); ++slot) {
    Connection* const connection = connections_[slot].get();
    if (connection == nullptr || connection->paused || connection->held_back.empty() || !connection->receiving) continue;
    any = dispatching_ = true;
    deliver_held(*connection, false);
    dispatching_ = false;
    flush();
  }
  return any;
}

// A time limit has ended the connection, and silence counts for none that was paused before the poll that found it.
void EngineModel::check_paused_end(uint32_t slot) const {
  const Connection& connection = *connections_[slot];
  require(!connection.receiving || !connection.paused || connection.paused_in == polls_,
          "silence does not end a paused connection");
}

}  // namespace zerio::simulation
