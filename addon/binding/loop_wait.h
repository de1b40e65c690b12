// Waits for the engine and for everything else of a libuv loop at once, from inside a callback of that loop.
#pragma once

#include <uv.h>

#include <memory>

namespace zerio {

class LoopWait {
 public:
  struct Ready {
    bool engine = false;
    bool others = false;
  };

  virtual ~LoopWait() = default;

  // Until the engine's wait handle is ready, or something that libuv watches is, or the time is over. 0 only looks.
  virtual Ready wait(int timeout_ms) = 0;

  // nullptr where the system cannot do it: then each batch returns to libuv.
  static std::unique_ptr<LoopWait> create(uv_loop_t* loop, int engine_handle);
};

}  // namespace zerio
