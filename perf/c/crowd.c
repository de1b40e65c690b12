// Many connected peers of which some are active: messages go out on a schedule, one after the other over the active
// peers, and are to come back. Latency counts from the scheduled time, so that a stall of the server is not hidden by
// a sender that waits for it. Writes all latencies (float64 nanoseconds) into a file. It never sleeps, unless the schedule
// leaves it a millisecond or more.
#define _GNU_SOURCE
#include <poll.h>

#include "peers.h"

static const char USAGE[] =
  "crowd <port> <peers> <active> <payload bytes, 8 to 1000> <interval ns> <warm-up messages> <messages> <file>";
enum { LATE_MAX_S = 20, SLEEP_MIN_NS = 1000000 };

typedef struct {
  uint64_t received;
  uint64_t warmup;
  double* latencies_ns;
} Crowd;

static void take(const char* frame, void* context) {
  Crowd* crowd = context;
  double due_ns;
  memcpy(&due_ns, frame + FRAME_HEADER_BYTES, sizeof due_ns);
  const uint64_t number = crowd->received++;
  if (number >= crowd->warmup) {
    crowd->latencies_ns[number - crowd->warmup] = (double)clock_ns(CLOCK_MONOTONIC) - due_ns;
  }
}

static void write_file(const char* path, const double* values, size_t count) {
  FILE* file = fopen(path, "wb");
  if (file == NULL) die(path);
  if (fwrite(values, sizeof *values, count, file) != count || fclose(file) != 0) die(path);
}

// Until something comes back, or the next message is due.
static void rest(int epoll, uint64_t due_ns) {
  const uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
  if (due_ns <= now_ns) return;
  const uint64_t left_ns = due_ns - now_ns;
  const struct timespec left = {.tv_sec = (time_t)(left_ns / 1000000000u), .tv_nsec = (long)(left_ns % 1000000000u)};
  struct pollfd answers = {.fd = epoll, .events = POLLIN};
  if (ppoll(&answers, 1, &left, NULL) < 0 && errno != EINTR) die("ppoll");
}

// False at the end of stdin.
static int read_line(void) {
  for (;;) {
    const int character = getchar();
    if (character == EOF) return 0;
    if (character == '\n') return 1;
  }
}

int main(int argc, char** argv) {
  if (argc != 9) usage(USAGE);
  const int port = (int)number_argument(argv[1], 1, 65535, USAGE);
  const int count = (int)number_argument(argv[2], 1, PEERS_MAX, USAGE);
  const int active = (int)number_argument(argv[3], 1, count, USAGE);
  const size_t payload_bytes = (size_t)number_argument(argv[4], 8, 1000, USAGE);
  const uint64_t interval_ns = (uint64_t)number_argument(argv[5], 1, 1000000000, USAGE);
  const uint64_t warmup = (uint64_t)number_argument(argv[6], 0, 100000000, USAGE);
  const uint64_t messages = (uint64_t)number_argument(argv[7], 1, 100000000, USAGE);
  const size_t size = FRAME_HEADER_BYTES + payload_bytes;
  const uint64_t total = warmup + messages;
  alarm(DEADLINE_S);

  static int peers[PEERS_MAX];
  static Partial partials[PEERS_MAX];
  connect_peers(peers, count, port);
  const int epoll = watch_all(peers, count);
  Crowd crowd = {.warmup = warmup, .latencies_ns = calloc(messages, sizeof *crowd.latencies_ns)};
  if (crowd.latencies_ns == NULL) die("calloc");
  printf("{\"connected\":%d}\n", count);
  fflush(stdout);
  // The starter looks at the server before and after.
  if (!read_line()) return 0;

  static char frame[MESSAGE_BYTES_MAX];
  const uint32_t header = (uint32_t)payload_bytes;
  memcpy(frame, &header, sizeof header);
  const uint64_t began_ns = clock_ns(CLOCK_MONOTONIC);
  const uint64_t gives_up_ns = began_ns + total * interval_ns + LATE_MAX_S * 1000000000ull;
  uint64_t sent = 0;
  // Active peers are spread over all of them, as they would be in a crowd.
  const int stride = count / active;
  while (crowd.received < total) {
    const uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
    if (now_ns > gives_up_ns) fail("the server did not answer all messages in time");
    while (sent < total && began_ns + sent * interval_ns <= now_ns) {
      const double due_ns = (double)(began_ns + sent * interval_ns);
      memcpy(frame + FRAME_HEADER_BYTES, &due_ns, sizeof due_ns);
      send_all(peers[(int)(sent % (uint64_t)active) * stride], frame, size);
      sent++;
    }
    if (interval_ns >= SLEEP_MIN_NS) rest(epoll, began_ns + sent * interval_ns);
    struct epoll_event events[EVENTS_MAX];
    const int ready = epoll_wait(epoll, events, EVENTS_MAX, 0);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < ready; i++) {
      const uint32_t index = events[i].data.u32;
      if (!receive_frames(peers[index], &partials[index], size, take, &crowd)) fail("the server closed a connection");
    }
  }
  const double seconds = (double)(clock_ns(CLOCK_MONOTONIC) - began_ns) / 1e9;
  write_file(argv[8], crowd.latencies_ns, messages);
  printf("{\"messages\":%llu,\"seconds\":%.6f}\n", (unsigned long long)total, seconds);
  fflush(stdout);
  // Memory is looked at while all are connected.
  read_line();
  return 0;
}
