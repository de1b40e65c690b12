// What the C programs share: connected TCP loopback sockets, a clock, number arguments and ends for errors.
#ifndef ZERIO_PERF_LOOPBACK_H
#define ZERIO_PERF_LOOPBACK_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// No program here may outlive its parent's patience, whatever happens to the parent.
enum { DEADLINE_S = 600 };

// For system calls: says what errno means.
static inline _Noreturn void die(const char* what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static inline _Noreturn void fail(const char* sentence) {
  fprintf(stderr, "%s\n", sentence);
  exit(1);
}

static inline _Noreturn void usage(const char* text) {
  fprintf(stderr, "usage: %s\n", text);
  exit(2);
}

static inline uint64_t clock_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline int listen_on_loopback(struct sockaddr_in* address) {
  socklen_t size = sizeof *address;
  *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (listener < 0) die("socket");
  if (bind(listener, (struct sockaddr*)address, size) != 0) die("bind");
  if (listen(listener, SOMAXCONN) != 0) die("listen");
  if (getsockname(listener, (struct sockaddr*)address, &size) != 0) die("getsockname");
  return listener;
}

// Two connected sockets, both with TCP_NODELAY if so wished.
static inline void connect_pair(int listener, const struct sockaddr_in* address, int pair[2], int no_delay) {
  pair[0] = socket(AF_INET, SOCK_STREAM, 0);
  if (pair[0] < 0) die("socket");
  if (connect(pair[0], (const struct sockaddr*)address, sizeof *address) != 0) die("connect");
  pair[1] = accept(listener, NULL, NULL);
  if (pair[1] < 0) die("accept");
  for (int i = 0; i < 2; i++) {
    if (setsockopt(pair[i], IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof no_delay) != 0) die("TCP_NODELAY");
  }
}

// One of two processes with a connection between them.
typedef struct {
  int socket;
  pid_t child;  // 0 in the child itself
} Half;

// From here on there are two processes. Neither outlives the deadline.
static inline Half split_in_two(int no_delay) {
  struct sockaddr_in address;
  int pair[2];
  const int listener = listen_on_loopback(&address);
  connect_pair(listener, &address, pair, no_delay);
  close(listener);
  const pid_t child = fork();
  if (child < 0) die("fork");
  alarm(DEADLINE_S);
  const int own = child == 0 ? 1 : 0;
  close(pair[1 - own]);
  return (Half){.socket = pair[own], .child = child};
}

// The child ends when its socket is closed.
static inline void end_child(Half half) {
  close(half.socket);
  waitpid(half.child, NULL, 0);
}

// A decimal argument from low to high; anything else ends the program with its usage.
static inline long long number_argument(const char* text, long long low, long long high, const char* usage_text) {
  char* end;
  errno = 0;
  const long long value = strtoll(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || value < low || value > high) usage(usage_text);
  return value;
}

#endif
