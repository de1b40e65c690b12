// Preloaded into Node.js: what happens seldom on a real system. The script asks for it while it runs, by its environment.
//
//   SIGUSR2                     the process forks; the child does nothing until its parent ends
//   ODDITY_CONNECTS_TO_ITSELF   each socket that connects has the address that it connects to
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void fork_now(int signal_number) {
  (void)signal_number;
  if (fork() != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) pause();
}

__attribute__((constructor)) static void begin(void) { signal(SIGUSR2, fork_now); }

int connect(int fd, const struct sockaddr* address, socklen_t size) {
  static int (*next)(int, const struct sockaddr*, socklen_t);
  if (next == NULL) next = (int (*)(int, const struct sockaddr*, socklen_t))dlsym(RTLD_NEXT, "connect");
  if (getenv("ODDITY_CONNECTS_TO_ITSELF") != NULL && bind(fd, address, size) != 0) return -1;
  return next(fd, address, size);
}
