// Writes the emulator's report.
#include "report.h"

#include <windows.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>

namespace zerio::emulator {

std::atomic<uint64_t> violations = 0;

void report(const std::string& line) {
  const char* const path = std::getenv("ZERIO_RIO_REPORT");
  if (path == nullptr) return;
  FILE* const file = std::fopen(path, "ab");
  if (file == nullptr) return;
  std::fprintf(file, "%lu %s\n", GetCurrentProcessId(), line.c_str());
  std::fclose(file);
}

void violation(const std::string& what) {
  constexpr int kLinesMax = 10;
  static std::mutex mutex;
  static std::map<std::string, int> lines;
  const std::lock_guard lock(mutex);
  ++violations;
  if (++lines[what] <= kLinesMax) report("violation: " + what);
}

uint64_t now_ns() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(since).count());
}

}  // namespace zerio::emulator
