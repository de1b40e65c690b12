// The wait strategies: which libuv handles run, and what they do.
//
//   Blocking  poll handle: the loop sleeps until the engine's wait handle is readable
//   Spin      idle handle: the loop never sleeps
//   Hybrid    poll handle, and the idle handle until `spin_ns` after the last event
//   Manual    nothing, but as Blocking while a start or a stop is under way
//
// The prepare and check handles send what JavaScript wrote outside of the engine's own callbacks.
#include "loop.h"

#include "../io/clock.h"

namespace zerio {
namespace {

// How often one idle callback asks the engine before it lets the rest of the loop run: about 10 microseconds of empty polls.
constexpr uint32_t kPollsPerIdle = 32;
constexpr uint64_t kTimerMs = 10;

}  // namespace

Loop* Loop::create(napi_env env, std::unique_ptr<Engine> engine, WaitStrategy strategy, uint64_t spin_ns, napi_value dispatch,
                   napi_value flush, int& error) {
  uv_loop_t* uv = nullptr;
  napi_value resource = nullptr;
  napi_value name = nullptr;
  auto* const loop = new Loop(env, std::move(engine), strategy, spin_ns);
  const bool made = napi_get_uv_event_loop(env, &uv) == napi_ok && napi_create_object(env, &resource) == napi_ok &&
                    napi_create_string_utf8(env, "zerio", NAPI_AUTO_LENGTH, &name) == napi_ok &&
                    napi_async_init(env, resource, name, &loop->context_) == napi_ok &&
                    napi_create_reference(env, resource, 1, &loop->resource_) == napi_ok &&
                    napi_create_reference(env, dispatch, 1, &loop->dispatch_) == napi_ok &&
                    napi_create_reference(env, flush, 1, &loop->flush_) == napi_ok;
  error = made ? uv_poll_init(uv, &loop->poll_, loop->engine_->io().wait_handle()) : UV_ENOMEM;
  if (error != 0) {
    delete loop;
    return nullptr;
  }
  // These four cannot fail (docs.libuv.org).
  uv_idle_init(uv, &loop->idle_);
  uv_prepare_init(uv, &loop->prepare_);
  uv_check_init(uv, &loop->check_);
  uv_timer_init(uv, &loop->timer_);
  loop->open_handles_ = 5;
  loop->poll_.data = loop->idle_.data = loop->prepare_.data = loop->check_.data = loop->timer_.data = loop;
  napi_add_async_cleanup_hook(
      env, [](napi_async_cleanup_hook_handle, void* self) { static_cast<Loop*>(self)->tear_down(); }, loop, &loop->cleanup_);
  return loop;
}

void Loop::tear_down() {
  torn_down_ = true;
  active_ = false;
  const auto closed = [](uv_handle_t* handle) {
    Loop& loop = of(handle);
    if (--loop.open_handles_ > 0) return;
    const napi_async_cleanup_hook_handle cleanup = loop.cleanup_;
    delete &loop;
    napi_remove_async_cleanup_hook(cleanup);
  };
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&idle_), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&prepare_), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&check_), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), closed);
  // The sockets go at once, because the pools that they write to go with the isolate.
  engine_.reset();
}

void Loop::set_active(bool active) {
  active_ = active;
  apply();
}

void Loop::set_driven(bool driven) {
  driven_ = driven;
  apply();
}

void Loop::apply() {
  if (torn_down_) return;
  if (!serving()) {
    uv_poll_stop(&poll_);
    uv_prepare_stop(&prepare_);
    uv_check_stop(&check_);
    uv_timer_stop(&timer_);
    timer_running_ = false;
    stop_idle();
    return;
  }
  uv_prepare_start(&prepare_, [](uv_prepare_t* handle) { of(handle).before_block(); });
  uv_check_start(&check_, [](uv_check_t* handle) { of(handle).flush_if_dirty(); });
  uv_unref(reinterpret_cast<uv_handle_t*>(&prepare_));
  uv_unref(reinterpret_cast<uv_handle_t*>(&check_));
  uv_unref(reinterpret_cast<uv_handle_t*>(&timer_));
  if (strategy_ == WaitStrategy::Spin) {
    start_idle();
  } else {
    uv_poll_start(&poll_, UV_READABLE, [](uv_poll_t* handle, int, int) {
      Loop& loop = of(handle);
      if (loop.turn(false) && loop.strategy_ == WaitStrategy::Hybrid && loop.serving()) loop.start_idle();
    });
  }
}

void Loop::start_idle() {
  if (idle_running_) return;
  idle_running_ = true;
  uv_idle_start(&idle_, [](uv_idle_t* handle) { of(handle).on_idle(); });
}

void Loop::stop_idle() {
  if (!idle_running_) return;
  idle_running_ = false;
  uv_idle_stop(&idle_);
}

void Loop::on_idle() {
  const bool spins = strategy_ == WaitStrategy::Spin || strategy_ == WaitStrategy::Hybrid;
  for (uint32_t i = 0; i < (spins ? kPollsPerIdle : 1); ++i) {
    if (turn(spins)) return;
    if (torn_down_ || !idle_running_) return;
  }
  if (strategy_ == WaitStrategy::Spin || engine_->wants_poll()) return;
  if (strategy_ == WaitStrategy::Hybrid && monotonic_ns() - last_event_ns_ < spin_ns_) return;
  stop_idle();
}

void Loop::before_block() {
  flush_if_dirty();
  if (torn_down_ || !serving()) return;
  keep_timer();
  if (engine_->wants_poll()) start_idle();
}

void Loop::flush_if_dirty() {
  if (torn_down_ || engine_->dirty_count() == 0) return;
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env_, &scope) != napi_ok) return;
  call(flush_);
  napi_close_handle_scope(env_, scope);
  // An answer may come soon.
  if (strategy_ != WaitStrategy::Hybrid || torn_down_ || !serving()) return;
  last_event_ns_ = monotonic_ns();
  start_idle();
}

void Loop::keep_timer() {
  const bool wanted = engine_->has_timers() && strategy_ != WaitStrategy::Spin;
  if (wanted == timer_running_) return;
  timer_running_ = wanted;
  if (!wanted) {
    uv_timer_stop(&timer_);
    return;
  }
  uv_timer_start(
      &timer_, [](uv_timer_t* handle) { of(handle).turn(false); }, kTimerMs, kTimerMs);
}

bool Loop::turn(bool spinning) {
  if (torn_down_ || in_turn_ || engine_->poll(spinning) == 0) return false;
  in_turn_ = true;
  if (strategy_ == WaitStrategy::Hybrid) last_event_ns_ = monotonic_ns();
  dispatch();
  in_turn_ = false;
  return true;
}

void Loop::dispatch() {
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env_, &scope) != napi_ok) return;
  // A handler that throws ends one call; the next call goes on behind it.
  while (!call(dispatch_)) {
    napi_value error = nullptr;
    bool pending = false;
    const bool thrown = napi_is_exception_pending(env_, &pending) == napi_ok && pending &&
                        napi_get_and_clear_last_exception(env_, &error) == napi_ok &&
                        napi_fatal_exception(env_, error) == napi_ok;
    // Otherwise JavaScript is being terminated.
    if (!thrown || torn_down_) break;
  }
  run_ticks_and_microtasks();
  napi_close_handle_scope(env_, scope);
}

bool Loop::call(napi_ref function) {
  napi_value callee = nullptr;
  napi_value receiver = nullptr;
  return napi_get_reference_value(env_, function, &callee) == napi_ok && napi_get_undefined(env_, &receiver) == napi_ok &&
         napi_call_function(env_, receiver, callee, 0, nullptr, nullptr) == napi_ok;
}

// An empty callback scope costs half a microsecond. It comes after the batch's answers are sent, where nobody waits for it.
void Loop::run_ticks_and_microtasks() {
  napi_value resource = nullptr;
  napi_callback_scope scope = nullptr;
  if (torn_down_ || napi_get_reference_value(env_, resource_, &resource) != napi_ok ||
      napi_open_callback_scope(env_, resource, context_, &scope) != napi_ok) {
    return;
  }
  napi_close_callback_scope(env_, scope);
}

}  // namespace zerio
