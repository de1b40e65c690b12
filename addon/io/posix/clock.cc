// The monotonic clock that libuv has on each system, because deadlines are compared with its time.
#include "../clock.h"

#include <time.h>

namespace zerio {

namespace {

// Linux serves CLOCK_MONOTONIC without a system call. That of macOS counts in microseconds.
#ifdef __APPLE__
constexpr clockid_t kClock = CLOCK_MONOTONIC_RAW;
#else
constexpr clockid_t kClock = CLOCK_MONOTONIC;
#endif

}  // namespace

uint64_t monotonic_ns() {
  timespec now = {};
  (void)::clock_gettime(kClock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace zerio
