// Echoes bytes for any number of connections: the limit for zerio's server. It sleeps in epoll_wait, or spins.
#define _GNU_SOURCE
#include <sys/epoll.h>

#include "peers.h"

static const char USAGE[] = "echo <epoll | spin> <connections>";

int main(int argc, char** argv) {
  if (argc != 3) usage(USAGE);
  const int spins = strcmp(argv[1], "spin") == 0;
  if (!spins && strcmp(argv[1], "epoll") != 0) usage(USAGE);
  const int count = (int)number_argument(argv[2], 1, PEERS_MAX, USAGE);
  alarm(DEADLINE_S);

  static int peers[PEERS_MAX];
  static char bytes[65536];
  struct sockaddr_in address;
  const int listener = listen_on_loopback(&address);
  report_port(&address);
  accept_peers(listener, peers, count);
  const int epoll = watch_all(peers, count);
  for (int open = count; open > 0;) {
    struct epoll_event events[EVENTS_MAX];
    const int ready = epoll_wait(epoll, events, EVENTS_MAX, spins ? 0 : -1);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < ready; i++) {
      const int peer = peers[events[i].data.u32];
      const ssize_t received = recv(peer, bytes, sizeof bytes, MSG_DONTWAIT);
      if (received > 0) {
        send_all(peer, bytes, (size_t)received);
      } else if (received == 0 || (errno != EAGAIN && errno != EINTR)) {
        close(peer);
        open--;
      }
    }
  }
  return 0;
}
