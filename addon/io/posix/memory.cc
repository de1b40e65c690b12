// Memory advice by madvise, and by the compilers of POSIX systems.
#include "../memory.h"

#include <sys/mman.h>
#include <unistd.h>

namespace zerio {
namespace {

void advise(uint8_t* at, size_t bytes, int advice) {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t skipped = (page - reinterpret_cast<uintptr_t>(at) % page) % page;
  if (bytes < skipped + page) return;
  (void)::madvise(at + skipped, (bytes - skipped) / page * page, advice);
}

// What gives pages back at once. On macOS MADV_DONTNEED and MADV_FREE leave them counted until memory is short.
#if defined(MADV_FREE_REUSABLE)
constexpr int kDiscard = MADV_FREE_REUSABLE;
#elif defined(__FreeBSD__)
constexpr int kDiscard = MADV_FREE;
#else
constexpr int kDiscard = MADV_DONTNEED;
#endif

}  // namespace

void memory_use_small_pages([[maybe_unused]] uint8_t* at, [[maybe_unused]] size_t bytes) {
#ifdef MADV_NOHUGEPAGE
  advise(at, bytes, MADV_NOHUGEPAGE);
#endif
}

void memory_discard(uint8_t* at, size_t bytes) { advise(at, bytes, kDiscard); }

void memory_prefetch(const void* at, size_t bytes) {
  constexpr size_t kLineBytes = 64;
  for (size_t line = 0; line < bytes; line += kLineBytes) __builtin_prefetch(static_cast<const uint8_t*>(at) + line);
}

}  // namespace zerio
