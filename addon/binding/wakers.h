// Wakers: any thread of the process makes the thread of one engine run a function, which that thread has given.
//
// All threads share one table, and name a waker by a number. A number is never given twice, also not by a second copy of the
// addon in the same process, so that a waker of an engine that has ended wakes nothing.
#pragma once

#include <node_api.h>

#include <cstdint>

namespace zerio::wakers {

// No waker has this number.
inline constexpr uint64_t kNone = 0;

// A waker that runs `function` on this thread. It does not keep the thread's event loop alive. kNone when it is refused.
uint64_t create(napi_env env, napi_value function);

// On any thread: the function runs soon, once for all calls before it begins, and sees what this thread has written before.
// Returns false when there is no such waker any more. Allocates nothing in JavaScript.
bool wake(uint64_t number);

// On the thread that made it.
void close(uint64_t number);

}  // namespace zerio::wakers
