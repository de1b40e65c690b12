// Measures what it costs to send one message to many sockets, one send() each: nanoseconds of the sender's CPU time
// per delivery. A forked child reads all sockets empty with epoll.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "loopback.h"

static const char USAGE[] = "fanout <payload bytes> <sockets> <rounds>";
enum { HEADER_BYTES = 4, PAYLOAD_BYTES_MAX = 65536, SOCKETS_MAX = 10000, EVENTS_MAX = 256, SPARE_FILES = 32 };

static void allow_files(rlim_t count) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) die("getrlimit");
  if (limit.rlim_cur >= count) return;
  limit.rlim_cur = count;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) die("too many sockets for this process's limit of open files");
}

// Reads until every socket has been closed by the sender.
static void drain(const int* sockets, int open) {
  static char bytes[65536];
  const int epoll = epoll_create1(0);
  if (epoll < 0) die("epoll_create1");
  for (int i = 0; i < open; i++) {
    struct epoll_event interest = {.events = EPOLLIN, .data.fd = sockets[i]};
    if (fcntl(sockets[i], F_SETFL, O_NONBLOCK) != 0) die("O_NONBLOCK");
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, sockets[i], &interest) != 0) die("epoll_ctl");
  }
  while (open > 0) {
    struct epoll_event events[EVENTS_MAX];
    const int ready = epoll_wait(epoll, events, EVENTS_MAX, -1);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < ready; i++) {
      const ssize_t count = recv(events[i].data.fd, bytes, sizeof bytes, 0);
      if (count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR))) continue;
      if (count < 0) die("recv");
      close(events[i].data.fd);
      open--;
    }
  }
}

static void send_to_all(const int* sockets, int count, const char* message, size_t size) {
  for (int i = 0; i < count; i++) {
    for (size_t sent = 0; sent < size;) {
      const ssize_t written = send(sockets[i], message + sent, size - sent, MSG_NOSIGNAL);
      if (written < 0 && errno != EINTR) die("send");
      if (written > 0) sent += (size_t)written;
    }
  }
}

int main(int argc, char** argv) {
  if (argc != 4) usage(USAGE);
  const size_t payload_bytes = (size_t)number_argument(argv[1], 0, PAYLOAD_BYTES_MAX, USAGE);
  const int count = (int)number_argument(argv[2], 1, SOCKETS_MAX, USAGE);
  const int rounds = (int)number_argument(argv[3], 1, 1000000, USAGE);
  allow_files((rlim_t)count * 2 + SPARE_FILES);

  static int senders[SOCKETS_MAX], receivers[SOCKETS_MAX];
  struct sockaddr_in address;
  const int listener = listen_on_loopback(&address);
  for (int i = 0; i < count; i++) {
    int pair[2];
    connect_pair(listener, &address, pair, 1);
    senders[i] = pair[0];
    receivers[i] = pair[1];
  }

  const pid_t child = fork();
  if (child < 0) die("fork");
  alarm(DEADLINE_S);
  for (int i = 0; i < count; i++) close(child == 0 ? senders[i] : receivers[i]);
  if (child == 0) {
    drain(receivers, count);
    return 0;
  }

  static char message[HEADER_BYTES + PAYLOAD_BYTES_MAX];
  const uint32_t header = (uint32_t)payload_bytes;
  memcpy(message, &header, sizeof header);
  send_to_all(senders, count, message, HEADER_BYTES + payload_bytes);
  const uint64_t began_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  for (int i = 0; i < rounds; i++) send_to_all(senders, count, message, HEADER_BYTES + payload_bytes);
  const uint64_t spent_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - began_ns;
  for (int i = 0; i < count; i++) close(senders[i]);
  waitpid(child, NULL, 0);
  printf("{\"cpuNsPerDelivery\":%.1f}\n", (double)spent_ns / ((double)count * rounds));
  return 0;
}
