// The performance counter, which Windows keeps monotonic and equal for all processors and processes.
#include "../clock.h"

#include <windows.h>

namespace zerio {

uint64_t monotonic_ns() {
  constexpr uint64_t kSecondNs = 1'000'000'000;
  static const uint64_t frequency = [] {
    LARGE_INTEGER value = {};
    QueryPerformanceFrequency(&value);
    return static_cast<uint64_t>(value.QuadPart);
  }();
  LARGE_INTEGER now = {};
  QueryPerformanceCounter(&now);
  const auto ticks = static_cast<uint64_t>(now.QuadPart);
  return ticks / frequency * kSecondNs + ticks % frequency * kSecondNs / frequency;
}

}  // namespace zerio
