// The system's monotonic clock.
#pragma once

#include <cstdint>

namespace zerio {

inline constexpr uint64_t kMillisecondNs = 1'000'000;

// Nanoseconds since some moment in the past: the same moment for all processes of a machine, where the system allows it.
[[nodiscard]] uint64_t monotonic_ns();

}  // namespace zerio
