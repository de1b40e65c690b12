// Guarded by mmap and mprotect.
#include <sys/mman.h>
#include <unistd.h>

#include "guarded.h"

Guarded::Guarded(size_t size) {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t pages = (size + page - 1) / page * page;
  mapped_ = pages + page;
  base_ = static_cast<uint8_t*>(::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  (void)::mprotect(base_ + pages, page, PROT_NONE);
  data_ = base_ + pages - size;
}

Guarded::~Guarded() { ::munmap(base_, mapped_); }
