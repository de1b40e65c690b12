// Advice to the system and the processor about memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace zerio {

// Pools are large and thinly used: one touched byte must cost one page, not one huge page.
void memory_use_small_pages(uint8_t* at, size_t bytes);

// Gives the whole pages inside [at, at + bytes) back to the system. Their content is lost.
void memory_discard(uint8_t* at, size_t bytes);

// Asks for the cache lines of [at, at + bytes), which are going to be used.
void memory_prefetch(const void* at, size_t bytes);

}  // namespace zerio
