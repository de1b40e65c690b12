// The wakers of all threads of the process: each makes the loop of one engine call its Driven::woken().
//
// A thread names a waker by its number, because the engine may end at any time. Numbers are not given again.
#pragma once

#include <cstdint>

#include "loop_driver.h"

namespace zerio::wakers {

// No waker has this number.
inline constexpr uint32_t kNone = 0;

// On the driver's thread, which closes it before the driver goes. kNone when memory is refused.
uint32_t open(LoopDriver& driver);
// On any thread. False when there is no such waker any more.
bool wake(uint32_t number);
void close(uint32_t number);

}  // namespace zerio::wakers
