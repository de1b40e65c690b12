// Frames that many connections are sent from one copy: one send for each connection whose ring is empty, from the same memory.
// What the system does not take goes into the ring of its connection, which JavaScript fills.
#include <algorithm>

#include "check.h"
#include "engine.h"

namespace zerio {
namespace {

// Sends between two looks at the clock, which cost as much as a fiftieth of one.
constexpr uint32_t kSendsBetweenLooks = 16;

}  // namespace

void Engine::share(SharedFrames& frames) {
  const uint64_t time_ns = frames.time_ns();
  const uint64_t until_ns = time_ns == 0 ? kNothingDue : io_->now_ns() + time_ns;
  const uint32_t batch_max = io_->sends_per_batch();
  uint32_t since_look = 0;
  for (uint32_t visited = 0; visited < frames.places() && !frames.is_done();) {
    uint32_t batch = 0;
    for (; visited < frames.places() && batch < batch_max; ++visited, frames.step()) {
      prefetch_shared(frames);
      if (prepare_shared(frames, sends_[batch], shared_sends_[batch])) ++batch;
    }
    io_->send_batch(sends_.data(), batch);
    for (uint32_t i = 0; i < batch; ++i) finish_shared(frames, shared_sends_[i], sends_[i].taken);
    since_look += std::max(batch, 1U);
    if (since_look < kSendsBetweenLooks) continue;
    since_look = 0;
    if (time_ns > 0 && io_->now_ns() >= until_ns) return;
  }
}

// As prefetch_sends().
void Engine::prefetch_shared(const SharedFrames& frames) {
  if (frames.next() + 2 < frames.places()) {
    if (const Connection* const second = connection_at(frames.slot(frames.next() + 2)))
      memory_prefetch(second, kHotConnectionBytes);
  }
  if (frames.next() + 1 < frames.places()) {
    if (const Connection* const next = connection_at(frames.slot(frames.next() + 1))) next->ring.prefetch_words();
  }
}

// Returns whether the next place is to be sent something now.
bool Engine::prepare_shared(SharedFrames& frames, IoSend& send, SharedSend& shared) {
  const uint32_t place = frames.next();
  const std::span<const uint8_t> rest = frames.rest_of(place);
  if (rest.empty()) return false;
  Connection* const connection = connection_at(frames.slot(place));
  // What the other side does not get any more needs no copy in its ring.
  if (connection != nullptr && connection->life.send_failed && !connection->life.in_session) {
    frames.finish(place);
    return false;
  }
  const bool can_share = connection != nullptr && connection->life.state == State::Open && !connection->life.in_session &&
                         !connection->life.send_blocked && connection->ring.empty();
  if (!can_share) {
    frames.refuse(place, 0);
    return false;
  }
  send.slot = connection->slot;
  send.count = 1;
  send.slices[0] = {rest.data(), rest.size()};
  shared = {connection, place, rest.size()};
  return true;
}

void Engine::finish_shared(SharedFrames& frames, const SharedSend& shared, int64_t taken) {
  Connection& connection = *shared.connection;
  Life& life = connection.life;
  const uint32_t place = shared.place;
  if (taken < 0) {
    send_lost(connection, static_cast<int>(-taken));
    return frames.finish(place);
  }
  const auto bytes = static_cast<size_t>(taken);
  check(bytes <= shared.bytes, "more was sent than there was");
  connection.counters[layout::kSlotCounterSends] += 1;
  counters_[layout::kEngineCounterSends] += 1;
  count_bytes(connection, bytes);
  connection.counters[layout::kSlotCounterMessagesSent] += frames.frames_in(place, bytes);
  if (bytes == shared.bytes) return frames.finish(place);
  counters_[layout::kEngineCounterSendsBlocked] += 1;
  life.send_blocked = true;
  life.blocked_bytes = 0;
  life.blocked_end = connection.ring.tail();
  frames.refuse(place, bytes);
}

}  // namespace zerio
