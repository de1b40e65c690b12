// Preloaded into Node.js: what happens seldom on a real system. The script asks for it while it runs, by its environment.
//
//   SIGUSR2                     the process forks; the child does nothing until its parent ends
#define _GNU_SOURCE
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

static void fork_now(int signal_number) {
  (void)signal_number;
  if (fork() != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) pause();
}

__attribute__((constructor)) static void begin(void) { signal(SIGUSR2, fork_now); }
