// Counts calls, and refuses some of them.
#include "refusals.h"

#include <algorithm>
#include <array>
#include <atomic>

namespace zerio::emulator {
namespace {

constexpr auto kCalls = static_cast<size_t>(Call::Count);
constexpr std::array<std::string_view, kCalls> kNames = {"register", "completion_queue", "request_queue", "resize",
                                                         "send",     "commit",           "receive",       "notify"};

struct Counter {
  std::atomic<int64_t> calls = 0;
  std::atomic<int64_t> refused = 0;
  std::atomic<int> error = 0;
};
std::array<Counter, kCalls> counters;

}  // namespace

int refusal_of(Call call) {
  Counter& counter = counters[static_cast<size_t>(call)];
  const int64_t number = ++counter.calls;
  if (counter.refused != -1 && counter.refused != number) return 0;
  const int error = counter.error;
  WSASetLastError(error);
  return error;
}

int64_t refuse(std::string_view kind, int64_t n, int error) {
  const auto found = std::ranges::find(kNames, kind);
  if (found == kNames.end()) return -1;
  Counter& counter = counters[static_cast<size_t>(found - kNames.begin())];
  counter.error = error;
  counter.refused = n;
  return counter.calls.exchange(0);
}

}  // namespace zerio::emulator
