// The waiting thread, and the two sources of completions: the batch that the thread delivered, and the system.
#include "completion_port.h"

#include <algorithm>
#include <utility>

namespace zerio {
namespace {

// Ends the thread's wait when there is no completion.
OVERLAPPED end_of_wait = {};

}  // namespace

CompletionPort::~CompletionPort() {
  end_thread();
  if (port_ != nullptr) CloseHandle(port_);
}

OVERLAPPED* CompletionPort::front() {
  for (;;) {
    for (; next_ < count_ && batch_[next_].lpOverlapped == &end_of_wait; ++next_) {
      // Taken from under the waiting thread, which has not come back then: arm() recalls it again.
      recalled_ = false;
    }
    if (next_ < count_) return batch_[next_].lpOverlapped;
    next_ = count_ = 0;
    if (asked_) return nullptr;
    asked_ = true;
    if (take_delivered()) continue;
    if (GetQueuedCompletionStatusEx(port_, batch_.data(), kBatch, &count_, 0, FALSE) == 0) count_ = 0;
  }
}

void CompletionPort::wait(DWORD timeout_ms) {
  next_ = count_ = 0;
  if (take_delivered()) return;
  if (GetQueuedCompletionStatusEx(port_, batch_.data(), kBatch, &count_, timeout_ms, FALSE) == 0) count_ = 0;
}

bool CompletionPort::take_delivered() {
  if (waiter_.load(std::memory_order_acquire) != Waiter::Delivered) return false;
  std::copy_n(delivered_.begin(), delivered_count_, batch_.begin());
  count_ = delivered_count_;
  waiter_.store(Waiter::Resting, std::memory_order_relaxed);
  return true;
}

void CompletionPort::wake_by(Wake wake, void* context) {
  end_thread();
  wake_ = wake;
  context_ = context;
}

void CompletionPort::arm(DWORD timeout_ms) {
  if (wake_ == nullptr) return;
  if (!thread_runs_) {
    if (uv_sem_init(&armed_, 0) != 0) return wake_now();
    thread_runs_ = uv_thread_create(
                       &thread_, [](void* self) { static_cast<CompletionPort*>(self)->run(); }, this) == 0;
    if (!thread_runs_) {
      uv_sem_destroy(&armed_);
      return wake_now();
    }
  }
  switch (waiter_.load(std::memory_order_acquire)) {
    case Waiter::Resting:
      wait_ms_ = timeout_ms;
      recalled_ = false;
      waiter_.store(Waiter::Waiting, std::memory_order_release);
      uv_sem_post(&armed_);
      break;
    case Waiter::Waiting:
      // The thread waits longer than that: it comes back, and is armed again.
      if (timeout_ms < wait_ms_ && !std::exchange(recalled_, true)) post(&end_of_wait);
      break;
    case Waiter::Delivered:
      wake_now();
      break;
  }
}

void CompletionPort::run() {
  for (;;) {
    uv_sem_wait(&armed_);
    if (ending_) return;
    if (GetQueuedCompletionStatusEx(port_, delivered_.data(), kBatch, &delivered_count_, wait_ms_, FALSE) == 0) {
      delivered_count_ = 0;
    }
    waiter_.store(Waiter::Delivered, std::memory_order_release);
    wake_(context_);
  }
}

void CompletionPort::end_thread() {
  if (!thread_runs_) return;
  ending_ = true;
  if (waiter_ == Waiter::Waiting) post(&end_of_wait);
  uv_sem_post(&armed_);
  uv_thread_join(&thread_);
  uv_sem_destroy(&armed_);
  thread_runs_ = false;
  ending_ = false;
  if (waiter_ == Waiter::Waiting) waiter_ = Waiter::Resting;
}

}  // namespace zerio
