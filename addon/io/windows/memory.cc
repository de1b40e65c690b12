// Memory advice on Windows, whose pages are small unless a program asks for large ones.
#include "../memory.h"

#include <windows.h>

namespace zerio {

void memory_use_small_pages(uint8_t*, size_t) {}

// The pages stay committed, but the system takes them without writing them to the page file when it needs memory.
void memory_discard(uint8_t* at, size_t bytes) {
  constexpr size_t kPageBytes = 4096;
  const size_t skipped = (kPageBytes - reinterpret_cast<uintptr_t>(at) % kPageBytes) % kPageBytes;
  if (bytes < skipped + kPageBytes) return;
  (void)VirtualAlloc(at + skipped, (bytes - skipped) / kPageBytes * kPageBytes, MEM_RESET, PAGE_READWRITE);
}

void memory_prefetch(const void* at, size_t bytes) {
  constexpr size_t kLineBytes = 64;
  for (size_t line = 0; line < bytes; line += kLineBytes) {
    PreFetchCacheLine(PF_TEMPORAL_LEVEL_1, static_cast<const uint8_t*>(at) + line);
  }
}

}  // namespace zerio
