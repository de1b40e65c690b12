// The state of the emulated Registered I/O (rio_emulator.cc), and what a real system does by itself: it carries requests out,
// completes them and notifies.
#pragma once

#include <winsock2.h>
// After winsock2.h.
#include <windows.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "../../addon/io/windows/rio_abi.h"

namespace zerio::emulator {

using namespace zerio::rio;

struct Buffer {
  char* data;
  DWORD bytes;
  DWORD thread = GetCurrentThreadId();
  uint32_t in_flight = 0;
};

struct Queue;
struct Connection;

struct Operation {
  Connection* connection = nullptr;
  bool sends = false;
  Buffer* buffer = nullptr;
  char* data = nullptr;
  ULONG bytes = 0;
  ULONG done = 0;
  uint64_t sum = 0;
  bool deferred = false;
  bool late = false;
  int failed = 0;
  void* context = nullptr;
  OVERLAPPED overlapped = {};
};

struct Connection {  // what a RequestQueue points to
  SOCKET socket = INVALID_SOCKET;
  bool open = true;
  ULONG receives_max = 0;
  ULONG sends_max = 0;
  ULONG receives = 0;  // not dequeued
  ULONG sends = 0;
  Queue* queue = nullptr;
  void* context = nullptr;
  std::deque<Operation> receiving;
  std::deque<Operation> sending;
};

struct Completed {
  Result result;
  Connection* connection;
  Operation operation;
};

struct Queue {  // what a CompletionQueue points to
  DWORD size = 0;
  DWORD reserved = 0;
  Notification notification = {};
  bool armed = false;
  std::deque<Completed> completed;
  std::set<Connection*> connections;
  DWORD thread = GetCurrentThreadId();
};

// Everything below is used with `mutex` locked.
extern std::recursive_mutex mutex;
extern std::map<BufferId, std::unique_ptr<Buffer>> buffers;
extern std::map<Queue*, std::unique_ptr<Queue>> queues;
extern std::map<Connection*, std::unique_ptr<Connection>> connections;
extern std::map<SOCKET, Connection*> by_socket;
extern std::set<SOCKET> registered_sockets;
extern uintptr_t next_buffer;
extern std::atomic<uint64_t> requests;
extern std::atomic<uint64_t> violations;

// Writes a line to the report.
void report(const std::string& line);
// Reports a use that the real Registered I/O would punish.
void violation(const std::string& what);

// The bytes of a send must have the same sum when it completes.
[[nodiscard]] uint64_t sum_of(const char* data, ULONG bytes);

// Each returns nullptr, after a violation, when there is no such queue.
[[nodiscard]] Queue* find_queue(CompletionQueue id);
[[nodiscard]] Connection* find_connection(RequestQueue id);

void complete(Operation& operation, LONG status);
void start_receive(Operation& operation);
// Waits until the receive is over.
void finish_receive(Operation& operation);
// Carries out what can be done at once. With `tick`, sends that complete late complete now.
void work_on(Connection& connection, bool tick);
void work(Queue& queue, bool tick);
// Runs on a thread of its own.
[[noreturn]] void work_always();
void forget_if_over(Connection& connection);

}  // namespace zerio::emulator
