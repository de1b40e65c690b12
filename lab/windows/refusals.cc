// Counts calls, and refuses one of them.
#include "refusals.h"

#include <winsock2.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <string>

namespace zerio::emulator {
namespace {

constexpr auto kCalls = static_cast<size_t>(Call::Count);
constexpr std::array<std::string_view, kCalls> kNames = {"register", "completion_queue", "request_queue", "resize",
                                                         "send",     "receive"};

struct Counter {
  std::atomic<int64_t> calls = 0;
  std::atomic<int64_t> refused = 0;
};
std::array<Counter, kCalls> counters;

}  // namespace

bool is_refused(Call call) {
  Counter& counter = counters[static_cast<size_t>(call)];
  const int64_t number = ++counter.calls;
  if (counter.refused != -1 && counter.refused != number) return false;
  WSASetLastError(WSAENOBUFS);
  return true;
}

int64_t refuse(std::string_view kind, int64_t n) {
  const auto found = std::ranges::find(kNames, kind);
  if (found == kNames.end()) return -1;
  Counter& counter = counters[static_cast<size_t>(found - kNames.begin())];
  counter.refused = n;
  return counter.calls.exchange(0);
}

void refuse_by_environment() {
  const char* const value = std::getenv("ZERIO_RIO_REFUSE");
  std::string_view rest = value == nullptr ? "" : value;
  while (!rest.empty()) {
    const std::string_view one = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    const size_t colon = one.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string number(one.substr(colon + 1));
    (void)refuse(one.substr(0, colon), number == "*" ? -1 : std::atoll(number.c_str()));
  }
}

}  // namespace zerio::emulator
