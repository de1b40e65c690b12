// Guarded by VirtualAlloc: a page that is reserved and not committed has no access.
#include <windows.h>

#include "guarded.h"

Guarded::Guarded(size_t size) {
  constexpr size_t kPageBytes = 4096;
  const size_t pages = (size + kPageBytes - 1) / kPageBytes * kPageBytes;
  mapped_ = pages + kPageBytes;
  base_ = static_cast<uint8_t*>(VirtualAlloc(nullptr, mapped_, MEM_RESERVE, PAGE_NOACCESS));
  if (pages > 0) (void)VirtualAlloc(base_, pages, MEM_COMMIT, PAGE_READWRITE);
  data_ = base_ + pages - size;
}

Guarded::~Guarded() { VirtualFree(base_, 0, MEM_RELEASE); }
