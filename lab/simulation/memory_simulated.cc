// Memory advice in the simulation: discarded memory is overwritten with a pattern, so that a use of its old content is found.
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
