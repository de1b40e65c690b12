// The handle that wakes a sleeping libuv loop when the engine has something to report.
#pragma once

#include <uv.h>

#include "../io/io.h"

namespace zerio {

class LoopWake {
 public:
  using Serve = void (*)(void* owner);

  // 0 or a libuv error. `serve(owner)` is called on the loop's thread, between start() and stop().
  int init(uv_loop_t* loop, Io& io, Serve serve, void* owner);
  void start();
  void stop();
  // `closed` finds the owner in the handle's data.
  void close(uv_close_cb closed);
  [[nodiscard]] uv_handle_t* handle() { return &handle_.handle; }

 private:
  void set_owner(Io& io, Serve serve, void* owner) {
    io_ = &io;
    serve_ = serve;
    owner_ = owner;
    handle_.handle.data = this;
  }
  static LoopWake& of(const void* handle) { return *static_cast<LoopWake*>(static_cast<const uv_handle_t*>(handle)->data); }

  uv_any_handle handle_ = {};
  Io* io_ = nullptr;
  Serve serve_ = nullptr;
  void* owner_ = nullptr;
  bool started_ = false;
  bool missed_ = false;
};

}  // namespace zerio
