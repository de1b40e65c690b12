// The emulated system: requests are carried out over Winsock.
#include "rio_system.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "real.h"
#include "statuses.h"

namespace zerio::emulator {

std::recursive_mutex mutex;
std::map<BufferId, std::shared_ptr<Buffer>> buffers;
std::map<Queue*, std::unique_ptr<Queue>> queues;
std::map<Connection*, std::unique_ptr<Connection>> connections;
std::map<SOCKET, Connection*> by_socket;
std::set<SOCKET> registered_sockets;
std::atomic<uint64_t> requests = 0;
uint64_t late_more_ns = 0;

namespace {

constexpr uint64_t kMillisecondNs = 1'000'000;
// What the memory of a receive is filled with until the receive is over.
constexpr char kPoison = static_cast<char>(0xA5);

void check_thread(const Queue& queue) {
  if (queue.thread != GetCurrentThreadId()) violation("a queue is used by two threads");
}

// The bytes of a send must have the same sum when it completes.
[[nodiscard]] uint64_t sum_of(const char* data, ULONG bytes) {
  constexpr uint64_t kPrime = 1099511628211U;
  uint64_t sum = 1469598103934665603U;
  ULONG at = 0;
  for (uint64_t word = 0; at + sizeof word <= bytes; at += sizeof word) {
    std::memcpy(&word, data + at, sizeof word);
    sum = (sum ^ word) * kPrime;
    sum ^= sum >> 32;
  }
  for (; at < bytes; ++at) sum = (sum ^ static_cast<unsigned char>(data[at])) * kPrime;
  return sum;
}

// Requests that are under way never share bytes, so the last one that begins before the end of this one is the one that could.
void check_overlap(const Operation& operation) {
  const auto& uses = operation.buffer->uses;
  auto found = uses.lower_bound(operation.data + operation.bytes);
  if (found == uses.begin() || (--found)->second.end <= operation.data) return;
  violation(operation.sends && found->second.sends ? "two sends at a time of the same bytes"
                                                   : "the memory of a receive is used by another request");
}

void complete(Operation operation, int error) {
  const Connection& connection = *operation.connection;
  Queue& queue = *connection.queue;
  const Result result = {status_of(error), error == 0 ? operation.done : 0, reinterpret_cast<ULONGLONG>(connection.context),
                         reinterpret_cast<ULONGLONG>(operation.context)};
  if (!operation.quiet) ++queue.notifying;
  queue.completed.push_back({result, std::move(operation)});
  if (queue.completed.size() > queue.size && !queue.corrupt) {
    queue.corrupt = true;
    violation("a completion queue overflows");
  }
}

// Receives are overlapped, because Wine reports a reset only to receives that wait for bytes.
void start_receive(Operation& operation) {
  operation.started = true;
  operation.held = false;
  operation.arrived = std::make_unique<char[]>(operation.bytes);
  WSABUF bytes = {operation.bytes, operation.arrived.get()};
  DWORD flags = 0;
  // With the lowest bit set, the receive does not complete at the product's completion port.
  operation.overlapped.hEvent = reinterpret_cast<HANDLE>(reinterpret_cast<uintptr_t>(operation.connection->event) | 1);
  if (real.receive(operation.connection->socket, &bytes, 1, nullptr, &flags, &operation.overlapped, nullptr) == 0 ||
      WSAGetLastError() == WSA_IO_PENDING) {
    return;
  }
  operation.failed = WSAGetLastError();
  operation.overlapped.Internal = 0;
}

// Linux gives the reset of a connection once, to the send or to the receive that comes first, and then the end of the stream.
// Windows gives it to both.
int failure_of(Connection& connection, int error) {
  if (error == WSAEWOULDBLOCK) return 0;
  if (error == WSAECONNRESET) connection.is_reset = true;
  return error == WSAESHUTDOWN && !connection.shut ? WSAECONNRESET : error;
}

// The end of a stream may be what is left of a reset that nothing has seen yet.
bool finds_reset(Connection& connection) {
  if (!connection.is_reset && !connection.shut && connection.open && send(connection.socket, "", 0, 0) < 0) {
    (void)failure_of(connection, WSAGetLastError());
  }
  return connection.is_reset;
}

// The error of a receive that is over.
int finish_receive(Operation& operation) {
  DWORD got = 0;
  DWORD flags = 0;
  int error = operation.failed;
  if (error == 0 && WSAGetOverlappedResult(operation.connection->socket, &operation.overlapped, &got, FALSE, &flags) == FALSE) {
    error = WSAGetLastError();
  }
  operation.done = error == 0 ? got : 0;
  if (got > 0) operation.connection->acknowledgements.answered();
  if (error == 0 && got == 0 && finds_reset(*operation.connection)) return WSAECONNRESET;
  return error;
}

// Gives bytes to the network, as many as it takes. Returns the error of the connection.
int write(Connection& connection, uint64_t now) {
  for (Operation& operation : connection.sending) {
    if (operation.held) return 0;
    while (operation.done < operation.bytes) {
      const int put =
          send(connection.socket, operation.data + operation.done, static_cast<int>(operation.bytes - operation.done), 0);
      if (put < 0) return failure_of(connection, WSAGetLastError());
      operation.done += static_cast<ULONG>(put);
      connection.acknowledgements.wrote(static_cast<uint64_t>(put), now);
    }
  }
  if (connection.shut && !connection.shut_done) {
    connection.shut_done = true;
    (void)real.shutdown(connection.socket, SD_SEND);
  }
  return 0;
}

void work_on(Connection& connection, uint64_t now) {
  while (!connection.receiving.empty()) {
    Operation& operation = connection.receiving.front();
    if (!operation.started || !HasOverlappedIoCompleted(&operation.overlapped)) break;
    const int error = finish_receive(operation);
    complete(std::move(operation), error);
    connection.receiving.pop_front();
  }
  if (connection.sending.empty()) return;
  const int error = write(connection, now);
  const uint64_t acknowledged = connection.acknowledgements.acknowledged(now);
  while (!connection.sending.empty() && !connection.sending.front().held) {
    Operation& operation = connection.sending.front();
    if (error == 0 && operation.end > acknowledged) break;
    complete(std::move(operation), error);
    connection.sending.pop_front();
  }
}

// What was sent counts as sent; all else is cancelled, which Windows calls WSAECONNABORTED for receives. Both is known later.
void complete_late(Connection& connection) {
  for (Operation& operation : connection.receiving) {
    const uint64_t until = now_ns() + 1000 * kMillisecondNs;
    while (operation.started && !HasOverlappedIoCompleted(&operation.overlapped) && now_ns() < until) std::this_thread::yield();
    const int error = operation.started ? finish_receive(operation) : WSA_OPERATION_ABORTED;
    connection.late.push_back({std::move(operation), error == WSA_OPERATION_ABORTED ? WSAECONNABORTED : error});
  }
  for (Operation& operation : connection.sending) {
    const bool sent = operation.done == operation.bytes;
    if (!sent) operation.done = 0;
    connection.late.push_back({std::move(operation), sent ? 0 : WSA_OPERATION_ABORTED});
  }
  connection.receiving.clear();
  connection.sending.clear();
  connection.late_ns = now_ns() + (2 + chance(20)) * kMillisecondNs + late_more_ns;
}

// What the time brings: late completions, and room that is given back.
void pass_time(Queue& queue, uint64_t now) {
  while (!queue.returned.empty() && queue.returned.front().at_ns <= now) {
    queue.reserved -= queue.returned.front().results;
    queue.returned.pop_front();
  }
  for (Connection* connection : queue.connections) {
    if (connection->open || connection->late.empty() || now < connection->late_ns) continue;
    for (Connection::Late& late : connection->late) complete(std::move(late.operation), late.error);
    connection->late.clear();
  }
}

}  // namespace

uint32_t chance(uint32_t range) {
  static uint32_t state = 2463534242U;
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state % range;
}

Queue* find_queue(CompletionQueue id) {
  const auto found = queues.find(reinterpret_cast<Queue*>(id));
  if (found == queues.end()) {
    violation("a completion queue that does not exist");
    return nullptr;
  }
  check_thread(*found->second);
  return found->second.get();
}

Connection* find_connection(RequestQueue id, bool any_thread) {
  const auto found = connections.find(reinterpret_cast<Connection*>(id));
  if (found == connections.end() || !found->second->open) {
    violation("a request queue whose socket is closed");
    return nullptr;
  }
  if (!any_thread) check_thread(*found->second->queue);
  return found->second.get();
}

void post(Operation operation) {
  Connection& connection = *operation.connection;
  check_overlap(operation);
  operation.buffer->uses.insert({operation.data, {operation.data + operation.bytes, operation.sends}});
  ++(operation.sends ? connection.sends : connection.receives);
  ++requests;
  if (operation.sends) {
    operation.sum = sum_of(operation.data, operation.bytes);
    connection.posted += operation.bytes;
    operation.end = connection.posted;
  } else {
    std::memset(operation.data, kPoison, operation.bytes);
  }
  const bool sends = operation.sends;
  const bool deferred = operation.deferred;
  const bool held = operation.held;
  auto& list = sends ? connection.sending : connection.receiving;
  list.push_back(std::move(operation));
  if (deferred) {
    ++(sends ? connection.uncommitted_sends : connection.uncommitted_receives);
    ++connection.queue->uncommitted;
  } else {
    commit(connection, sends);
  }
  if (held) return;
  if (!sends && !list.back().started) start_receive(list.back());
  work_on(connection, now_ns());
}

void forget_uncommitted(Connection& connection, bool sends) {
  connection.queue->uncommitted -= std::exchange(sends ? connection.uncommitted_sends : connection.uncommitted_receives, 0);
}

void commit(Connection& connection, bool sends) {
  forget_uncommitted(connection, sends);
  for (Operation& operation : sends ? connection.sending : connection.receiving) {
    operation.held = false;
    if (!sends && !operation.started) start_receive(operation);
  }
}

void settle(Operation& operation) {
  Buffer& buffer = *operation.buffer;
  const auto [first, last] = buffer.uses.equal_range(operation.data);
  const auto use = std::find_if(first, last, [&](const auto& entry) { return entry.second.sends == operation.sends; });
  if (use != last) buffer.uses.erase(use);
  if (!buffer.registered) return;
  if (operation.sends) {
    if (sum_of(operation.data, operation.bytes) != operation.sum) violation("bytes of a send were changed before it completed");
    return;
  }
  // All bytes are that of the first one.
  const bool poisoned = *operation.data == kPoison && std::memcmp(operation.data, operation.data + 1, operation.bytes - 1) == 0;
  if (!poisoned) violation("the memory of a receive was changed before it completed");
  if (operation.arrived != nullptr) std::memcpy(operation.data, operation.arrived.get(), operation.done);
}

bool end_stream(SOCKET socket) {
  const std::lock_guard lock(mutex);
  const auto found = by_socket.find(socket);
  if (found == by_socket.end()) return false;
  found->second->shut = true;
  (void)write(*found->second, now_ns());
  return true;
}

bool close_requests(SOCKET socket) {
  const auto found = by_socket.find(socket);
  if (found == by_socket.end()) return false;
  Connection& connection = *found->second;
  by_socket.erase(found);
  const bool waits = !connection.receiving.empty() && !connection.shut;
  const bool unsent = connection.acknowledgements.written() < connection.posted;
  connection.open = false;
  connection.queue->uncommitted -= connection.uncommitted_receives + connection.uncommitted_sends;
  if (!connection.receiving.empty()) (void)real.cancel(reinterpret_cast<HANDLE>(socket), nullptr);
  complete_late(connection);
  CloseHandle(connection.event);
  forget_if_over(connection);
  return waits || unsent;
}

void work(Queue& queue) {
  constexpr uint64_t kShare = 4;  // of the time is left to the program
  constexpr uint64_t kRestMaxNs = 20 * kMillisecondNs;
  const uint64_t now = now_ns();
  if (now - queue.looked_ns < std::min(queue.looking_ns * kShare, kRestMaxNs)) return;
  pass_time(queue, now);
  for (Connection* connection : queue.connections) {
    if (connection->open) work_on(*connection, now);
  }
  queue.looked_ns = now_ns();
  queue.looking_ns = queue.looked_ns - now;
}

void notify(Queue& queue) {
  queue.armed = false;
  const Notification::Port& port = queue.notification.port;
  PostQueuedCompletionStatus(port.handle, 0, reinterpret_cast<ULONG_PTR>(port.key), static_cast<OVERLAPPED*>(port.overlapped));
}

void work_always() {
  for (;;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const std::lock_guard lock(mutex);
    for (auto& [key, queue] : queues) {
      work(*queue);
      if (queue->armed && queue->notifying > 0) notify(*queue);
    }
  }
}

void forget_if_over(Connection& connection) {
  if (connection.open || connection.receives + connection.sends > 0) return;
  Queue& queue = *connection.queue;
  const DWORD results = connection.receives_max + connection.sends_max;
  queue.returned.push_back({now_ns() + (20 + chance(30)) * kMillisecondNs, results});
  std::erase(queue.connections, &connection);
  connections.erase(&connection);
}

uint64_t lose_sends() {
  uint64_t lost = 0;
  for (const auto& [key, connection] : connections) {
    if (!connection->open || connection->sending.empty()) continue;
    const uint64_t unacknowledged = connection->posted - connection->acknowledgements.acknowledged(now_ns());
    if (unacknowledged == 0) continue;
    lost += unacknowledged;
    const linger now = {1, 0};
    (void)real.set_option(connection->socket, SOL_SOCKET, SO_LINGER, reinterpret_cast<const char*>(&now), sizeof now);
  }
  return lost;
}

}  // namespace zerio::emulator
