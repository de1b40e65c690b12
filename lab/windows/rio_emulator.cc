// A strict Registered I/O over overlapped and non-blocking Winsock, for systems that have none: the 13 functions. Uses that the
// real one answers with an error, with corrupted memory or not at all are written to a report here (report.h), and fail the run.
//
// It is slow, and says nothing about the speed of the real one. rio_system.cc is the system behind the functions,
// acknowledgements.cc says when a send completes, refusals.cc which calls fail, injection.cc puts all of it under the product.
//
// What the real one does now and then happens here often: deferred requests start early or late, a status is a number of Winsock
// or of the kernel, the requests of a closed socket complete 2 to 21 ms later, the sent ones with success, and the room of its
// request queue is given back 20 to 50 ms after the last of them was dequeued. The memory of a receive is filled with a pattern
// until the receive is dequeued; until a send is dequeued, its bytes must stay as they were.
//
// A queue belongs to the thread that makes it. Registered I/O only forbids calls at the same time; but the engine has one thread,
// and so calls that could meet are found whether they did or not.
#include <algorithm>
#include <memory>
#include <mutex>
#include <thread>

#include "refusals.h"
#include "rio_functions.h"
#include "rio_system.h"
#include "socket_facts.h"

namespace zerio::emulator {
namespace {

constexpr uint64_t kPageBytes = 4096;
// A program that always finds completions does not keep other connections from completing.
constexpr uint64_t kLookNs = 1'000'000;
constexpr DWORD kKnownFlags = kMessageDontNotify | kMessageDefer;

uintptr_t next_buffer = 1;
uint64_t locked_bytes = 0;
uint64_t locked_bytes_max = 0;

uint64_t locked_limit = UINT64_MAX;

[[nodiscard]] uint64_t in_pages(uint64_t bytes) { return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes; }
[[nodiscard]] uint64_t bytes_of_queue(DWORD size) { return in_pages(uint64_t{size} * sizeof(Result)); }

// False, with WSAENOBUFS, when that is more than the process may lock.
[[nodiscard]] bool lock_instead(uint64_t bytes, uint64_t unlocked = 0) {
  if (locked_bytes - unlocked + bytes > locked_limit) return WSASetLastError(WSAENOBUFS), false;
  locked_bytes += bytes - unlocked;
  locked_bytes_max = std::max(locked_bytes_max, locked_bytes);
  return true;
}

[[nodiscard]] bool joins(SOCKET socket) {
  const std::lock_guard lock(facts_mutex);
  return facts[socket].joins;
}

// nullptr, after a violation, when these bytes may not be sent or received.
std::shared_ptr<Buffer> check_slice(const Slice* slice, ULONG count) {
  if (count != 1 || slice == nullptr || slice->length == 0) return violation("a request without bytes"), nullptr;
  const auto found = buffers.find(slice->buffer);
  if (found == buffers.end()) return violation("a buffer that is not registered"), nullptr;
  const Buffer& buffer = *found->second;
  if (slice->offset > buffer.bytes || slice->length > buffer.bytes - slice->offset) {
    return violation("bytes outside of their registration"), nullptr;
  }
  return found->second;
}

BOOL begin(RequestQueue id, Slice* slice, ULONG count, DWORD flags, void* context, bool sends) {
  const std::lock_guard lock(mutex);
  const bool commits = (flags & kMessageCommitOnly) != 0;
  Connection* const connection = find_connection(id, commits);
  if (connection == nullptr) return WSASetLastError(WSAEINVAL), FALSE;
  if (commits) {
    if (flags != kMessageCommitOnly || slice != nullptr || count != 0 || context != nullptr) {
      violation("RIO_MSG_COMMIT_ONLY with something else");
      return WSASetLastError(WSAEINVAL), FALSE;
    }
    if (refusal_of(Call::Commit) != 0) return forget_uncommitted(*connection, sends), FALSE;
    commit(*connection, sends);
    work(*connection->queue);
    return TRUE;
  }
  if ((flags & ~kKnownFlags) != 0) violation("flags that do not exist");
  if (!connection->connected) return WSASetLastError(WSAENOTCONN), FALSE;
  if (sends && connection->shut) {
    violation("a send behind the end of the stream");
    return WSASetLastError(WSAESHUTDOWN), FALSE;
  }
  if ((sends ? connection->sends : connection->receives) == (sends ? connection->sends_max : connection->receives_max)) {
    violation("more requests than the request queue has room for");
    return WSASetLastError(WSAENOBUFS), FALSE;
  }
  const std::shared_ptr<Buffer> buffer = check_slice(slice, count);
  if (buffer == nullptr) return WSASetLastError(WSAEINVAL), FALSE;
  if (refusal_of(sends ? Call::Send : Call::Receive) != 0) return FALSE;
  const auto& earlier = sends ? connection->sending : connection->receiving;
  Operation operation;
  operation.connection = connection;
  operation.sends = sends;
  operation.buffer = buffer;
  operation.data = buffer->data + slice->offset;
  operation.bytes = slice->length;
  operation.context = context;
  operation.deferred = (flags & kMessageDefer) != 0;
  operation.held = operation.deferred && ((!earlier.empty() && earlier.back().held) || chance(2) == 0);
  operation.quiet = (flags & kMessageDontNotify) != 0;
  post(std::move(operation));
  return TRUE;
}

BOOL PASCAL rio_receive(RequestQueue id, Slice* slice, ULONG count, DWORD flags, void* context) {
  return begin(id, slice, count, flags, context, false);
}

BOOL PASCAL rio_send(RequestQueue id, Slice* slice, ULONG count, DWORD flags, void* context) {
  return begin(id, slice, count, flags, context, true);
}

int PASCAL rio_receive_ex(RequestQueue, Slice*, ULONG, Slice*, Slice*, Slice*, Slice*, DWORD, void*) {
  violation("RIOReceiveEx is for datagrams");
  return FALSE;
}

BOOL PASCAL rio_send_ex(RequestQueue, Slice*, ULONG, Slice*, Slice*, Slice*, Slice*, DWORD, void*) {
  violation("RIOSendEx is for datagrams");
  return FALSE;
}

CompletionQueue PASCAL rio_create_completion_queue(DWORD size, Notification* notification) {
  const std::lock_guard lock(mutex);
  static bool works = false;
  if (size == 0 || size > kMaxQueueSize) return WSASetLastError(WSAEINVAL), nullptr;
  if (refusal_of(Call::CompletionQueue) != 0 || !lock_instead(bytes_of_queue(size))) return nullptr;
  auto queue = std::make_unique<Queue>();
  queue->size = size;
  if (notification != nullptr) queue->notification = *notification;
  if (!works) std::thread(work_always).detach();
  works = true;
  Queue* const key = queue.get();
  queues[key] = std::move(queue);
  return reinterpret_cast<CompletionQueue>(key);
}

void PASCAL rio_close_completion_queue(CompletionQueue id) {
  const std::lock_guard lock(mutex);
  Queue* const queue = find_queue(id);
  if (queue == nullptr) return;
  if (!queue->connections.empty()) violation("a completion queue is closed before its request queues are over");
  for (Connection* connection : queue->connections) {
    by_socket.erase(connection->socket);
    connections.erase(connection);
  }
  locked_bytes -= bytes_of_queue(queue->size);
  queues.erase(queue);
}

BOOL PASCAL rio_resize_completion_queue(CompletionQueue id, DWORD size) {
  const std::lock_guard lock(mutex);
  Queue* const queue = find_queue(id);
  if (queue == nullptr || size > kMaxQueueSize) return WSASetLastError(WSAEINVAL), FALSE;
  if (size < queue->reserved) {
    violation("a completion queue becomes smaller than what is reserved in it");
    return WSASetLastError(WSAETOOMANYREFS), FALSE;
  }
  if (refusal_of(Call::Resize) != 0 || !lock_instead(bytes_of_queue(size), bytes_of_queue(queue->size))) return FALSE;
  queue->size = size;
  return TRUE;
}

RequestQueue PASCAL rio_create_request_queue(SOCKET socket, ULONG receives, ULONG receive_slices, ULONG sends, ULONG send_slices,
                                             CompletionQueue received, CompletionQueue sent, void* context) {
  const std::lock_guard lock(mutex);
  Queue* const queue = find_queue(received);
  if (queue == nullptr || received != sent) return WSASetLastError(WSAEINVAL), nullptr;
  if (receive_slices != 1 || send_slices != 1) violation("more than one buffer in a request");
  if (!registered_sockets.contains(socket)) violation("a socket without WSA_FLAG_REGISTERED_IO");
  if (by_socket.contains(socket)) violation("a second request queue for one socket");
  if (receives + sends == 0) return WSASetLastError(WSAEINVAL), nullptr;
  if (queue->reserved + receives + sends > queue->size) return WSASetLastError(WSAENOBUFS), nullptr;
  if (refusal_of(Call::RequestQueue) != 0) return nullptr;
  queue->reserved += receives + sends;
  auto connection = std::make_unique<Connection>();
  connection->socket = socket;
  connection->receives_max = receives;
  connection->sends_max = sends;
  connection->queue = queue;
  connection->context = context;
  connection->connected = joins(socket);
  // For the emulator, which carries requests out with ordinary calls.
  u_long yes = 1;
  (void)ioctlsocket(socket, FIONBIO, &yes);
  connection->event = CreateEventW(nullptr, TRUE, FALSE, nullptr);
  Connection* const key = connection.get();
  queue->connections.push_back(key);
  by_socket[socket] = key;
  connections[key] = std::move(connection);
  return reinterpret_cast<RequestQueue>(key);
}

BOOL PASCAL rio_resize_request_queue(RequestQueue, DWORD, DWORD) {
  violation("RIOResizeRequestQueue is not used by zerio");
  return FALSE;
}

ULONG PASCAL rio_dequeue_completion(CompletionQueue id, Result* results, ULONG count) {
  const std::lock_guard lock(mutex);
  Queue* const queue = find_queue(id);
  if (queue == nullptr) return kCorruptQueue;
  if (queue->corrupt) return kCorruptQueue;
  if (queue->completed.empty() || now_ns() - queue->looked_ns > kLookNs) work(*queue);
  ULONG taken = 0;
  for (; taken < count && !queue->completed.empty(); ++taken) {
    Completed completed = std::move(queue->completed.front());
    Operation& operation = completed.operation;
    queue->completed.pop_front();
    settle(operation);
    results[taken] = completed.result;
    if (!operation.quiet) --queue->notifying;
    --(operation.sends ? operation.connection->sends : operation.connection->receives);
    forget_if_over(*operation.connection);
  }
  return taken;
}

int PASCAL rio_notify(CompletionQueue id) {
  const std::lock_guard lock(mutex);
  Queue* const queue = find_queue(id);
  if (queue == nullptr) return WSAEINVAL;
  if (queue->notification.type != Notification::Type::CompletionPort) {
    violation("RIONotify for a queue without notification");
    return WSAEINVAL;
  }
  if (queue->armed) {
    violation("RIONotify before the last notification came");
    return WSAEALREADY;
  }
  if (const int error = refusal_of(Call::Notify); error != 0) return error;
  if (queue->uncommitted > 0) violation("RIONotify while a deferred request is not committed");
  queue->armed = true;
  // At once or a little later.
  if (queue->notifying > 0 && chance(4) > 0) notify(*queue);
  return 0;
}

BufferId PASCAL rio_register_buffer(char* data, DWORD bytes) {
  const std::lock_guard lock(mutex);
  if (bytes == 0) return WSASetLastError(WSAEINVAL), kInvalidBuffer;
  if (refusal_of(Call::Register) != 0) return kInvalidBuffer;
  const auto first = reinterpret_cast<uintptr_t>(data) / kPageBytes;
  const auto last = (reinterpret_cast<uintptr_t>(data) + bytes - 1) / kPageBytes;
  const uint64_t locked = (last - first + 1) * kPageBytes;
  if (!lock_instead(locked)) return kInvalidBuffer;
  // The real one locks the pages: touch each of them.
  for (DWORD at = 0; at < bytes; at += kPageBytes) (void)*static_cast<volatile char*>(data + at);
  const auto id = reinterpret_cast<BufferId>(next_buffer++);
  buffers[id] = std::make_shared<Buffer>(Buffer{data, bytes, locked});
  return id;
}

void PASCAL rio_deregister_buffer(BufferId id) {
  const std::lock_guard lock(mutex);
  const auto found = buffers.find(id);
  if (found == buffers.end()) return violation("a buffer is deregistered that is not registered");
  Buffer& buffer = *found->second;
  if (!buffer.uses.empty()) violation("a buffer is deregistered while requests use it");
  buffer.registered = false;
  locked_bytes -= buffer.locked_bytes;
  buffers.erase(found);
}

}  // namespace

Functions rio_functions() {
  return {sizeof(Functions),
          rio_receive,
          rio_receive_ex,
          rio_send,
          rio_send_ex,
          rio_close_completion_queue,
          rio_create_completion_queue,
          rio_create_request_queue,
          rio_dequeue_completion,
          rio_deregister_buffer,
          rio_notify,
          rio_register_buffer,
          rio_resize_completion_queue,
          rio_resize_request_queue};
}

uint64_t locked_bytes_at_most() { return locked_bytes_max; }
void limit_locked_bytes(uint64_t bytes) { locked_limit = bytes; }

}  // namespace zerio::emulator
