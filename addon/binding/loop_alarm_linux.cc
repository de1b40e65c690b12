// LoopAlarm on Linux: a poll handle on a timerfd.
#include <sys/timerfd.h>
#include <unistd.h>

#include "loop_alarm.h"

namespace zerio {

LoopAlarm::~LoopAlarm() {
  if (fd_ >= 0) ::close(fd_);
}

bool LoopAlarm::init(uv_loop_t* loop, Ring ring, void* owner) {
  ring_ = ring;
  owner_ = owner;
  fd_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (fd_ < 0) return false;
  const auto on_due = [](uv_poll_t* handle, int, int) {
    auto& self = *static_cast<LoopAlarm*>(handle->data);
    // Otherwise it would stay readable.
    uint64_t times = 0;
    (void)!::read(self.fd_, &times, sizeof(times));
    self.due_ns_ = kNever;
    self.ring_(self.owner_);
  };
  if (uv_poll_init(loop, &handle_, fd_) != 0) {
    ::close(fd_);
    fd_ = -1;
    return false;
  }
  handle_.data = this;
  // It fails only for a handle that is being closed, or for a descriptor that another one polls.
  (void)uv_poll_start(&handle_, UV_READABLE, on_due);
  uv_unref(reinterpret_cast<uv_handle_t*>(&handle_));
  return true;
}

void LoopAlarm::set(uint64_t due_ns) {
  if (due_ns == due_ns_) return;
  due_ns_ = due_ns;
  constexpr uint64_t second_ns = 1'000'000'000;
  itimerspec when = {};
  if (due_ns != kNever) {
    when.it_value.tv_sec = static_cast<time_t>(due_ns / second_ns);
    when.it_value.tv_nsec = static_cast<long>(due_ns % second_ns);
  }
  (void)::timerfd_settime(fd_, TFD_TIMER_ABSTIME, &when, nullptr);
}

void LoopAlarm::close(uv_close_cb closed) {
  handle_.data = owner_;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_), closed);
}

}  // namespace zerio
