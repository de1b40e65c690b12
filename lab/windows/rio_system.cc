// The emulated system: requests are carried out over Winsock, and violations are written to the report.
#include "rio_system.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace zerio::emulator {

std::recursive_mutex mutex;
std::map<BufferId, std::unique_ptr<Buffer>> buffers;
std::map<Queue*, std::unique_ptr<Queue>> queues;
std::map<Connection*, std::unique_ptr<Connection>> connections;
std::map<SOCKET, Connection*> by_socket;
std::set<SOCKET> registered_sockets;
uintptr_t next_buffer = 1;
std::atomic<uint64_t> requests = 0;
std::atomic<uint64_t> violations = 0;

void report(const std::string& line) {
  const char* const path = std::getenv("ZERIO_RIO_REPORT");
  if (path == nullptr) return;
  FILE* const file = std::fopen(path, "ab");
  if (file == nullptr) return;
  std::fprintf(file, "%lu %s\n", GetCurrentProcessId(), line.c_str());
  std::fclose(file);
}

// The report gets the first few of each kind.
void violation(const std::string& what) {
  constexpr int kLinesMax = 10;
  static std::map<std::string, int> lines;
  const std::lock_guard lock(mutex);
  ++violations;
  if (++lines[what] <= kLinesMax) report("violation: " + what);
}

uint64_t sum_of(const char* data, ULONG bytes) {
  uint64_t sum = 1469598103934665603U;
  for (ULONG i = 0; i < bytes; ++i) sum = (sum ^ static_cast<unsigned char>(data[i])) * 1099511628211U;
  return sum;
}

namespace {

void check_thread(const Queue& queue) {
  if (queue.thread != GetCurrentThreadId()) violation("a queue is used by two threads");
}

}  // namespace

Queue* find_queue(CompletionQueue id) {
  const auto found = queues.find(reinterpret_cast<Queue*>(id));
  if (found == queues.end()) {
    violation("a completion queue that does not exist");
    return nullptr;
  }
  check_thread(*found->second);
  return found->second.get();
}

Connection* find_connection(RequestQueue id) {
  const auto found = connections.find(reinterpret_cast<Connection*>(id));
  if (found == connections.end() || !found->second->open) {
    violation("a request queue whose socket is closed");
    return nullptr;
  }
  check_thread(*found->second->queue);
  return found->second.get();
}

// ---- Work

void complete(Operation& operation, LONG status) {
  Connection& connection = *operation.connection;
  const Result result = {status, operation.done, reinterpret_cast<ULONGLONG>(connection.context),
                         reinterpret_cast<ULONGLONG>(operation.context)};
  connection.queue->completed.push_back({result, &connection, operation});
}

// Receives are overlapped, because Wine reports a reset only to receives that wait for bytes.
void start_receive(Operation& operation) {
  WSABUF bytes = {operation.bytes, operation.data};
  DWORD flags = 0;
  // With the lowest bit set, the receive does not complete at the product's completion port.
  operation.overlapped.hEvent =
      reinterpret_cast<HANDLE>(reinterpret_cast<uintptr_t>(CreateEventW(nullptr, TRUE, FALSE, nullptr)) | 1);
  if (WSARecv(operation.connection->socket, &bytes, 1, nullptr, &flags, &operation.overlapped, nullptr) == 0 ||
      WSAGetLastError() == WSA_IO_PENDING) {
    return;
  }
  operation.failed = WSAGetLastError();
  operation.overlapped.Internal = 0;
}

void finish_receive(Operation& operation) {
  DWORD got = 0;
  DWORD flags = 0;
  LONG status = operation.failed;
  if (status == 0 && WSAGetOverlappedResult(operation.connection->socket, &operation.overlapped, &got, TRUE, &flags) == FALSE) {
    status = WSAGetLastError();
  }
  CloseHandle(reinterpret_cast<HANDLE>(reinterpret_cast<uintptr_t>(operation.overlapped.hEvent) & ~uintptr_t{1}));
  operation.done = status == 0 ? got : 0;
  complete(operation, status);
}

void work_on(Connection& connection, bool tick) {
  while (!connection.receiving.empty()) {
    Operation& operation = connection.receiving.front();
    if (!HasOverlappedIoCompleted(&operation.overlapped)) break;
    finish_receive(operation);
    connection.receiving.pop_front();
  }
  while (!connection.sending.empty() && !connection.sending.front().deferred) {
    Operation& operation = connection.sending.front();
    int error = 0;
    if (operation.done < operation.bytes) {
      const int put =
          send(connection.socket, operation.data + operation.done, static_cast<int>(operation.bytes - operation.done), 0);
      if (put < 0) error = WSAGetLastError();
      if (put > 0) operation.done += static_cast<ULONG>(put);
      if (error == WSAEWOULDBLOCK || (error == 0 && operation.done < operation.bytes)) break;
    }
    if (error == 0 && operation.late && !tick) break;
    complete(operation, error);
    connection.sending.pop_front();
  }
}

void work(Queue& queue, bool tick) {
  for (Connection* connection : queue.connections) {
    if (connection->open) work_on(*connection, tick);
  }
}

void work_always() {
  for (;;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const std::lock_guard lock(mutex);
    for (auto& [queue, owner] : queues) {
      work(*queue, true);
      if (!queue->armed || queue->completed.empty()) continue;
      queue->armed = false;
      const Notification::Port& port = queue->notification.port;
      PostQueuedCompletionStatus(port.handle, 0, reinterpret_cast<ULONG_PTR>(port.key),
                                 static_cast<OVERLAPPED*>(port.overlapped));
    }
  }
}

void forget_if_over(Connection& connection) {
  if (connection.open || connection.receives + connection.sends > 0) return;
  connection.queue->connections.erase(&connection);
  connections.erase(&connection);
}

}  // namespace zerio::emulator
