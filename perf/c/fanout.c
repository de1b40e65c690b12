// One message to many sockets by a loop of send(), or by io_uring: CPU time of this process per delivery, and the time until the
// last peer has it. The limit for zerio's broadcast. The peers are perf/c/sink.c.
#define _GNU_SOURCE
#include "peers.h"
#include "uring_sends.h"

static const char USAGE[] =
  "fanout <payload bytes, 8 to 16384> <peers> <messages per turn> <turns per block> <blocks> [io_uring]";
enum { FRAMES_PER_TURN_MAX = 64 };

typedef struct {
  const int* peers;
  int count;
  UringSends* ring;  // or NULL
  char bytes[FRAMES_PER_TURN_MAX * (FRAME_HEADER_BYTES + PAYLOAD_BYTES_MAX)];
  size_t size;
  size_t frame_bytes;
} Turn;

static void prepare(Turn* turn, size_t payload_bytes, int per_turn) {
  const uint32_t header = (uint32_t)payload_bytes;
  turn->frame_bytes = FRAME_HEADER_BYTES + payload_bytes;
  turn->size = turn->frame_bytes * (size_t)per_turn;
  for (size_t at = 0; at < turn->size; at += turn->frame_bytes) memcpy(turn->bytes + at, &header, sizeof header);
}

// The stamp is the last message's.
static void send_turn(Turn* turn, double stamp_ns) {
  memcpy(turn->bytes + turn->size - turn->frame_bytes + FRAME_HEADER_BYTES, &stamp_ns, sizeof stamp_ns);
  if (turn->ring != NULL) {
    send_by_uring(turn->ring, turn->count, turn->bytes, turn->size);
  } else {
    for (int i = 0; i < turn->count; i++) send_all(turn->peers[i], turn->bytes, turn->size);
  }
}

// Sends a turn with a stamp and waits until all peers have it.
static double timed_turn_us(Turn* turn) {
  double took_ns;
  char answer[FRAME_HEADER_BYTES + sizeof took_ns];
  send_turn(turn, (double)clock_ns(CLOCK_MONOTONIC));
  receive_all(turn->peers[0], answer, sizeof answer);
  memcpy(&took_ns, answer + FRAME_HEADER_BYTES, sizeof took_ns);
  return took_ns / 1000;
}

int main(int argc, char** argv) {
  if (argc != 6 && (argc != 7 || strcmp(argv[6], "io_uring") != 0)) usage(USAGE);
  const size_t payload_bytes = (size_t)number_argument(argv[1], 8, PAYLOAD_BYTES_MAX, USAGE);
  const int count = (int)number_argument(argv[2], 1, PEERS_MAX, USAGE);
  const int per_turn = (int)number_argument(argv[3], 1, FRAMES_PER_TURN_MAX, USAGE);
  const int turns = (int)number_argument(argv[4], 1, 1000000, USAGE);
  const int blocks = (int)number_argument(argv[5], 1, 1000000, USAGE);
  alarm(DEADLINE_S);

  static int peers[PEERS_MAX];
  struct sockaddr_in address;
  const int listener = listen_on_loopback(&address);
  report_port(&address);
  accept_peers(listener, peers, count);

  static Turn turn = {.peers = peers};
  turn.count = count;
  UringSends ring;
  if (argc == 7) {
    open_uring_sends(&ring, peers, count);
    turn.ring = &ring;
  }
  prepare(&turn, payload_bytes, per_turn);
  timed_turn_us(&turn);
  printf("{\"cpuNs\":[");
  double* took_us = calloc((size_t)blocks, sizeof *took_us);
  if (took_us == NULL) die("calloc");
  for (int block = 0; block < blocks; block++) {
    const uint64_t began_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < turns; i++) send_turn(&turn, 0);
    const uint64_t spent_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - began_ns;
    const double deliveries = (double)turns * per_turn * count;
    printf("%s%.1f", block > 0 ? "," : "", (double)spent_ns / deliveries);
    timed_turn_us(&turn);
    took_us[block] = timed_turn_us(&turn);
  }
  printf("],\"lastUs\":[");
  for (int block = 0; block < blocks; block++) printf("%s%.1f", block > 0 ? "," : "", took_us[block]);
  printf("]}\n");
  return 0;
}
