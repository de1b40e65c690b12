// The table of wakers. Its lock is held while one is woken, so that its driver stays there.
#include "wakers.h"

#include <map>
#include <mutex>
#include <new>

#include "../io/clock.h"

namespace zerio::wakers {
namespace {

// A small integer of JavaScript in every build of V8: a larger number would be an object on its heap.
constexpr uint32_t kNumberMax = 0x3fffffff;

std::mutex mutex;
std::map<uint32_t, LoopDriver*> table;

// A second copy of the addon in this process begins elsewhere, so that it hardly ever has the numbers of this one.
uint32_t next_number() {
  static uint64_t last = monotonic_ns();
  do {
    ++last;
  } while ((last & kNumberMax) == kNone || table.contains(last & kNumberMax));
  return static_cast<uint32_t>(last & kNumberMax);
}

}  // namespace

uint32_t open(LoopDriver& driver) {
  const std::lock_guard lock(mutex);
  try {
    const uint32_t number = next_number();
    table.emplace(number, &driver);
    return number;
  } catch (const std::bad_alloc&) {
    return kNone;
  }
}

bool wake(uint32_t number) {
  const std::lock_guard lock(mutex);
  const auto found = table.find(number);
  if (found == table.end()) return false;
  found->second->wake();
  return true;
}

void close(uint32_t number) {
  const std::lock_guard lock(mutex);
  table.erase(number);
}

}  // namespace zerio::wakers
