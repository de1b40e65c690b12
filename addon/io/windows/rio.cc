// Opening the backend, beginning connections, and completions.
#include "rio.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "../clock.h"

namespace zerio {
namespace {

// The completion queue has room for so many connections more than there are, because the room of a closed one comes back late.
constexpr uint32_t kHeadroom = 64;
// How long a connection waits for what the system refuses it before it fails.
constexpr uint64_t kRefusedNs = 1'000'000'000;

}  // namespace

Rio::~Rio() {
  if (close_all()) {
    if (queue_ != nullptr) rio_.close_completion_queue(queue_);
  } else {
    for (LockedPool* const pool : {&own_, &receive_chunks_, &send_chunks_}) pool->abandon();
  }
}

int Rio::open_queue() {
  const int error = open();
  if (error != 0) return error;
  const Socket probe(WSASocketW(AF_INET, SOCK_STREAM, IPPROTO_TCP, nullptr, 0, WSA_FLAG_OVERLAPPED | rio::kSocketFlag));
  if (!probe.open()) return last_error_number();
  GUID id = rio::kExtensionId;
  DWORD bytes = 0;
  rio_.bytes = sizeof rio_;
  if (WSAIoctl(probe.get(), rio::kGetMultipleExtensions, &id, sizeof id, &rio_, sizeof rio_, &bytes, nullptr, nullptr) != 0) {
    return last_error_number();
  }
  rio::Notification notification = {};
  notification.type = rio::Notification::Type::CompletionPort;
  notification.port = {port().handle(), nullptr, &notified_.overlapped};
  capacity_ = kHeadroom * kResultsPerConnection;
  queue_ = rio_.create_completion_queue(capacity_, &notification);
  if (queue_ == nullptr) return rio::failure();
  // A service provider or a container may have the functions and refuse what they are for.
  const uint32_t piece = own_.take();
  if (piece == LockedPool::kNoPiece) return rio::kRefused;
  own_.give_back(piece);
  return create_requests(probe.get(), 0) == nullptr ? rio::failure() : 0;
}

uint64_t Rio::locked_bytes() const { return own_.locked_bytes() + receive_chunks_.locked_bytes() + send_chunks_.locked_bytes(); }

void Rio::reserve(uint32_t count) {
  WindowsIo::reserve(count);
  queues_.reserve(count);
  for (SlotList* const list : {&looks_, &unposted_, &reports_}) list->reserve(count);
  if (queues_.size() < count) queues_.resize(count);
}

void Rio::remove_slots(uint32_t first) {
  for (SlotList* const list : {&looks_, &unposted_, &reports_}) list->remove(first);
  queues_.resize(first);
  WindowsIo::remove_slots(first);
}

void Rio::begin(uint32_t slot) {
  const int error = begin_now(slot);
  if (error == 0 || error == rio::kRefused) return;
  queues_[slot].begin_error = error;
  looks_.enter(slot);
}

void Rio::read_on(uint32_t slot) {
  if (queues_[slot].requests == nullptr) return;
  const int error = post_receives(slot);
  if (error != 0 && error != rio::kRefused) {
    queues_[slot].begin_error = error;
    looks_.enter(slot);
  }
  look_soon();
}

void Rio::released(uint32_t slot) {
  Queue& queue = queues_[slot];
  if (queue.requests != nullptr) --open_;
  if (queue.own != LockedPool::kNoPiece) own_.give_back(queue.own);
  // Before the slot's next life, which may be listed for a look already.
  queue = {};
}

bool Rio::poll_more(IoSink& sink) {
  looks_.work_on([&](uint32_t slot) { return !connection(slot).socket.open() || (sink.has_room() && look_at(sink, slot)); });
  unposted_.work_on([&](uint32_t slot) {
    if (connection(slot).receiving && queues_[slot].requests != nullptr) (void)post_receives(slot);
    return true;
  });
  if (next_ == count_) dequeue();
  const bool more = count_ == kResults;
  for (; next_ < count_ && sink.has_room(); ++next_) {
    if (!handle(sink, results_[next_])) break;
  }
  reports_.work_on([&](uint32_t slot) { return sink.has_room() && report_sent(sink, slot); });
  return !reports_.empty() || more || next_ < count_;
}

bool Rio::arm_more() {
  if (queue_ == nullptr) return false;
  if (!notify_pending_) notify_pending_ = rio_.notify(queue_) == 0;
  notify_failed_ = !notify_pending_;
  // What has completed since the last look may notify only together with the next completion.
  if (next_ == count_) dequeue();
  return next_ < count_;
}

void Rio::drop_more() {
  if (queue_ == nullptr) return;
  do {
    for (; next_ < count_; ++next_) drop(results_[next_]);
    dequeue();
  } while (count_ > 0);
}

rio::RequestQueue Rio::create_requests(SOCKET socket, uint32_t slot) {
  return rio_.create_request_queue(socket, kReceives, 1, kSends, 1, queue_, queue_,
                                   reinterpret_cast<void*>(static_cast<uintptr_t>(slot)));
}

void Rio::grow_queue() {
  const DWORD wanted = std::max<DWORD>(capacity_ + capacity_ / 2, (open_ + 2 * kHeadroom) * kResultsPerConnection);
  if (wanted <= rio::kMaxQueueSize && rio_.resize_completion_queue(queue_, wanted) != FALSE) capacity_ = wanted;
}

int Rio::begin_now(uint32_t slot) {
  Queue& queue = queues_[slot];
  if (queue.own == LockedPool::kNoPiece) queue.own = own_.take();
  if (queue.own == LockedPool::kNoPiece) return refuse(slot);
  if (queue.requests == nullptr) {
    if ((open_ + kHeadroom) * kResultsPerConnection > capacity_) grow_queue();
    const SOCKET socket = connection(slot).socket.get();
    queue.requests = create_requests(socket, slot);
    // The room of closed connections may come back late: of as many as are open. More would not help, however often it is tried.
    const uint32_t owed = 2 * (open_ + kHeadroom) * kResultsPerConnection;
    if (queue.requests == nullptr && is_shortage(WSAGetLastError()) && capacity_ <= owed) {
      grow_queue();
      queue.requests = create_requests(socket, slot);
    }
    if (queue.requests == nullptr) return is_shortage(WSAGetLastError()) ? refuse(slot) : last_error_number();
    ++open_;
  }
  const int error = post_receives(slot);
  if (error == 0) queue.refused_ns = 0;
  return error;
}

bool Rio::has_lasted(uint64_t& since_ns) {
  const uint64_t now = monotonic_ns();
  if (since_ns == 0) since_ns = now;
  return now - since_ns >= kRefusedNs;
}

int Rio::refuse(uint32_t slot) {
  (void)has_lasted(queues_[slot].refused_ns);
  looks_.enter(slot);
  return rio::kRefused;
}

void Rio::look_if_quiet(uint32_t slot) {
  if (queues_[slot].notifying == 0 || queues_[slot].uncommitted) looks_.enter(slot);
}

bool Rio::look_at(IoSink& sink, uint32_t slot) {
  Queue& queue = queues_[slot];
  if (queue.begin_error != 0) {
    end_receiving(sink, slot, queue.begin_error);
    return true;
  }
  if (queue.refused_ns != 0) {
    const int error = begin_now(slot);
    if (error == rio::kRefused && !has_lasted(queue.refused_ns)) return false;
    if (error != 0) {
      queue.refused_ns = 0;
      end_receiving(sink, slot, error);
      return true;
    }
  }
  if (queue.uncommitted) {
    const int error = commit(slot);
    if (error == rio::kRefused && !has_lasted(queue.send_refused_ns)) return false;
    if (error != 0) {
      queue.send_error = error;
      return report_sent(sink, slot);
    }
    queue.send_refused_ns = 0;
  }
  const bool waits = queue.waits_for_room || queue.waits_for_end;
  if (!waits || queue.sends > 0) return !waits || queue.notifying > 0;
  return report_sent(sink, slot);
}

void Rio::dequeue() {
  next_ = count_ = 0;
  count_ = rio_.dequeue_completion(queue_, results_.data(), kResults);
  if (count_ != rio::kCorruptQueue) return;
  // Memory has been overwritten. Connections would wait for their results for ever.
  std::fputs("zerio: the completion queue of Registered I/O is corrupt\n", stderr);
  std::abort();
}

bool Rio::handle(IoSink& sink, const rio::Result& result) {
  const Request request = Request::of(result.request_context);
  if (request.kind == Request::Kind::Receive) return received(sink, request, result);
  sent(sink, request, result);
  return true;
}

void Rio::drop(const rio::Result& result) {
  const Request request = Request::of(result.request_context);
  copied_ = 0;
  if (request.kind == Request::Kind::Receive) {
    forget_receive(request);
  } else {
    forget_send(request);
  }
  (void)end_operation(request.slot);
}

std::unique_ptr<Io> make_rio(int& error) {
  auto io = std::make_unique<Rio>();
  error = io->open_queue();
  if (error != 0) return nullptr;
  return io;
}

}  // namespace zerio
