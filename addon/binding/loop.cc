// The wait strategies: which libuv handles run, and what they do.
//
//   Blocking  wake handle: the loop sleeps until the engine has something to report
//   Spin      idle handle: the loop never sleeps
//   Hybrid    wake handle, and the idle handle until `spin_ns` after the last event
//   Manual    nothing, but as Blocking while a start or a stop is under way
//
// Once awake, the engine is served without a return to libuv for as long as libuv has nothing else to do, because Node makes an
// object in each iteration of its loop (56 bytes in Node 20, Environment::RunAndClearNativeImmediates): with one iteration for
// each message that is a collection every ten thousand messages.
//
// The prepare and check handles send what JavaScript wrote outside of the engine's own callbacks.
#include "loop.h"

#include <algorithm>

#include "../io/clock.h"

namespace zerio {
namespace {

constexpr uint64_t kTimerMs = 10;
// How long the engine is served before libuv's turn comes in any case: a bound for what others_wait() cannot see, which is an
// unreferenced handle that a handler started.
constexpr uint64_t kServeNs = 20 * kMillisecondNs;
// How often libuv's descriptors are looked at while the thread spins or messages keep coming.
constexpr uint64_t kLookNs = 50'000;
// Opening a handle scope is a malloc, so many turns share one. Each leaves two handles in it, and V8 needs a second block for
// more than a thousand.
constexpr uint32_t kTurnsPerScope = 480;

}  // namespace

Loop* Loop::create(napi_env env, std::unique_ptr<Engine> engine, WaitStrategy strategy, uint64_t spin_ns, napi_value dispatch,
                   napi_value flush, int& error) {
  napi_value resource = nullptr;
  napi_value name = nullptr;
  napi_value nothing = nullptr;
  auto* const loop = new Loop(env, std::move(engine), strategy, spin_ns);
  const auto do_nothing = [](napi_env, napi_callback_info) -> napi_value { return nullptr; };
  const bool made = napi_get_uv_event_loop(env, &loop->uv_) == napi_ok && napi_create_object(env, &resource) == napi_ok &&
                    napi_create_string_utf8(env, "zerio", NAPI_AUTO_LENGTH, &name) == napi_ok &&
                    napi_async_init(env, resource, name, &loop->context_) == napi_ok &&
                    napi_create_function(env, "nothing", NAPI_AUTO_LENGTH, do_nothing, nullptr, &nothing) == napi_ok &&
                    napi_create_reference(env, resource, 1, &loop->resource_) == napi_ok &&
                    napi_create_reference(env, nothing, 1, &loop->nothing_) == napi_ok &&
                    napi_create_reference(env, dispatch, 1, &loop->dispatch_) == napi_ok &&
                    napi_create_reference(env, flush, 1, &loop->flush_) == napi_ok;
  const auto serve = [](void* self) { static_cast<Loop*>(self)->serve(); };
  error = made ? loop->wake_.init(loop->uv_, loop->engine_->io(), serve, loop) : UV_ENOMEM;
  if (error != 0) {
    delete loop;
    return nullptr;
  }
  // These four cannot fail (docs.libuv.org).
  uv_idle_init(loop->uv_, &loop->idle_);
  uv_prepare_init(loop->uv_, &loop->prepare_);
  uv_check_init(loop->uv_, &loop->check_);
  uv_timer_init(loop->uv_, &loop->timer_);
  loop->open_handles_ = 5;
  loop->idle_.data = loop->prepare_.data = loop->check_.data = loop->timer_.data = loop;
  // Only the check handle keeps the loop alive, so that the others do not show in the loop's count of active handles.
  uv_unref(loop->wake_.handle());
  uv_unref(reinterpret_cast<uv_handle_t*>(&loop->idle_));
  uv_unref(reinterpret_cast<uv_handle_t*>(&loop->prepare_));
  uv_unref(reinterpret_cast<uv_handle_t*>(&loop->timer_));
  loop->wait_ = LoopWait::create(loop->uv_, loop->engine_->io().wait_handle());
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
  wake_.close(closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&idle_), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&prepare_), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&check_), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), closed);
  wait_.reset();
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
    wake_.stop();
    uv_prepare_stop(&prepare_);
    uv_check_stop(&check_);
    uv_timer_stop(&timer_);
    timer_running_ = false;
    stop_idle();
    return;
  }
  uv_prepare_start(&prepare_, [](uv_prepare_t* handle) { of(handle).before_block(); });
  uv_check_start(&check_, [](uv_check_t* handle) { of(handle).flush_if_dirty(); });
  if (strategy_ == WaitStrategy::Spin || spun_) start_idle();
  if (strategy_ != WaitStrategy::Spin) wake_.start();
}

void Loop::start_idle() {
  if (idle_running_) return;
  idle_running_ = true;
  uv_idle_start(&idle_, [](uv_idle_t* handle) { of(handle).serve(); });
}

void Loop::stop_idle() {
  if (!idle_running_) return;
  idle_running_ = false;
  uv_idle_stop(&idle_);
}

// Whether libuv has something to do that its descriptors do not show: timers, closing handles, immediates, and handles and
// requests that JavaScript has started since libuv looked at its list last.
bool Loop::others_wait() {
  uv_update_time(uv_);
  return uv_->active_handles != settled_handles_ || uv_->active_reqs.count != settled_requests_ || uv_backend_timeout(uv_) == 0;
}

bool Loop::spins(uint64_t now_ns) const {
  return strategy_ == WaitStrategy::Spin || (strategy_ == WaitStrategy::Hybrid && now_ns - last_event_ns_ < spin_ns_);
}

// From the wake or the idle callback: serves the engine for as long as nobody else wants the thread.
void Loop::serve() {
  wake_.stop();
  stop_idle();
  serve_on(monotonic_ns() + kServeNs);
  if (torn_down_ || !serving()) return;
  if (strategy_ != WaitStrategy::Spin) wake_.start();
  if (engine_->wants_poll() || spun_ || spins(monotonic_ns())) start_idle();
}

void Loop::serve_on(uint64_t until_ns) {
  uint64_t looked_ns = 0;
  for (;;) {
    napi_handle_scope scope = nullptr;
    if (napi_open_handle_scope(env_, &scope) != napi_ok) return;
    bool goes_on = true;
    for (uint32_t turns = 0; goes_on && turns < kTurnsPerScope;) {
      uint64_t now_ns = monotonic_ns();
      const bool spinning = spins(now_ns);
      const bool busy = turn(spinning);
      if (busy) {
        ++turns;
        flush_if_dirty();
      }
      if (torn_down_ || !serving() || wait_ == nullptr) {
        goes_on = false;
      } else if (busy || !spinning || now_ns - looked_ns > kLookNs) {
        now_ns = monotonic_ns();
        const bool blocks = !spun_ && !spins(now_ns) && !engine_->wants_poll();
        goes_on = now_ns < until_ns && !others_wait();
        if (goes_on && (blocks || now_ns - looked_ns > kLookNs)) {
          looked_ns = now_ns;
          int timeout_ms = 0;
          if (blocks) {
            const auto left_ms = static_cast<int>((until_ns - now_ns) / kMillisecondNs) + 1;
            const int loop_ms = uv_backend_timeout(uv_);
            timeout_ms = loop_ms < 0 ? left_ms : std::min(loop_ms, left_ms);
            if (engine_->has_timers()) timeout_ms = std::min(timeout_ms, static_cast<int>(kTimerMs));
          }
          goes_on = !wait_->wait(timeout_ms).others;
        }
      }
    }
    napi_close_handle_scope(env_, scope);
    if (!goes_on) return;
  }
}

void Loop::before_block() {
  flush_if_dirty();
  if (torn_down_ || !serving()) return;
  keep_timer();
  if (engine_->wants_poll() || spun_) start_idle();
  // Now libuv goes through its list of new handles.
  settled_handles_ = uv_->active_handles;
  settled_requests_ = uv_->active_reqs.count;
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
      &timer_, [](uv_timer_t* handle) { of(handle).serve(); }, kTimerMs, kTimerMs);
}

bool Loop::turn(bool spinning) {
  if (torn_down_ || in_turn_) return false;
  spun_ = spinning;
  if (engine_->poll(spinning) == 0) return false;
  in_turn_ = true;
  if (strategy_ == WaitStrategy::Hybrid) last_event_ns_ = monotonic_ns();
  dispatch();
  in_turn_ = false;
  return true;
}

void Loop::dispatch() {
  // A handler that throws ends one call; the next call goes on behind it.
  while (!call(dispatch_)) {
    napi_value error = nullptr;
    bool pending = false;
    const bool thrown = napi_is_exception_pending(env_, &pending) == napi_ok && pending &&
                        napi_get_and_clear_last_exception(env_, &error) == napi_ok &&
                        napi_fatal_exception(env_, error) == napi_ok;
    // Otherwise JavaScript is being terminated.
    if (!thrown || torn_down_) return;
  }
  // Ticks and microtasks run when a callback ends; one that does nothing costs half a microsecond. It comes after the batch's
  // answers are sent, where nobody waits for it. (A callback scope would do the same with two calls of malloc.)
  napi_value receiver = nullptr;
  napi_value nothing = nullptr;
  if (torn_down_ || napi_get_reference_value(env_, resource_, &receiver) != napi_ok ||
      napi_get_reference_value(env_, nothing_, &nothing) != napi_ok) {
    return;
  }
  napi_make_callback(env_, context_, receiver, nothing, 0, nullptr, nullptr);
}

bool Loop::call(napi_ref function) {
  napi_value callee = nullptr;
  napi_value receiver = nullptr;
  return napi_get_reference_value(env_, function, &callee) == napi_ok && napi_get_undefined(env_, &receiver) == napi_ok &&
         napi_call_function(env_, receiver, callee, 0, nullptr, nullptr) == napi_ok;
}

}  // namespace zerio
