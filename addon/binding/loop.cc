// The engine in the host's event loop: what its driver does with which wait strategy.
//
//   Blocking  wakes: the loop sleeps until the engine has something to report
//   Spin      idle: the loop never sleeps
//   Hybrid    wakes, and idle until `spin_ns` after the last event
//   Adaptive  wakes, and idle in the window in which the next event probably comes
//   Manual    nothing, but as Blocking while a start or a stop is under way
//
// Each callback does one bounded piece of work and returns. No callback waits, so timers, immediates and descriptors of the
// program get their turn, and what libuv measures (idle time, loop delay) is right.
//
// JavaScript sends what was written outside of handlers at the next tick (src/engine/sending.ts). The driver
// sends what code without ticks has written, so that nothing stays unsent while the loop sleeps.
#include "loop.h"

#include <uv.h>

#include <string_view>

#include "../engine/layout.h"
#include "../io/clock.h"

namespace zerio {
namespace {

// How long one callback may serve the engine, and so how long the program's timers and descriptors may wait for it. The loop's
// own iteration costs 1 to 2 microseconds, which is 2 % of this.
constexpr uint64_t kSliceNs = 100'000;
// A loop that has looked so short a time ago sees an event as it comes.
constexpr uint64_t kCaughtNs = 20'000;

}  // namespace

Loop* Loop::create(napi_env env, std::unique_ptr<Engine> engine, std::unique_ptr<LoopDriver> driver, WaitStrategy strategy,
                   uint64_t spin_ns, const Functions& functions, int& error) {
  napi_value resource = nullptr;
  napi_value name = nullptr;
  auto* const loop = new Loop(env, std::move(engine), std::move(driver), strategy, spin_ns);
  const bool made = napi_create_object(env, &resource) == napi_ok &&
                    napi_create_string_utf8(env, "zerio", NAPI_AUTO_LENGTH, &name) == napi_ok &&
                    napi_async_init(env, resource, name, &loop->context_) == napi_ok &&
                    napi_create_reference(env, resource, 1, &loop->resource_) == napi_ok &&
                    napi_create_reference(env, functions.dispatch, 1, &loop->dispatch_) == napi_ok &&
                    napi_create_reference(env, functions.go_on, 1, &loop->go_on_) == napi_ok &&
                    napi_create_reference(env, functions.flush, 1, &loop->flush_) == napi_ok;
  error = made ? loop->driver_->init(env, loop->engine_->io(), *loop) : UV_ENOMEM;
  if (error != 0) {
    loop->release_references();
    delete loop;
    return nullptr;
  }
  return loop;
}

void Loop::close() {
  if (engine_ == nullptr) return;
  release_references();
  tear_down();
}

void Loop::release_references() {
  for (napi_ref* const reference : {&resource_, &dispatch_, &go_on_, &flush_, &wake_}) {
    if (*reference != nullptr) napi_delete_reference(env_, *reference);
    *reference = nullptr;
  }
  destroy(context_);
  destroy(wake_scope_);
  for (auto* const scopes : {&slot_scopes_, &server_scopes_}) {
    for (napi_async_context& scope : *scopes) destroy(scope);
    scopes->clear();
  }
}

void Loop::open_scope(bool of_server, uint32_t index) {
  std::vector<napi_async_context>& scopes = of_server ? server_scopes_ : slot_scopes_;
  if (index >= (of_server ? layout::kServersMax : layout::kSlotsMax)) return;
  if (index >= scopes.size()) scopes.resize(index + size_t{1});
  renew(scopes[index], of_server ? "ZerioServer" : "ZerioConnection");
}

void Loop::close_scope(bool of_server, uint32_t index) {
  std::vector<napi_async_context>& scopes = of_server ? server_scopes_ : slot_scopes_;
  if (index < scopes.size()) destroy(scopes[index]);
}

void Loop::renew(napi_async_context& scope, std::string_view text) {
  napi_value name = nullptr;
  destroy(scope);
  if (napi_create_string_utf8(env_, text.data(), text.size(), &name) != napi_ok) return;
  (void)napi_async_init(env_, nullptr, name, &scope);
}

void Loop::destroy(napi_async_context& scope) {
  if (scope != nullptr) (void)napi_async_destroy(env_, scope);
  scope = nullptr;
}

napi_async_context Loop::next_scope() const {
  const Engine::EventOwner owner = engine_->next_event_owner();
  const std::vector<napi_async_context>& scopes = owner.is_server ? server_scopes_ : slot_scopes_;
  const napi_async_context scope = owner.index < scopes.size() ? scopes[owner.index] : nullptr;
  return scope == nullptr ? context_ : scope;
}

void Loop::tear_down() {
  // The thread may end while the driver still closes.
  if (engine_ == nullptr) return;
  wakers::close(waker_);
  active_ = false;
  // The sockets are closed at once, because the memory that they write to may be freed next; after the driver has let go of them.
  const std::unique_ptr<Engine> engine = std::move(engine_);
  driver_->close();
}

void Loop::set_active(bool active) {
  active_ = active;
  apply();
}

void Loop::set_referenced(bool referenced) {
  if (engine_ != nullptr) driver_->set_referenced(referenced);
}

void Loop::set_driven(bool driven) {
  driven_ = driven;
  apply();
}

void Loop::apply() {
  if (engine_ == nullptr) return;
  if (!serving()) {
    alarm_ns_ = SpinWindow::kNever;
    return driver_->stop();
  }
  driver_->start(strategy_ != WaitStrategy::Spin);
  if (strategy_ == WaitStrategy::Spin || spun_) driver_->start_idle();
}

SpinWindow Loop::window_of(WaitStrategy strategy, uint64_t spin_ns) {
  if (strategy == WaitStrategy::Adaptive) return SpinWindow::learned(spin_ns);
  return SpinWindow::fixed(strategy == WaitStrategy::Hybrid ? spin_ns : 0);
}

bool Loop::spins(uint64_t now_ns) const { return strategy_ == WaitStrategy::Spin || window_.contains(now_ns); }

void Loop::serve() {
  driver_->stop_idle();
  if (engine_ == nullptr || !serving()) return;
  if (alarm_ns_ != SpinWindow::kNever) {
    const uint64_t now_ns = monotonic_ns();
    if (now_ns >= alarm_ns_) {
      window_.on_woken(now_ns - alarm_ns_);
      alarm_ns_ = SpinWindow::kNever;
    }
  }
  serve_slice();
  if (engine_ == nullptr || !serving()) return;
  if (engine_->wants_poll() || spun_ || spins(monotonic_ns())) driver_->start_idle();
}

void Loop::serve_slice() {
  HandleScope handles(env_);
  uint64_t now_ns = monotonic_ns();
  const uint64_t until_ns = now_ns + kSliceNs;
  for (;;) {
    const bool spinning = spins(now_ns);
    const bool busy = turn(spinning, now_ns, handles);
    if (engine_ == nullptr || !serving()) return;
    if (!spinning && !(busy && engine_->wants_poll())) return;
    now_ns = monotonic_ns();
    if (now_ns >= until_ns || (busy && driver_->others_wait())) return;
  }
}

void Loop::before_block() {
  flush_if_dirty();
  if (engine_ == nullptr || !serving()) return;
  plan();
}

void Loop::plan() {
  if (window_.exists()) plan_window();
  flushed_ = false;
  if (engine_->wants_poll() || spun_) driver_->start_idle();
  if (strategy_ != WaitStrategy::Spin) driver_->set_due(engine_->next_due_ns());
}

void Loop::plan_window() {
  const uint64_t now_ns = monotonic_ns();
  if (flushed_) window_.on_sent(now_ns);
  if (window_.contains(now_ns)) {
    // If it still rings, that is the end of no sleep.
    alarm_ns_ = SpinWindow::kNever;
    return driver_->start_idle();
  }
  const uint64_t begins_ns = window_.begins_ns(now_ns);
  if (begins_ns == alarm_ns_) return;
  const bool works = driver_->set_alarm(begins_ns);
  alarm_ns_ = works ? begins_ns : SpinWindow::kNever;
  if (!works) window_.sleep_fails();
}

void Loop::flush_if_dirty() {
  if (engine_ == nullptr || !engine_->has_unsent()) return;
  HandleScope handles(env_);
  if (!handles.open()) return;
  napi_value flush = nullptr;
  napi_value receiver = nullptr;
  if (napi_get_reference_value(env_, flush_, &flush) == napi_ok && napi_get_undefined(env_, &receiver) == napi_ok) {
    napi_value nothing = nullptr;
    (void)napi_call_function(env_, receiver, flush, 0, nullptr, &nothing);
  }
}

uint32_t Loop::open_waker(napi_value function) {
  if (waker_ != wakers::kNone) return waker_;
  if (napi_create_reference(env_, function, 1, &wake_) != napi_ok || driver_->open_waker() != 0) return wakers::kNone;
  return waker_ = wakers::open(*driver_);
}

void Loop::open_waker_scope() { renew(wake_scope_, "ZerioWaker"); }

void Loop::woken() {
  HandleScope handles(env_);
  napi_value receiver = nullptr;
  napi_value callee = nullptr;
  napi_value nothing = nullptr;
  if (engine_ == nullptr || !handles.open() || napi_get_reference_value(env_, resource_, &receiver) != napi_ok ||
      napi_get_reference_value(env_, wake_, &callee) != napi_ok) {
    return;
  }
  const napi_async_context scope = wake_scope_ == nullptr ? context_ : wake_scope_;
  if (napi_make_callback(env_, scope, receiver, callee, 0, nullptr, &nothing) != napi_ok) (void)report_exception();
}

bool Loop::turn(bool spinning, uint64_t now_ns, HandleScope& handles) {
  if (engine_ == nullptr || in_turn_) return false;
  // The rest of a batch is dispatched without a poll, so the wait handle shows as much as after the last one.
  const bool is_new = !engine_->has_unconsumed();
  if (is_new) spun_ = spinning;
  if (engine_->poll(spinning) == 0) {
    if (spinning) looked_ns_ = now_ns;
    return false;
  }
  if (!handles.open()) return false;
  in_turn_ = true;
  if (window_.exists()) window_.on_event(now_ns, spinning && now_ns - looked_ns_ < kCaughtNs);
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
    // Deno writes the result also where none is asked for.
    napi_value nothing = nullptr;
    const bool threw = napi_make_callback(env_, next_scope(), receiver, callee, 0, nullptr, &nothing) != napi_ok;
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
