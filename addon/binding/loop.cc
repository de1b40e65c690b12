// The engine in the libuv loop: which handles run with which wait strategy, and what they do.
//
//   Blocking  wake handle: the loop sleeps until the engine has something to report
//   Spin      idle handle: the loop never sleeps
//   Hybrid    wake handle, and the idle handle until `spin_ns` after the last event
//   Manual    nothing, but as Blocking while a start or a stop is under way
//
// Each callback does one bounded piece of work and returns. No callback waits, so timers, immediates and descriptors of the
// program get their turn, and what libuv measures (idle time, loop delay) is right. The wake handle stays started for as long as
// the engine is active, because the kernel walks every socket in the engine's epoll set when libuv removes and adds that set.
//
// JavaScript sends what was written outside of handlers at the next tick (src/engine/sending.ts). The prepare and check handles
// send what code without ticks has written, so that nothing stays unsent while the loop sleeps.
#include "loop.h"

#include <string_view>

#include "../engine/layout.h"
#include "../io/clock.h"

namespace zerio {
namespace {

// How long one callback may serve the engine, and so how long the program's timers and descriptors may wait for it. The loop's
// own iteration costs 1 to 2 microseconds, which is 2 % of this.
constexpr uint64_t kSliceNs = 100'000;
constexpr uint32_t kHandles = 5;

}  // namespace

Loop* Loop::create(napi_env env, std::unique_ptr<Engine> engine, WaitStrategy strategy, uint64_t spin_ns,
                   const Functions& functions, int& error) {
  napi_value resource = nullptr;
  napi_value name = nullptr;
  auto* const loop = new Loop(env, std::move(engine), strategy, spin_ns);
  const bool made = napi_get_uv_event_loop(env, &loop->uv_) == napi_ok && napi_create_object(env, &resource) == napi_ok &&
                    napi_create_string_utf8(env, "zerio", NAPI_AUTO_LENGTH, &name) == napi_ok &&
                    napi_async_init(env, resource, name, &loop->context_) == napi_ok &&
                    napi_create_reference(env, resource, 1, &loop->resource_) == napi_ok &&
                    napi_create_reference(env, functions.dispatch, 1, &loop->dispatch_) == napi_ok &&
                    napi_create_reference(env, functions.go_on, 1, &loop->go_on_) == napi_ok &&
                    napi_create_reference(env, functions.flush, 1, &loop->flush_) == napi_ok;
  const auto serve = [](void* self) { static_cast<Loop*>(self)->serve(); };
  error = made ? loop->wake_.init(loop->uv_, loop->engine_->io(), serve, loop) : UV_ENOMEM;
  if (error != 0) {
    loop->release_references();
    delete loop;
    return nullptr;
  }
  // These four cannot fail (docs.libuv.org).
  uv_idle_init(loop->uv_, &loop->idle_);
  uv_prepare_init(loop->uv_, &loop->prepare_);
  uv_check_init(loop->uv_, &loop->check_);
  uv_timer_init(loop->uv_, &loop->timer_);
  loop->open_handles_ = kHandles;
  loop->idle_.data = loop->prepare_.data = loop->check_.data = loop->timer_.data = loop;
  // Only the check handle keeps the loop alive, and only while the engine is referenced.
  uv_unref(loop->wake_.handle());
  uv_unref(reinterpret_cast<uv_handle_t*>(&loop->idle_));
  uv_unref(reinterpret_cast<uv_handle_t*>(&loop->prepare_));
  uv_unref(reinterpret_cast<uv_handle_t*>(&loop->check_));
  uv_unref(reinterpret_cast<uv_handle_t*>(&loop->timer_));
  napi_add_async_cleanup_hook(
      env, [](napi_async_cleanup_hook_handle, void* self) { static_cast<Loop*>(self)->tear_down(); }, loop, &loop->cleanup_);
  return loop;
}

void Loop::close() {
  if (engine_ == nullptr) return;
  tear_down();
  release_references();
}

void Loop::release_references() {
  for (napi_ref* const reference : {&resource_, &dispatch_, &go_on_, &flush_}) {
    if (*reference != nullptr) napi_delete_reference(env_, *reference);
    *reference = nullptr;
  }
  if (context_ != nullptr) napi_async_destroy(env_, context_);
  context_ = nullptr;
  for (auto* const scopes : {&slot_scopes_, &server_scopes_}) {
    for (napi_async_context scope : *scopes) {
      if (scope != nullptr) napi_async_destroy(env_, scope);
    }
    scopes->clear();
  }
}

void Loop::open_scope(bool of_server, uint32_t index) {
  close_scope(of_server, index);
  std::vector<napi_async_context>& scopes = of_server ? server_scopes_ : slot_scopes_;
  napi_value name = nullptr;
  const std::string_view text = of_server ? "ZerioServer" : "ZerioConnection";
  if (index >= (of_server ? layout::kServersMax : layout::kSlotsMax)) return;
  if (index >= scopes.size()) scopes.resize(index + size_t{1});
  if (napi_create_string_utf8(env_, text.data(), text.size(), &name) != napi_ok) return;
  (void)napi_async_init(env_, nullptr, name, &scopes[index]);
}

void Loop::close_scope(bool of_server, uint32_t index) {
  std::vector<napi_async_context>& scopes = of_server ? server_scopes_ : slot_scopes_;
  if (index >= scopes.size() || scopes[index] == nullptr) return;
  (void)napi_async_destroy(env_, scopes[index]);
  scopes[index] = nullptr;
}

napi_async_context Loop::next_scope() const {
  const Engine::EventOwner owner = engine_->next_event_owner();
  const std::vector<napi_async_context>& scopes = owner.is_server ? server_scopes_ : slot_scopes_;
  const napi_async_context scope = owner.index < scopes.size() ? scopes[owner.index] : nullptr;
  return scope == nullptr ? context_ : scope;
}

void Loop::tear_down() {
  // The thread may end while libuv still closes the handles.
  if (engine_ == nullptr) return;
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
  // The sockets are closed at once, because the memory that they write to may be freed next.
  engine_.reset();
}

void Loop::set_active(bool active) {
  active_ = active;
  apply();
}

void Loop::set_referenced(bool referenced) {
  if (engine_ == nullptr) return;
  auto* const handle = reinterpret_cast<uv_handle_t*>(&check_);
  if (referenced) {
    uv_ref(handle);
  } else {
    uv_unref(handle);
  }
}

void Loop::set_driven(bool driven) {
  driven_ = driven;
  apply();
}

void Loop::apply() {
  if (engine_ == nullptr) return;
  if (!serving()) {
    wake_.stop();
    uv_prepare_stop(&prepare_);
    uv_check_stop(&check_);
    uv_timer_stop(&timer_);
    timer_due_ns_ = Engine::kNothingDue;
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

// Whether the program has scheduled something for this iteration of the loop: an immediate, a due timer, a closing handle. The
// engine's idle handle is stopped meanwhile, because it would count each time.
bool Loop::others_wait() {
  uv_update_time(uv_);
  return uv_backend_timeout(uv_) == 0;
}

bool Loop::spins(uint64_t now_ns) const {
  return strategy_ == WaitStrategy::Spin || (strategy_ == WaitStrategy::Hybrid && now_ns - last_event_ns_ < spin_ns_);
}

// From the wake, timer or idle callback.
void Loop::serve() {
  stop_idle();
  serve_slice();
  if (engine_ == nullptr || !serving()) return;
  if (engine_->wants_poll() || spun_ || spins(monotonic_ns())) start_idle();
}

void Loop::serve_slice() {
  HandleScope handles(env_);
  uint64_t now_ns = monotonic_ns();
  const uint64_t until_ns = now_ns + kSliceNs;
  for (;;) {
    const bool spinning = spins(now_ns);
    const bool busy = turn(spinning, handles);
    if (engine_ == nullptr || !serving()) return;
    if (!spinning && !(busy && engine_->wants_poll())) return;
    now_ns = monotonic_ns();
    if (now_ns >= until_ns || (busy && others_wait())) return;
  }
}

void Loop::before_block() {
  flush_if_dirty();
  if (engine_ == nullptr || !serving()) return;
  if (flushed_ && strategy_ == WaitStrategy::Hybrid) {
    // An answer may arrive soon.
    last_event_ns_ = monotonic_ns();
    start_idle();
  }
  flushed_ = false;
  if (engine_->wants_poll() || spun_) start_idle();
  if (strategy_ != WaitStrategy::Spin) set_timer();
}

void Loop::flush_if_dirty() {
  if (engine_ == nullptr || engine_->dirty_count() == 0) return;
  HandleScope handles(env_);
  if (!handles.open()) return;
  napi_value flush = nullptr;
  napi_value receiver = nullptr;
  if (napi_get_reference_value(env_, flush_, &flush) == napi_ok && napi_get_undefined(env_, &receiver) == napi_ok) {
    (void)napi_call_function(env_, receiver, flush, 0, nullptr, nullptr);
  }
}

// Sets the timer to the engine's next deadline.
void Loop::set_timer() {
  const uint64_t due_ns = engine_->next_due_ns();
  if (due_ns == timer_due_ns_) return;
  timer_due_ns_ = due_ns;
  if (due_ns == Engine::kNothingDue) {
    uv_timer_stop(&timer_);
    return;
  }
  const auto on_timer = [](uv_timer_t* handle) {
    of(handle).timer_due_ns_ = Engine::kNothingDue;
    of(handle).serve();
  };
  // libuv's time is that of the same clock in whole milliseconds, as it was when this iteration of the loop began.
  const uint64_t now_ms = uv_now(uv_);
  const uint64_t due_ms = (due_ns + kMillisecondNs - 1) / kMillisecondNs;
  uv_timer_start(&timer_, on_timer, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

bool Loop::turn(bool spinning, HandleScope& handles) {
  if (engine_ == nullptr || in_turn_) return false;
  // The rest of a batch is dispatched without a poll, so the wait handle shows as much as after the last one.
  const bool is_new = !engine_->has_unconsumed();
  if (is_new) spun_ = spinning;
  if (engine_->poll(spinning) == 0 || !handles.open()) return false;
  in_turn_ = true;
  if (strategy_ == WaitStrategy::Hybrid) last_event_ns_ = monotonic_ns();
  dispatch(is_new);
  in_turn_ = false;
  return true;
}

// One call for all consecutive events of one connection, in the async context of that connection: an AsyncLocalStorage that its
// handlers enter does not reach the next connection's. JavaScript sends their answers before it returns; the ticks and microtasks
// that they have scheduled run after that, when the callback ends.
void Loop::dispatch(bool is_new) {
  napi_ref function = is_new ? dispatch_ : go_on_;
  // At least once, because the program can have overwritten how much is consumed.
  do {
    const uint32_t before = engine_->unconsumed();
    napi_value receiver = nullptr;
    napi_value callee = nullptr;
    if (napi_get_reference_value(env_, resource_, &receiver) != napi_ok ||
        napi_get_reference_value(env_, function, &callee) != napi_ok) {
      return;
    }
    const bool threw = napi_make_callback(env_, next_scope(), receiver, callee, 0, nullptr, nullptr) != napi_ok;
    // A handler that throws ends the call; the next call goes on with the message behind it.
    if (threw && !report_exception()) return;
    // A poll() in a microtask has left a batch open, and the next poll() goes on with it.
    const bool left_open = strategy_ == WaitStrategy::Manual || (engine_ != nullptr && engine_->unconsumed() == before);
    if (!threw && left_open) return;
    function = go_on_;
  } while (engine_ != nullptr && engine_->has_unconsumed());
}

// Makes what a handler or a tick has thrown an uncaught exception. Returns false when JavaScript is being terminated.
bool Loop::report_exception() {
  napi_value error = nullptr;
  bool pending = false;
  return napi_is_exception_pending(env_, &pending) == napi_ok && pending &&
         napi_get_and_clear_last_exception(env_, &error) == napi_ok && napi_fatal_exception(env_, error) == napi_ok;
}

}  // namespace zerio
