// Memory advice by madvise.
#include "memory.h"

#include <sys/mman.h>
#include <unistd.h>

namespace zerio {
namespace {

void advise(uint8_t* at, size_t bytes, int advice) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t first = (reinterpret_cast<uintptr_t>(at) + page - 1) / page * page;
  const uintptr_t last = (reinterpret_cast<uintptr_t>(at) + bytes) / page * page;
  if (first < last) (void)::madvise(reinterpret_cast<void*>(first), last - first, advice);
}

}  // namespace

void memory_use_small_pages(uint8_t* at, size_t bytes) { advise(at, bytes, MADV_NOHUGEPAGE); }

void memory_discard(uint8_t* at, size_t bytes) { advise(at, bytes, MADV_DONTNEED); }

}  // namespace zerio
