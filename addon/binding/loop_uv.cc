// LoopDriver with libuv's handles, in Node.js:
//
//   wake handle     while started: the loop sleeps until the engine has something to report
//   idle handle     while idle: the loop never sleeps
//   prepare, check  while started: what code without ticks has sent leaves before the loop sleeps
//   timer           the next deadline
//   alarm           an exact time, once there is one
//   async handle    other threads, once there is a waker for them
//
// The wake handle stays started for as long as the engine is active, because the kernel walks every socket in the engine's epoll
// set when libuv removes and adds that set.
#include <uv.h>

#include "../engine/engine.h"
#include "loop_alarm.h"
#include "loop_driver.h"
#include "loop_wake.h"

namespace zerio {
namespace {

class UvDriver final : public LoopDriver {
 public:
  int init(napi_env env, Io& io, Driven& loop) override {
    loop_ = &loop;
    if (napi_get_uv_event_loop(env, &uv_) != napi_ok) return UV_ENOMEM;
    const auto serve = [](void* self) { static_cast<UvDriver*>(self)->loop_->serve(); };
    const int error = wake_.init(uv_, io, serve, this);
    if (error != 0) return error;
    // These four cannot fail (docs.libuv.org).
    uv_idle_init(uv_, &idle_);
    uv_prepare_init(uv_, &prepare_);
    uv_check_init(uv_, &check_);
    uv_timer_init(uv_, &timer_);
    idle_.data = prepare_.data = check_.data = timer_.data = this;
    // Only the check handle keeps the loop alive, and only while the engine is referenced.
    uv_unref(wake_.handle());
    uv_unref(reinterpret_cast<uv_handle_t*>(&idle_));
    uv_unref(reinterpret_cast<uv_handle_t*>(&prepare_));
    uv_unref(reinterpret_cast<uv_handle_t*>(&check_));
    uv_unref(reinterpret_cast<uv_handle_t*>(&timer_));
    napi_add_async_cleanup_hook(
        env, [](napi_async_cleanup_hook_handle, void* self) { static_cast<UvDriver*>(self)->loop_->tear_down(); }, this,
        &cleanup_);
    return 0;
  }

  void start(bool wakes) override {
    uv_prepare_start(&prepare_, [](uv_prepare_t* handle) { of(handle).loop_->before_block(); });
    uv_check_start(&check_, [](uv_check_t* handle) { of(handle).loop_->flush_if_dirty(); });
    if (wakes) wake_.start();
  }

  void stop() override {
    wake_.stop();
    uv_prepare_stop(&prepare_);
    uv_check_stop(&check_);
    set_due(Engine::kNothingDue);
    if (alarm_ == Alarm::Works) alarm_clock_.set(LoopAlarm::kNever);
    stop_idle();
  }

  void start_idle() override {
    if (idle_running_) return;
    idle_running_ = true;
    uv_idle_start(&idle_, [](uv_idle_t* handle) { of(handle).loop_->serve(); });
  }

  void stop_idle() override {
    if (!idle_running_) return;
    idle_running_ = false;
    uv_idle_stop(&idle_);
  }

  void set_due(uint64_t due_ns) override {
    if (due_ns == timer_due_ns_) return;
    timer_due_ns_ = due_ns;
    if (due_ns == Engine::kNothingDue) {
      uv_timer_stop(&timer_);
      return;
    }
    const auto on_timer = [](uv_timer_t* handle) {
      of(handle).timer_due_ns_ = Engine::kNothingDue;
      of(handle).loop_->serve();
    };
    // libuv's time is that of the same clock in whole milliseconds, as it was when this iteration of the loop began.
    const uint64_t now_ms = uv_now(uv_);
    const uint64_t due_ms = (due_ns + kMillisecondNs - 1) / kMillisecondNs;
    uv_timer_start(&timer_, on_timer, due_ms > now_ms ? due_ms - now_ms : 0, 0);
  }

  bool set_alarm(uint64_t due_ns) override {
    if (alarm_ == Alarm::Untried) {
      const auto serve = [](void* self) { static_cast<UvDriver*>(self)->loop_->serve(); };
      alarm_ = alarm_clock_.init(uv_, serve, this) ? Alarm::Works : Alarm::Fails;
      if (alarm_ == Alarm::Works) ++open_handles_;
    }
    if (alarm_ == Alarm::Works) alarm_clock_.set(due_ns);
    return alarm_ == Alarm::Works;
  }

  // An immediate, a due timer, a closing handle. The idle handle is stopped meanwhile, because it would count each time.
  bool others_wait() override {
    uv_update_time(uv_);
    return uv_backend_timeout(uv_) == 0;
  }

  void set_referenced(bool referenced) override {
    auto* const handle = reinterpret_cast<uv_handle_t*>(&check_);
    if (referenced) {
      uv_ref(handle);
    } else {
      uv_unref(handle);
    }
  }

  [[nodiscard]] bool plans_after_calls() const override { return false; }

  int open_waker() override {
    if (has_waker_) return 0;
    const int error = uv_async_init(uv_, &async_, [](uv_async_t* handle) { of(handle).loop_->woken(); });
    if (error != 0) return error;
    has_waker_ = true;
    ++open_handles_;
    async_.data = this;
    uv_unref(reinterpret_cast<uv_handle_t*>(&async_));
    return 0;
  }

  void wake() override { uv_async_send(&async_); }

  void close() override {
    const auto closed = [](uv_handle_t* handle) {
      UvDriver& driver = of(handle);
      if (--driver.open_handles_ > 0) return;
      const napi_async_cleanup_hook_handle cleanup = driver.cleanup_;
      driver.loop_->on_driver_closed();
      napi_remove_async_cleanup_hook(cleanup);
    };
    wake_.close(closed);
    if (alarm_ == Alarm::Works) alarm_clock_.close(closed);
    if (has_waker_) uv_close(reinterpret_cast<uv_handle_t*>(&async_), closed);
    uv_close(reinterpret_cast<uv_handle_t*>(&idle_), closed);
    uv_close(reinterpret_cast<uv_handle_t*>(&prepare_), closed);
    uv_close(reinterpret_cast<uv_handle_t*>(&check_), closed);
    uv_close(reinterpret_cast<uv_handle_t*>(&timer_), closed);
  }

 private:
  static constexpr uint32_t kHandles = 5;
  enum class Alarm : uint8_t { Untried, Works, Fails };

  static UvDriver& of(const void* handle) { return *static_cast<UvDriver*>(static_cast<const uv_handle_t*>(handle)->data); }

  Driven* loop_ = nullptr;
  uv_loop_t* uv_ = nullptr;
  napi_async_cleanup_hook_handle cleanup_ = nullptr;
  uint64_t timer_due_ns_ = Engine::kNothingDue;
  uint32_t open_handles_ = kHandles;
  bool idle_running_ = false;
  bool has_waker_ = false;
  Alarm alarm_ = Alarm::Untried;
  LoopWake wake_;
  LoopAlarm alarm_clock_;
  uv_idle_t idle_ = {};
  uv_prepare_t prepare_ = {};
  uv_check_t check_ = {};
  uv_timer_t timer_ = {};
  uv_async_t async_ = {};
};

}  // namespace

std::unique_ptr<LoopDriver> make_uv_driver() { return std::make_unique<UvDriver>(); }

}  // namespace zerio
