// Memory advice by madvise.
#include <sys/mman.h>
#include <unistd.h>

#include "memory.h"

namespace zerio {
namespace {

void advise(uint8_t* at, size_t bytes, int advice) {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t skipped = (page - reinterpret_cast<uintptr_t>(at) % page) % page;
  if (bytes < skipped + page) return;
  (void)::madvise(at + skipped, (bytes - skipped) / page * page, advice);
}

}  // namespace

void memory_use_small_pages(uint8_t* at, size_t bytes) { advise(at, bytes, MADV_NOHUGEPAGE); }

void memory_discard(uint8_t* at, size_t bytes) { advise(at, bytes, MADV_DONTNEED); }

}  // namespace zerio
