// Memory advice in the simulation: discarded memory gets a pattern, so that nobody can still use what was in it unnoticed.
#include <cstring>

#include "../../addon/io/memory.h"

namespace zerio {

void memory_use_small_pages(uint8_t* at, size_t bytes) {
  (void)at;
  (void)bytes;
}

void memory_discard(uint8_t* at, size_t bytes) { std::memset(at, 0xdd, bytes); }

void memory_prefetch(const void* at, size_t bytes) {
  (void)at;
  (void)bytes;
}

}  // namespace zerio
