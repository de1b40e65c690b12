// Preloaded into Node.js: what happens seldom on a real system. The script asks for it while it runs, by its environment.
//
//   SIGUSR2                     the process forks; the child does nothing until its parent ends
//   ODDITY_CONNECTS_TO_ITSELF   each socket that connects has the address that it connects to
//   ODDITY_NO_WATCHES           epoll takes no more sockets
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

int epoll_ctl(int set, int operation, int fd, struct epoll_event* event) {
  static int (*next)(int, int, int, struct epoll_event*);
  if (next == NULL) next = (int (*)(int, int, int, struct epoll_event*))dlsym(RTLD_NEXT, "epoll_ctl");
  struct stat file;
  if (operation == EPOLL_CTL_ADD && getenv("ODDITY_NO_WATCHES") != NULL && fstat(fd, &file) == 0 && S_ISSOCK(file.st_mode)) {
    errno = ENOSPC;
    return -1;
  }
  return next(set, operation, fd, event);
}
