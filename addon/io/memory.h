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

// How far behind its usual place the use of a memory begins, the count-th time: at each multiple of a cache line in a page in
// turn.
//
// The kernel copies with `rep movsb`. Where the destination lies less than a cache line behind the source, counted within a page,
// that takes an AMD processor four to eight times as long (glibc bug 30994, Zen 3 and 4). The other side of the copy is the
// socket's own memory, which goes on where the last copy has ended. So a memory that is always used from its beginning can meet
// that distance at each copy: a loop that sends 2^n messages a turn met it at every fifth. With the places in turn it is one copy
// of 64.
[[nodiscard]] constexpr uint32_t memory_stagger(uint32_t count) {
  constexpr uint32_t kPageBytes = 4096;
  constexpr uint32_t kStep = 25 * 64;
  return count * kStep % kPageBytes;
}

// Fewer bytes at a time are copied in no time, and are better where the last ones were: in the cache.
inline constexpr uint32_t kStaggeredBytesMin = 32768;

}  // namespace zerio
