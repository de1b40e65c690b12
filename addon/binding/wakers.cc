// The table of wakers, over the thread-safe functions of Node-API, which every runtime has.
#include "wakers.h"

#include <map>
#include <memory>
#include <mutex>
#include <new>

#include "../io/clock.h"

namespace zerio::wakers {
namespace {

struct Waker {
  napi_threadsafe_function function = nullptr;
  bool posted = false;  // its function will run: at most one call waits in the queue
};

// Held while a thread-safe function is called, because the runtime frees one after `forget`.
std::mutex mutex;
std::map<uint64_t, Waker> table;

// What the runtime keeps for a thread-safe function.
struct Number {
  uint64_t value;
};

void forget(uint64_t number) {
  const std::lock_guard lock(mutex);
  table.erase(number);
}

// From the microsecond in which this copy of the addon made its first waker. To make one takes longer than that, so no copy
// reaches the numbers of another.
uint64_t next_number() {
  static uint64_t last = 0;
  const std::lock_guard lock(mutex);
  if (last == 0) last = monotonic_ns() / 1000;
  return ++last;
}

void on_call(napi_env env, napi_value function, void* context, void* /*data*/) {
  // The thread ends, and the context has gone.
  if (env == nullptr) return;
  {
    const std::lock_guard lock(mutex);
    const auto found = table.find(static_cast<Number*>(context)->value);
    if (found == table.end()) return;
    found->second.posted = false;
  }
  napi_value receiver = nullptr;
  napi_value result = nullptr;
  if (napi_get_undefined(env, &receiver) != napi_ok) return;
  if (napi_call_function(env, receiver, function, 0, nullptr, &result) != napi_pending_exception) return;
  napi_value error = nullptr;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) (void)napi_fatal_exception(env, error);
}

void on_finalize(napi_env /*env*/, void* data, void* /*context*/) {
  const std::unique_ptr<Number> number(static_cast<Number*>(data));
  forget(number->value);
}

bool make(napi_env env, napi_value function, Number& number, napi_threadsafe_function& made) {
  napi_value name = nullptr;
  return napi_create_string_utf8(env, "zerio.waker", NAPI_AUTO_LENGTH, &name) == napi_ok &&
         napi_create_threadsafe_function(env, function, nullptr, name, 0, 1, &number, on_finalize, &number, on_call, &made) ==
             napi_ok;
}

}  // namespace

uint64_t create(napi_env env, napi_value function) {
  auto number = std::make_unique<Number>(Number{next_number()});
  napi_threadsafe_function made = nullptr;
  if (!make(env, function, *number, made)) return kNone;
  (void)napi_unref_threadsafe_function(env, made);
  // The runtime has it now, until on_finalize.
  const uint64_t value = number.release()->value;
  try {
    const std::lock_guard lock(mutex);
    table[value] = {made, false};
  } catch (const std::bad_alloc&) {
    (void)napi_release_threadsafe_function(made, napi_tsfn_abort);
    return kNone;
  }
  return value;
}

bool wake(uint64_t number) {
  const std::lock_guard lock(mutex);
  const auto found = table.find(number);
  if (found == table.end()) return false;
  Waker& waker = found->second;
  if (waker.posted) return true;
  const napi_status status = napi_call_threadsafe_function(waker.function, nullptr, napi_tsfn_nonblocking);
  waker.posted = status == napi_ok;
  // The thread ends, and Node-API allows no further call.
  if (status == napi_closing) table.erase(found);
  return status == napi_ok;
}

void close(uint64_t number) {
  napi_threadsafe_function function = nullptr;
  {
    const std::lock_guard lock(mutex);
    const auto found = table.find(number);
    if (found == table.end()) return;
    function = found->second.function;
    table.erase(found);
  }
  (void)napi_release_threadsafe_function(function, napi_tsfn_abort);
}

}  // namespace zerio::wakers
