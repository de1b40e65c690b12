// What calls an engine's loop: libuv's handles, or a thread that waits where the host has no libuv (loop_portable.h).
#pragma once

#include <node_api.h>

#include <cstdint>
#include <memory>

#include "../io/io.h"

namespace zerio {

// The loop, as its driver sees it. Everything is called on the loop's thread.
class Driven {
 public:
  // The engine has something to report, a deadline is due, or the loop asked for it with start_idle().
  virtual void serve() = 0;
  // The thread is about to sleep.
  virtual void before_block() = 0;
  // After what may have sent something.
  virtual void flush_if_dirty() = 0;
  // wake() was called, once for all calls since the last time.
  virtual void woken() = 0;
  // The environment ends.
  virtual void tear_down() = 0;
  // After close(): the driver is called no more. The loop may delete itself and the driver with it.
  virtual void on_driver_closed() = 0;

 protected:
  ~Driven() = default;
};

class LoopDriver {
 public:
  virtual ~LoopDriver() = default;

  // 0, or a negative number as libuv has them. `io` lives longer than the driver works.
  virtual int init(napi_env env, Io& io, Driven& loop) = 0;
  // Begins to call the loop, also when the engine has something to report if `wakes`. May be called again.
  virtual void start(bool wakes) = 0;
  virtual void stop() = 0;
  // serve() is called once soon, as often as the host's event loop turns until stop_idle().
  virtual void start_idle() = 0;
  virtual void stop_idle() = 0;
  // serve() is called at this time; Engine::kNothingDue for never.
  virtual void set_due(uint64_t due_ns) = 0;
  // serve() is called at this exact time; Engine::kNothingDue for never. Returns false where the host cannot.
  virtual bool set_alarm(uint64_t due_ns) = 0;
  // Whether the program has scheduled something for this turn of the event loop.
  virtual bool others_wait() = 0;
  // Whether the loop keeps the process alive while it is started.
  virtual void set_referenced(bool referenced) = 0;
  // Whether before_block() is called only after serve(), so that the loop must plan anew when the program has changed something.
  [[nodiscard]] virtual bool plans_after_calls() const = 0;
  // Before the first wake(). 0, or a negative number as libuv has them. May be called again.
  virtual int open_waker() = 0;
  // On any thread: woken() is called soon.
  virtual void wake() = 0;
  // Once, instead of deleting it.
  virtual void close() = 0;
};

std::unique_ptr<LoopDriver> make_uv_driver();
// nullptr where there is none.
std::unique_ptr<LoopDriver> make_portable_driver();

}  // namespace zerio
