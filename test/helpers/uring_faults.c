// Preloaded into Node.js: makes the io_uring of this process as unwilling as a kernel may be, and forks on demand.
//
//   URING_FAULTS=passing   two of three submits are interrupted, refused for a moment, or taken by halves
//   URING_FAULTS=broken    after 200 submits the ring answers none any more
//   URING_FAULTS=fork      at SIGUSR2 the process forks; the child lives for a second and fails when it finds a ring in its memory
//   URING_REPORT           a file for what was done, written at exit
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kWillingSubmits = 200, kChildMs = 1000 };

static enum { kNone, kPassing, kBroken, kFork } mode;
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
  mode = strcmp(name, "passing") == 0 ? kPassing : strcmp(name, "broken") == 0 ? kBroken : kFork;
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
    if (mode == kPassing) {
      const int errors[] = {EINTR, EBUSY, EAGAIN};
      if (turn % 6 < 3) return refuse(errors[turn % 6]);
      if (turn % 6 == 3 && a[1] > 1) {
        ++faults;
        a[1] /= 2;
      }
    }
  }
  return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
