// What Debian's libstdc++ and libgcc want of glibc and musl lacks, so that Bun's program for musl runs on a Debian with musl's loader.
// It stands in for glibc's own loader, which those two name as a library; everything else they find in musl.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

char __libc_single_threaded = 0;
unsigned __cpu_model[4];

int __cpu_indicator_init(void) {
  return 0;
}

// The objects of a thread are never destroyed.
int __cxa_thread_atexit_impl(void (*destroy)(void*), void* object, void* library) {
  (void)destroy, (void)object, (void)library;
  return 0;
}

size_t strftime_l(char*, size_t, const char*, const struct tm*, locale_t);
size_t __strftime_l(char* text, size_t size, const char* format, const struct tm* time, locale_t locale) {
  return strftime_l(text, size, format, time, locale);
}

uint32_t arc4random(void) {
  uint32_t value = 0;
  syscall(SYS_getrandom, &value, sizeof value, 0);
  return value;
}

struct search {
  uintptr_t address;
  struct dl_find_object* found;
};

static int look(struct dl_phdr_info* info, size_t size, void* data) {
  struct search* search = data;
  uintptr_t first = UINTPTR_MAX, end = 0;
  void* frames = NULL;
  int is_here = 0;
  (void)size;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr)* part = &info->dlpi_phdr[i];
    uintptr_t begin = info->dlpi_addr + part->p_vaddr;
    if (part->p_type == PT_GNU_EH_FRAME) frames = (void*)begin;
    if (part->p_type != PT_LOAD) continue;
    if (search->address >= begin && search->address < begin + part->p_memsz) is_here = 1;
    if (begin < first) first = begin;
    if (begin + part->p_memsz > end) end = begin + part->p_memsz;
  }
  if (!is_here || frames == NULL) return 0;
  search->found->dlfo_flags = 0;
  search->found->dlfo_map_start = (void*)first;
  search->found->dlfo_map_end = (void*)end;
  search->found->dlfo_eh_frame = frames;
  return 1;
}

// How libgcc finds where an exception may be caught.
int _dl_find_object(void* address, struct dl_find_object* found) {
  struct search search = {(uintptr_t)address, found};
  return dl_iterate_phdr(look, &search) == 1 ? 0 : -1;
}
