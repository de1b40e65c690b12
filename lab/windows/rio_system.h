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
#include <vector>

#include "../../addon/io/windows/rio_abi.h"
#include "acknowledgements.h"
#include "report.h"

namespace zerio::emulator {

using namespace zerio::rio;

struct Buffer {
  char* data;
  DWORD bytes;
  uint64_t locked_bytes;
  DWORD thread = GetCurrentThreadId();
  bool registered = true;
  // Of requests that are not dequeued: where their bytes begin and end, and whether they are sent.
  struct Use {
    const char* end;
    bool sends;
  };
  std::multimap<const char*, Use> uses = {};
};

struct Queue;
struct Connection;

struct Operation {
  Connection* connection = nullptr;
  bool sends = false;
  std::shared_ptr<Buffer> buffer;
  char* data = nullptr;
  ULONG bytes = 0;
  ULONG done = 0;
  uint64_t sum = 0;
  uint64_t end = 0;       // of a send: where its last byte is in the stream
  bool held = false;      // deferred, and not started
  bool deferred = false;  // until requests without RIO_MSG_DEFER follow, or a commit
  bool quiet = false;     // does not notify
  bool started = false;   // of a receive
  int failed = 0;
  void* context = nullptr;
  std::unique_ptr<char[]> arrived;  // of a receive, which fills its memory when it is dequeued
  OVERLAPPED overlapped = {};
};

struct Connection {  // what a RequestQueue points to
  SOCKET socket = INVALID_SOCKET;
  bool open = true;
  bool connected = false;
  bool shut = false;  // the program has ended the stream; the other side learns of it behind the last send
  bool shut_done = false;
  bool is_reset = false;
  ULONG receives_max = 0;
  ULONG sends_max = 0;
  ULONG receives = 0;  // not dequeued
  ULONG sends = 0;
  ULONG uncommitted_receives = 0;
  ULONG uncommitted_sends = 0;
  Queue* queue = nullptr;
  void* context = nullptr;
  HANDLE event = nullptr;
  Acknowledgements acknowledgements;
  uint64_t posted = 0;  // bytes of all sends
  std::deque<Operation> receiving;
  std::deque<Operation> sending;
  // Of a closed socket: what completes late, and when.
  struct Late {
    Operation operation;
    int error;
  };
  std::vector<Late> late;
  uint64_t late_ns = 0;
};

struct Completed {
  Result result;
  Operation operation;
};

struct Queue {  // what a CompletionQueue points to
  DWORD size = 0;
  DWORD reserved = 0;
  Notification notification = {};
  bool armed = false;
  bool corrupt = false;
  ULONG notifying = 0;  // completions that are not quiet
  ULONG uncommitted = 0;
  std::deque<Completed> completed;
  std::vector<Connection*> connections;
  // Room of request queues whose sockets are closed, and when it is given back.
  struct Returned {
    uint64_t at_ns;
    DWORD results;
  };
  std::deque<Returned> returned;
  uint64_t looked_ns = 0;  // when the connections were looked at last, and how long that took
  uint64_t looking_ns = 0;
  DWORD thread = GetCurrentThreadId();
};

// Everything below is used with `mutex` locked.
extern std::recursive_mutex mutex;
extern std::map<BufferId, std::shared_ptr<Buffer>> buffers;
extern std::map<Queue*, std::unique_ptr<Queue>> queues;
extern std::map<Connection*, std::unique_ptr<Connection>> connections;
extern std::map<SOCKET, Connection*> by_socket;
extern std::set<SOCKET> registered_sockets;
extern std::atomic<uint64_t> requests;
// How much later than otherwise the requests of closed sockets complete.
extern uint64_t late_more_ns;

// A number that looks as if by chance, below `range`, and is the same in each run.
[[nodiscard]] uint32_t chance(uint32_t range);

// Each returns nullptr, after a violation, when there is no such queue.
[[nodiscard]] Queue* find_queue(CompletionQueue id);
[[nodiscard]] Connection* find_connection(RequestQueue id, bool any_thread);

// Posts a request that was checked.
void post(Operation operation);
// A commit was tried, and refused.
void forget_uncommitted(Connection& connection, bool sends);
// Starts all deferred requests of this kind.
void commit(Connection& connection, bool sends);
// Checks that the program left the memory of a completed request alone, fills the memory of a receive, and forgets the request.
void settle(Operation& operation);

// The program has called shutdown(SD_SEND): false when the socket has no request queue, and the system is to do it.
[[nodiscard]] bool end_stream(SOCKET socket);
// Before a socket is closed. Returns whether the system resets its connection.
[[nodiscard]] bool close_requests(SOCKET socket);

// Looks for what can complete. Calls that follow soon on one that took long do nothing.
void work(Queue& queue);
// Asks the completion port to wake the program.
void notify(Queue& queue);
// Runs on a thread of its own.
[[noreturn]] void work_always();
void forget_if_over(Connection& connection);
// Bytes of sends that the other side has not acknowledged. Their connections are reset, as when a process ends.
[[nodiscard]] uint64_t lose_sends();

}  // namespace zerio::emulator
