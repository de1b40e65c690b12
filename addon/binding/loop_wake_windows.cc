// LoopWake on Windows: an async handle that the backend's waiting thread signals.
#include "loop_wake.h"

namespace zerio {

int LoopWake::init(uv_loop_t* loop, Io& io, Serve serve, void* owner) {
  set_owner(io, serve, owner);
  // The first poll() is what arms the backend.
  missed_ = true;
  const int error = uv_async_init(loop, &handle_.async, [](uv_async_t* handle) {
    LoopWake& wake = of(handle);
    wake.missed_ = !wake.started_;
    if (wake.started_) wake.serve_(wake.owner_);
  });
  if (error == 0) io.wake_by([](void* handle) { uv_async_send(static_cast<uv_async_t*>(handle)); }, &handle_.async);
  return error;
}

void LoopWake::start() {
  started_ = true;
  if (missed_) uv_async_send(&handle_.async);
  missed_ = false;
}

void LoopWake::stop() { started_ = false; }

void LoopWake::close(uv_close_cb closed) {
  io_->wake_by(nullptr, nullptr);
  handle_.handle.data = owner_;
  uv_close(&handle_.handle, closed);
}

}  // namespace zerio
