// CLOCK_MONOTONIC, which Linux serves without a system call.
#include "../clock.h"

#include <time.h>

namespace zerio {

uint64_t monotonic_ns() {
  timespec now = {};
  (void)::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace zerio
