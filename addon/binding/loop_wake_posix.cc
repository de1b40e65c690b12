// LoopWake on POSIX systems: a poll handle on the engine's wait handle.
#include "loop_wake.h"

namespace zerio {

int LoopWake::init(uv_loop_t* loop, Io& io, Serve serve, void* owner) {
  set_owner(io, serve, owner);
  return uv_poll_init(loop, &handle_.poll, io.wait_handle());
}

void LoopWake::start() {
  uv_poll_start(&handle_.poll, UV_READABLE, [](uv_poll_t* handle, int, int) { of(handle).serve_(of(handle).owner_); });
}

void LoopWake::stop() { uv_poll_stop(&handle_.poll); }

void LoopWake::close(uv_close_cb closed) {
  handle_.handle.data = owner_;
  uv_close(&handle_.handle, closed);
}

}  // namespace zerio
