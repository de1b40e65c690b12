// Sending and receiving with Registered I/O.
#include <algorithm>
#include <cstring>

#include "../clock.h"
#include "rio.h"

namespace zerio {

bool Rio::sent_all(uint32_t slot) {
  Queue& queue = queues_[slot];
  queue.waits_for_end = queue.sends > 0 && queue.send_error == 0;
  if (queue.waits_for_end) look_if_quiet(slot);
  look_soon();
  return !queue.waits_for_end;
}

int64_t Rio::send(uint32_t slot, const IoSlice* slices, uint32_t count) {
  Queue& queue = queues_[slot];
  if (queue.send_error != 0) return -queue.send_error;
  size_t total = 0;
  for (uint32_t i = 0; i < count; ++i) total += slices[i].size;
  Rest rest = {slices, 0};
  size_t taken = 0;
  int error = 0;
  while (taken < total && queue.requests != nullptr && queue.sends < kSends && sends_.open(queue.areas, total - taken)) {
    const uint32_t bytes = copy(slot, rest, total - taken);
    error = post_send(slot, bytes, queue.uncommitted || taken + bytes < total);
    if (error != 0) break;
    taken += bytes;
  }
  if (queue.uncommitted) {
    const int refused = commit(slot);
    if (error == 0) error = refused;
  }
  if (error == 0) {
    queue.send_refused_ns = 0;
  } else {
    // With sends under way, the completion of one brings the next try.
    const bool goes_on = error == rio::kRefused && queue.sends > 0 && !queue.uncommitted;
    if (!goes_on && (error != rio::kRefused || has_lasted(queue.send_refused_ns))) return -error;
  }
  queue.waits_for_room = taken < total;
  if (queue.waits_for_room || queue.uncommitted) {
    look_if_quiet(slot);
    look_soon();
  }
  return static_cast<int64_t>(taken);
}

int64_t Rio::wait_writable(uint32_t slot, uint32_t timeout_ms) {
  const uint64_t until = monotonic_ns() + timeout_ms * kMillisecondNs;
  const Queue& queue = queues_[slot];
  const uint32_t before = queue.sends;
  do {
    Sleep(1);
    if (queue.uncommitted) (void)commit(slot);
    drop_more();
    if (queue.sends == 0 || queue.sends < before) return 0;
  } while (monotonic_ns() < until);
  return -1;
}

rio::Slice Rio::place_of(const Queue& queue, uint32_t area) const {
  if (area >= SendAreas::kBlocks) {
    const uint32_t chunk = area - SendAreas::kBlocks;
    return {send_chunks_.buffer(chunk), send_chunks_.offset(chunk), SendChunks::kBytes};
  }
  return {own_.buffer(queue.own), own_.offset(queue.own) + kBlocksAt + area * SendAreas::kBlockBytes, SendAreas::kBlockBytes};
}

uint8_t* Rio::memory_of(const Queue& queue, uint32_t area) const {
  if (area >= SendAreas::kBlocks) return send_chunks_.at(area - SendAreas::kBlocks);
  return own_.at(queue.own) + kBlocksAt + area * SendAreas::kBlockBytes;
}

uint32_t Rio::copy(uint32_t slot, Rest& rest, size_t most) {
  Queue& queue = queues_[slot];
  uint8_t* const at = memory_of(queue, queue.areas.current) + sends_.area(queue.areas, queue.areas.current).used;
  const size_t room = std::min<size_t>(sends_.room(queue.areas), most);
  size_t copied = 0;
  while (copied < room) {
    const size_t size = std::min(rest.slice->size - rest.offset, room - copied);
    std::memcpy(at + copied, rest.slice->data + rest.offset, size);
    copied += size;
    rest.offset += size;
    if (rest.offset == rest.slice->size) rest = {rest.slice + 1, 0};
  }
  return static_cast<uint32_t>(copied);
}

int Rio::post_send(uint32_t slot, uint32_t bytes, bool defer) {
  Queue& queue = queues_[slot];
  const uint32_t area = queue.areas.current;
  rio::Slice slice = place_of(queue, area);
  slice.offset += sends_.area(queue.areas, area).used;
  slice.length = bytes;
  // As long as there is much room, nothing waits for a completion: it is found with the next one that notifies.
  const bool notifies = queue.sends >= kSends / 2 || queue.areas.chunks > SendAreas::kChunksMax / 2;
  const Request request = {slot, Request::Kind::Send, notifies, area};
  const DWORD flags = (defer ? rio::kMessageDefer : 0) | (notifies ? 0 : rio::kMessageDontNotify);
  sends_.post(queue.areas, bytes);
  if (rio_.send(queue.requests, &slice, 1, flags, request.context()) == FALSE) {
    const int error = rio::failure();
    sends_.complete(queue.areas, area);
    return error;
  }
  queue.uncommitted = defer;
  ++queue.sends;
  queue.notifying += notifies ? 1 : 0;
  begin_operation(slot);
  return 0;
}

int Rio::commit(uint32_t slot) {
  Queue& queue = queues_[slot];
  if (rio_.send(queue.requests, nullptr, 0, rio::kMessageCommitOnly, nullptr) == FALSE) return rio::failure();
  queue.uncommitted = false;
  return 0;
}

void Rio::forget_send(const Request& request) {
  Queue& queue = queues_[request.slot];
  --queue.sends;
  queue.notifying -= request.notifies ? 1 : 0;
  sends_.complete(queue.areas, request.part);
}

void Rio::sent(IoSink& sink, const Request& request, const rio::Result& result) {
  Queue& queue = queues_[request.slot];
  forget_send(request);
  if (!settle(sink, request.slot)) return;
  if (result.status != 0) queue.send_error = rio::status_number(result.status);
  const bool over = queue.waits_for_room || (queue.waits_for_end && queue.sends == 0);
  if (over || result.status != 0) {
    reports_.enter(request.slot);
  } else if (queue.waits_for_end) {
    look_if_quiet(request.slot);
  }
}

bool Rio::report_sent(IoSink& sink, uint32_t slot) {
  Queue& queue = queues_[slot];
  const bool waits = queue.waits_for_room || queue.waits_for_end;
  queue.waits_for_room = queue.waits_for_end = false;
  if ((waits || queue.send_error != 0) && connection(slot).socket.open()) sink.on_sent(slot, 0, queue.send_error);
  return true;
}

const uint8_t* Rio::memory_of(const Queue& queue, const Receive& receive, uint32_t part) const {
  return receive.chunk != LockedPool::kNoPiece ? receive_chunks_.at(receive.chunk) : own_.at(queue.own) + part * kReceiveBytes;
}

int Rio::post_receives(uint32_t slot) {
  Queue& queue = queues_[slot];
  int error = 0;
  for (uint32_t part = 0; part < kReceives && error == 0; ++part) {
    if (queue.receives[part].bytes == 0) error = post_receive(slot, part);
  }
  if (queue.posted > 0) return 0;
  return error == rio::kRefused ? refuse(slot) : error;
}

int Rio::post_receive(uint32_t slot, uint32_t part) {
  Queue& queue = queues_[slot];
  Receive receive;
  // One of the two is enough for a stream, and an idle connection keeps what it has posted.
  if (queue.fills_receives && part == 0) receive.chunk = receive_chunks_.take();
  const bool chunk = receive.chunk != LockedPool::kNoPiece;
  rio::Slice slice = {own_.buffer(queue.own), own_.offset(queue.own) + part * kReceiveBytes, kReceiveBytes};
  if (chunk) slice = {receive_chunks_.buffer(receive.chunk), receive_chunks_.offset(receive.chunk), SendChunks::kBytes};
  const Request request = {slot, Request::Kind::Receive, true, part};
  if (rio_.receive(queue.requests, &slice, 1, 0, request.context()) == FALSE) {
    const int error = rio::failure();
    if (chunk) receive_chunks_.give_back(receive.chunk);
    return error;
  }
  receive.bytes = slice.length;
  queue.receives[part] = receive;
  ++queue.posted;
  begin_operation(slot);
  return 0;
}

void Rio::forget_receive(const Request& request) {
  Queue& queue = queues_[request.slot];
  Receive& receive = queue.receives[request.part];
  if (receive.chunk != LockedPool::kNoPiece) receive_chunks_.give_back(receive.chunk);
  receive = {};
  --queue.posted;
}

void Rio::end_receiving(IoSink& sink, uint32_t slot, int error) {
  receive_stop(slot);
  sink.on_received(slot, nullptr, 0, error);
}

bool Rio::received(IoSink& sink, const Request& request, const rio::Result& result) {
  const uint32_t slot = request.slot;
  Connection& it = connection(slot);
  if (!it.takes() || result.status != 0 || result.bytes == 0) {
    copied_ = 0;
    forget_receive(request);
    if (settle(sink, slot) && it.takes()) end_receiving(sink, slot, rio::status_number(result.status));
    return true;
  }
  const IoSpace space = sink.receive_space();
  if (space.size == 0) return false;
  Queue& queue = queues_[slot];
  const Receive& receive = queue.receives[request.part];
  const size_t size = std::min<size_t>(space.size, result.bytes - copied_);
  std::memcpy(space.data, memory_of(queue, receive, request.part) + copied_, size);
  copied_ += static_cast<ULONG>(size);
  const bool all = copied_ == result.bytes;
  if (all) {
    copied_ = 0;
    queue.fills_receives = result.bytes == receive.bytes || (queue.fills_receives && result.bytes > kReceiveBytes);
    forget_receive(request);
    (void)settle(sink, slot);
  }
  sink.on_received(slot, space.data, size, 0);
  if (all && it.receiving) post_next(sink, slot);
  return all;
}

void Rio::post_next(IoSink& sink, uint32_t slot) {
  Queue& queue = queues_[slot];
  if (queue.posted == 0) {
    const int error = post_receives(slot);
    if (error != 0 && error != rio::kRefused) end_receiving(sink, slot, error);
  } else {
    unposted_.enter(slot);
  }
}

}  // namespace zerio
