// A shared library for LD_PRELOAD that counts the process's memory allocations in a file others can read: two
// little-endian u64, allocations by all threads and by the main thread. The file is named by MALLOC_COUNT_FILE and
// must exist. Needs glibc, whose __libc_ functions do the real work.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void* __libc_malloc(size_t size);
extern void* __libc_calloc(size_t count, size_t size);
extern void* __libc_realloc(void* old, size_t size);
extern void* __libc_memalign(size_t alignment, size_t size);

typedef struct {
  _Atomic uint64_t all;
  _Atomic uint64_t main_thread;
} Counts;

static Counts unshared;
static Counts* counts = &unshared;
static _Thread_local int on_main_thread __attribute__((tls_model("initial-exec")));

__attribute__((constructor)) static void share_counts(void) {
  on_main_thread = 1;
  const char* path = getenv("MALLOC_COUNT_FILE");
  if (path == NULL) return;
  const int file = open(path, O_RDWR | O_CLOEXEC);
  if (file < 0 || ftruncate(file, sizeof(Counts)) != 0) abort();
  void* memory = mmap(NULL, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) abort();
  close(file);
  counts = memory;
}

static void count_one(void) {
  atomic_fetch_add_explicit(&counts->all, 1, memory_order_relaxed);
  if (on_main_thread) atomic_fetch_add_explicit(&counts->main_thread, 1, memory_order_relaxed);
}

void* malloc(size_t size) {
  count_one();
  return __libc_malloc(size);
}

void* calloc(size_t count, size_t size) {
  count_one();
  return __libc_calloc(count, size);
}

void* realloc(void* old, size_t size) {
  count_one();
  return __libc_realloc(old, size);
}

void* memalign(size_t alignment, size_t size) {
  count_one();
  return __libc_memalign(alignment, size);
}

void* aligned_alloc(size_t alignment, size_t size) {
  count_one();
  return __libc_memalign(alignment, size);
}

int posix_memalign(void** result, size_t alignment, size_t size) {
  count_one();
  void* memory = __libc_memalign(alignment, size);
  if (memory == NULL) return ENOMEM;
  *result = memory;
  return 0;
}
