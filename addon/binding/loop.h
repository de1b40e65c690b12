// Runs an engine inside the host's event loop with one of the wait strategies, and calls JavaScript once a batch.
#pragma once

#include <node_api.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "../engine/engine.h"
#include "loop_driver.h"
#include "spin_window.h"
#include "wakers.h"

namespace zerio {

enum class WaitStrategy : uint32_t { Blocking = 0, Spin = 1, Hybrid = 2, Manual = 3, Adaptive = 4 };

class Loop final : private Driven {
 public:
  struct Functions {
    napi_value dispatch;  // consumes a new batch of events, or a part of it
    napi_value go_on;     // consumes more of the same batch
    napi_value flush;     // hands JavaScript's dirty list to the engine
  };
  // Returns nullptr with a libuv error when the driver cannot work.
  static Loop* create(napi_env env, std::unique_ptr<Engine> engine, std::unique_ptr<LoopDriver> driver, WaitStrategy strategy,
                      uint64_t spin_ns, const Functions& functions, int& error);

  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  [[nodiscard]] Engine& engine() { return *engine_; }

  // The program's poll(), which it may call in a tight loop.
  void poll() {
    spun_ = true;
    engine_->poll(true);
  }

  void flush() {
    note_flush();
    engine_->flush();
    after_call();
  }

  void share(SharedFrames& frames) {
    note_flush();
    engine_->share(frames);
    after_call();
  }

  // After what the program may have changed the engine's deadlines with.
  void after_call() {
    if (plans_after_calls_ && engine_ != nullptr && serving()) plan();
  }

  // Active while there are servers or clients, which the loop serves then.
  void set_active(bool active);
  // Whether they keep the loop alive.
  void set_referenced(bool referenced);
  // With Manual: whether a start or a stop is under way, during which the loop works as with Blocking.
  void set_driven(bool driven);

  // From here on the events of a slot, or of a server, are delivered in the async context that is current now.
  void open_scope(bool of_server, uint32_t index);
  void close_scope(bool of_server, uint32_t index);

  // Other threads can wake this one by the number that is returned; `function` is called then. kNone when it is refused.
  uint32_t open_waker(napi_value function);
  // From now on that function is called in the async context that is current now.
  void open_waker_scope();

  // Ends the engine, its sockets and its handles. A handler that dispatch() runs may call it; afterwards nothing may be called.
  // The object deletes itself when the driver has closed.
  void close();

 private:
  // Opened by the first batch of a callback and closed with it: Node-API allocates for each scope.
  class HandleScope {
   public:
    explicit HandleScope(napi_env env) : env_(env) {}
    ~HandleScope() {
      if (scope_ != nullptr) (void)napi_close_handle_scope(env_, scope_);
    }
    HandleScope(const HandleScope&) = delete;
    HandleScope& operator=(const HandleScope&) = delete;

    bool open() { return scope_ != nullptr || napi_open_handle_scope(env_, &scope_) == napi_ok; }

   private:
    napi_env env_;
    napi_handle_scope scope_ = nullptr;
  };

  Loop(napi_env env, std::unique_ptr<Engine> engine, std::unique_ptr<LoopDriver> driver, WaitStrategy strategy, uint64_t spin_ns)
      : env_(env),
        engine_(std::move(engine)),
        driver_(std::move(driver)),
        plans_after_calls_(driver_->plans_after_calls()),
        strategy_(strategy),
        window_(window_of(strategy, spin_ns)) {}
  ~Loop() = default;

  void serve() override;
  void before_block() override;
  void flush_if_dirty() override;
  void woken() override;
  void tear_down() override;
  void on_driver_closed() override { delete this; }

  static SpinWindow window_of(WaitStrategy strategy, uint64_t spin_ns);

  // A learned window takes what handlers send for a part of their event.
  void note_flush() { flushed_ = flushed_ || !in_turn_ || !window_.learns(); }
  void apply();
  void plan();
  void plan_window();
  void serve_slice();
  bool turn(bool spinning, uint64_t now_ns, HandleScope& handles);
  void dispatch(bool is_new);
  bool report_exception();
  void release_references();
  // Makes it that of now, or nothing.
  void renew(napi_async_context& scope, std::string_view text);
  void destroy(napi_async_context& scope);
  [[nodiscard]] napi_async_context next_scope() const;
  [[nodiscard]] bool spins(uint64_t now_ns) const;
  [[nodiscard]] bool serving() const { return active_ && (strategy_ != WaitStrategy::Manual || driven_); }

  napi_env env_;
  std::unique_ptr<Engine> engine_;  // nullptr once the loop is closed
  std::unique_ptr<LoopDriver> driver_;
  bool plans_after_calls_;
  WaitStrategy strategy_;
  SpinWindow window_;
  uint64_t alarm_ns_ = SpinWindow::kNever;
  uint64_t looked_ns_ = 0;  // when the engine had nothing to report last, while the loop spun
  bool spun_ = false;       // the engine's last poll was a spinning one, so its wait handle does not show everything
  bool flushed_ = false;
  bool active_ = false;
  bool driven_ = false;
  bool in_turn_ = false;
  napi_ref dispatch_ = nullptr;
  napi_ref go_on_ = nullptr;
  napi_ref flush_ = nullptr;
  napi_ref wake_ = nullptr;
  napi_ref resource_ = nullptr;
  napi_async_context context_ = nullptr;  // of events that belong to no connection and no server
  napi_async_context wake_scope_ = nullptr;
  uint32_t waker_ = wakers::kNone;
  std::vector<napi_async_context> slot_scopes_;
  std::vector<napi_async_context> server_scopes_;
};

}  // namespace zerio
