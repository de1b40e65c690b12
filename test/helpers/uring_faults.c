// Preloaded into Node.js: makes the io_uring of this process as unwilling as a kernel may be, and forks on demand.
//
//   URING_FAULTS=passing   two of three submits are interrupted, refused for a moment, or taken by halves
//   URING_FAULTS=broken    after 200 submits the ring answers none any more
//   URING_FAULTS=once      one submit fails, and all that follow would succeed
//   URING_FAULTS=refused   after 200 submits the ring has no memory for any more
//   URING_FAULTS=lost      after 200 submits the kernel drops a completion
//   URING_FAULTS=fork      at SIGUSR2 the process forks; the child lives for a second and fails when it finds a ring in its memory
//   URING_REPORT           a file for what was done, written at exit
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kWillingSubmits = 200, kChildMs = 1000 };

// Of include/uapi/linux/io_uring.h.
enum { kCqHead = 80, kCqTail = 84, kCqMask = 88, kCqOverflow = 96, kCqCqes = 100 };
enum { kCancel = 5 };

static enum { kNone, kPassing, kBroken, kFork, kOnce, kRefused, kLost } mode;
static const char* const kNames[] = {"none", "passing", "broken", "fork", "once", "refused", "lost"};
static uint8_t parameters[120];
static int ring_fd = -1;
static uint8_t* ring;
static long submits;
static long faults;
static pid_t child;

static int has_ring(void) {
  char line[512];
  FILE* const maps = fopen("/proc/self/maps", "r");
  if (maps == NULL) return 1;
  int found = 0;
  while (fgets(line, sizeof line, maps) != NULL) found |= strstr(line, "io_uring") != NULL;
  fclose(maps);
  return found;
}

static void fork_now(int signal_number) {
  (void)signal_number;
  child = fork();
  if (child != 0) return;
  usleep(kChildMs * 1000);
  _exit(has_ring() ? 1 : 0);
}

__attribute__((constructor)) static void begin(void) {
  const char* const name = getenv("URING_FAULTS");
  if (name == NULL) return;
  for (int i = kNone; i <= kLost; ++i) {
    if (strcmp(name, kNames[i]) == 0) mode = i;
  }
  if (mode == kFork) signal(SIGUSR2, fork_now);
}

__attribute__((destructor)) static void end(void) {
  const char* const path = getenv("URING_REPORT");
  FILE* const file = path == NULL ? NULL : fopen(path, "w");
  if (file == NULL) return;
  int status = 0;
  if (child > 0 && waitpid(child, &status, 0) != child) status = -1;
  fprintf(file, "{\"submits\":%ld,\"faults\":%ld,\"forked\":%s,\"childStatus\":%d}\n", submits, faults,
          child > 0 ? "true" : "false", status);
  fclose(file);
}

static long refuse(int error) {
  ++faults;
  errno = error;
  return -1;
}

// As programs with files above 2 GiB call it.
void* mmap64(void* address, size_t length, int protection, int flags, int fd, off64_t offset) {
  static void* (*next)(void*, size_t, int, int, int, off64_t);
  if (next == NULL) next = (void* (*)(void*, size_t, int, int, int, off64_t))dlsym(RTLD_NEXT, "mmap64");
  void* const at = next(address, length, protection, flags, fd, offset);
  if (fd >= 0 && fd == ring_fd && offset == 0 && ring == NULL) ring = at;
  return at;
}

static uint32_t word(int at) {
  uint32_t value;
  memcpy(&value, parameters + at, sizeof value);
  return value;
}

// The newest completion was never there: it says nothing, and the kernel says that it dropped one. Returns whether there was one.
static int lose_one(void) {
  if (ring == NULL) abort();
  volatile uint32_t* const head = (uint32_t*)(ring + word(kCqHead));
  volatile uint32_t* const tail = (uint32_t*)(ring + word(kCqTail));
  if (*head == *tail) return 0;
  const uint32_t mask = *(uint32_t*)(ring + word(kCqMask));
  uint64_t* const newest = (uint64_t*)(ring + word(kCqCqes)) + 2 * ((*tail - 1) & mask);
  newest[0] = (uint64_t)kCancel << 60;
  newest[1] = 0;
  *(volatile uint32_t*)(ring + word(kCqOverflow)) += 1;
  ++faults;
  return 1;
}

long syscall(long number, ...) {
  static long (*next)(long, ...);
  if (next == NULL) next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  va_list list;
  va_start(list, number);
  long a[6];
  for (int i = 0; i < 6; ++i) a[i] = va_arg(list, long);
  va_end(list);
  if (number == SYS_io_uring_enter) {
    const long turn = ++submits;
    if (mode == kBroken && turn > kWillingSubmits) return refuse(EBADFD);
    if (mode == kOnce && turn == kWillingSubmits) return refuse(EFAULT);
    if (mode == kRefused && turn > kWillingSubmits) return refuse(EAGAIN);
    if (mode == kLost && turn > kWillingSubmits && faults == 0) {
      const long result = next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
      (void)lose_one();
      return result;
    }
    if (mode == kPassing) {
      const int errors[] = {EINTR, EBUSY, EAGAIN};
      if (turn % 6 < 3) return refuse(errors[turn % 6]);
      if (turn % 6 == 3 && a[1] > 1) {
        ++faults;
        a[1] /= 2;
      }
    }
  }
  const long result = next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  if (number == SYS_io_uring_setup && result >= 0 && ring_fd < 0) {
    ring_fd = (int)result;
    memcpy(parameters, (const void*)a[1], sizeof parameters);
  }
  return result;
}
