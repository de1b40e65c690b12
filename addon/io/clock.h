// The system's monotonic clock.
#pragma once

#include <cstdint>

namespace zerio {

// Nanoseconds since some moment in the past: the same moment for all processes of a machine, where the system allows it.
[[nodiscard]] uint64_t monotonic_ns();

}  // namespace zerio
