// Takes newcomers without end, and echoes what they say: the limit for zerio's server where connections come and go.
#define _GNU_SOURCE
#include "peers.h"

static const char USAGE[] = "greeter";

static void watch(int epoll, int socket) {
  struct epoll_event interest = {.events = EPOLLIN, .data.fd = socket};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &interest) != 0) die("epoll_ctl");
}

static void accept_all(int epoll, int listener) {
  for (;;) {
    const int peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (peer < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)) return;
    if (peer < 0) die("accept");
    const int no_delay = 1;
    // A newcomer that has left already is no fault.
    (void)setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof no_delay);
    watch(epoll, peer);
  }
}

int main(int argc, char** argv) {
  (void)argv;
  if (argc != 1) usage(USAGE);
  alarm(DEADLINE_S);
  allow_files(2048);
  struct sockaddr_in address;
  const int listener = listen_on_loopback(&address);
  if (fcntl(listener, F_SETFL, O_NONBLOCK) != 0) die("O_NONBLOCK");
  const int epoll = epoll_create1(0);
  if (epoll < 0) die("epoll_create1");
  watch(epoll, listener);
  report_port(&address);
  for (;;) {
    struct epoll_event events[EVENTS_MAX];
    const int ready = epoll_wait(epoll, events, EVENTS_MAX, -1);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < ready; i++) {
      const int socket = events[i].data.fd;
      if (socket == listener) {
        accept_all(epoll, listener);
        continue;
      }
      char bytes[4096];
      const ssize_t received = recv(socket, bytes, sizeof bytes, 0);
      // What is sent to a newcomer that has left is lost.
      if (received > 0) (void)!send(socket, bytes, (size_t)received, MSG_NOSIGNAL);
      else if (received == 0 || (errno != EAGAIN && errno != EINTR)) close(socket);
    }
  }
}
