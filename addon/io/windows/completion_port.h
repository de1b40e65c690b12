// An I/O completion port that is drained by poll(), and by a thread of its own while the loop sleeps.
//
// No handle of Windows shows that a completion port has something, so a thread must wait inside of it. This one does so only when
// it is armed: it takes one batch, leaves it here for poll(), wakes the loop, and rests until it is armed again.
#pragma once

#include <uv.h>
#include <winsock2.h>

#include <array>
#include <atomic>

namespace zerio {

class CompletionPort {
 public:
  using Wake = void (*)(void* context);
  static constexpr unsigned long kBatch = 256;

  // When the system refuses, handle() is nullptr.
  CompletionPort() : port_(CreateIoCompletionPort(INVALID_HANDLE_VALUE, nullptr, 0, 1)) {}
  ~CompletionPort();
  CompletionPort(const CompletionPort&) = delete;
  CompletionPort& operator=(const CompletionPort&) = delete;

  [[nodiscard]] HANDLE handle() const { return port_; }
  [[nodiscard]] bool associate(SOCKET socket) {
    return CreateIoCompletionPort(reinterpret_cast<HANDLE>(socket), port_, 0, 0) == port_;
  }
  // As if the system had completed it.
  void post(OVERLAPPED* overlapped) { PostQueuedCompletionStatus(port_, 0, 0, overlapped); }

  // The first completion that was not popped, or nullptr. Between two calls of begin() there is one batch, the rest of the last
  // one or a new one: so no operation that is begun meanwhile completes in it.
  void begin() { asked_ = !empty(); }
  [[nodiscard]] OVERLAPPED* front();
  void pop() { ++next_; }
  // Waits for one more batch, when all of the last one is popped.
  void wait(DWORD timeout_ms);
  [[nodiscard]] bool empty() const { return next_ == count_; }

  static constexpr DWORD kForEver = INFINITE;

  // `wake` is called once after each arm() that a completion follows, or its timeout. Without `wake` the thread ends.
  void wake_by(Wake wake, void* context);
  // The first call makes the thread, so engines that never sleep have none. Where none can be made, the loop does not sleep.
  void arm(DWORD timeout_ms);
  // Wakes the loop although nothing completes.
  void wake_now() {
    if (wake_ != nullptr) wake_(context_);
  }

 private:
  enum class Waiter { Resting, Waiting, Delivered };
  using Batch = std::array<OVERLAPPED_ENTRY, kBatch>;

  void run();
  void end_thread();
  bool take_delivered();

  HANDLE port_;
  Batch batch_ = {};
  unsigned long next_ = 0;
  unsigned long count_ = 0;
  bool asked_ = false;

  Wake wake_ = nullptr;
  void* context_ = nullptr;
  uv_thread_t thread_ = {};
  uv_sem_t armed_ = {};
  bool thread_runs_ = false;
  DWORD wait_ms_ = kForEver;  // written while the thread is Resting
  bool recalled_ = false;     // the thread was asked to come back before its time
  std::atomic<bool> ending_ = false;
  std::atomic<Waiter> waiter_ = Waiter::Resting;
  Batch delivered_ = {};  // the thread's own while it is Waiting
  unsigned long delivered_count_ = 0;
};

}  // namespace zerio
