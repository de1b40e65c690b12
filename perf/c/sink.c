// Many peers that only receive, the other side of the fan-out programs. Messages carry a time stamp (float64
// nanoseconds) first; when all peers have received one whose stamp is not 0, the first peer sends a message back: how
// long that took since the stamp.
#define _GNU_SOURCE
#include "peers.h"

static const char USAGE[] = "sink <port> <peers> <payload bytes, 8 to 16384>";

typedef struct {
  int peers;
  int arrived;
  int first_socket;
} Sink;

static void take(const char* frame, void* context) {
  Sink* sink = context;
  double stamp_ns;
  memcpy(&stamp_ns, frame + FRAME_HEADER_BYTES, sizeof stamp_ns);
  if (stamp_ns == 0 || ++sink->arrived < sink->peers) return;
  sink->arrived = 0;
  const double took_ns = (double)clock_ns(CLOCK_MONOTONIC) - stamp_ns;
  char answer[FRAME_HEADER_BYTES + sizeof took_ns];
  const uint32_t length = sizeof took_ns;
  memcpy(answer, &length, sizeof length);
  memcpy(answer + FRAME_HEADER_BYTES, &took_ns, sizeof took_ns);
  send_all(sink->first_socket, answer, sizeof answer);
}

int main(int argc, char** argv) {
  if (argc != 4) usage(USAGE);
  const int port = (int)number_argument(argv[1], 1, 65535, USAGE);
  const int count = (int)number_argument(argv[2], 1, PEERS_MAX, USAGE);
  const size_t size = FRAME_HEADER_BYTES + (size_t)number_argument(argv[3], 8, PAYLOAD_BYTES_MAX, USAGE);
  alarm(DEADLINE_S);

  static int peers[PEERS_MAX];
  static Partial partials[PEERS_MAX];
  connect_peers(peers, count, port);
  printf("{\"connected\":%d}\n", count);
  fflush(stdout);

  const int epoll = watch_all(peers, count);
  Sink sink = {.peers = count, .first_socket = peers[0]};
  for (int open = count; open > 0;) {
    struct epoll_event events[EVENTS_MAX];
    const int ready = epoll_wait(epoll, events, EVENTS_MAX, -1);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < ready; i++) {
      const uint32_t index = events[i].data.u32;
      if (receive_frames(peers[index], &partials[index], size, take, &sink)) continue;
      close(peers[index]);
      open--;
    }
  }
  return 0;
}
