// Wakes a sleeping libuv loop at an exact time: libuv's own timers count whole milliseconds.
#pragma once

#include <uv.h>

#include <cstdint>

namespace zerio {

class LoopAlarm {
 public:
  using Ring = void (*)(void* owner);

  static constexpr uint64_t kNever = ~uint64_t{0};

  LoopAlarm() = default;
  ~LoopAlarm();
  LoopAlarm(const LoopAlarm&) = delete;
  LoopAlarm& operator=(const LoopAlarm&) = delete;

  // Returns false where the system has none, or does not give one.
  bool init(uv_loop_t* loop, Ring ring, void* owner);
  // `ring(owner)` is called on the loop's thread once this time of the monotonic clock is there; kNever for not at all.
  void set(uint64_t due_ns);
  // After init() has returned true. `closed` finds the owner in the handle's data.
  void close(uv_close_cb closed);

 private:
  uv_poll_t handle_ = {};
  int fd_ = -1;
  uint64_t due_ns_ = kNever;
  Ring ring_ = nullptr;
  void* owner_ = nullptr;
};

}  // namespace zerio
