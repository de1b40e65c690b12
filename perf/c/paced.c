// Round trips on a schedule between two processes: a burst of messages every so many microseconds, measured from the
// time at which the burst was due. The sender spins; the echo side spins or sleeps in epoll_wait. The limit for
// zerio's round trips. Writes all latencies (float64 nanoseconds) into a file.
#define _GNU_SOURCE

#include "peers.h"

static const char USAGE[] =
  "paced <spin | epoll> <payload bytes, 8 to 1024> <interval ns> <burst> <warm-up bursts> <bursts> <file>";

typedef struct {
  uint64_t received;
  uint64_t warmup;
  double* latencies_ns;
} Sender;

static void take(const char* frame, void* context) {
  Sender* sender = context;
  double due_ns;
  memcpy(&due_ns, frame + FRAME_HEADER_BYTES, sizeof due_ns);
  const uint64_t number = sender->received++;
  if (number >= sender->warmup) {
    sender->latencies_ns[number - sender->warmup] = (double)clock_ns(CLOCK_MONOTONIC) - due_ns;
  }
}

static void echo(int socket, int spins) {
  static char bytes[65536];
  const int epoll = watch_all(&socket, 1);
  for (;;) {
    struct epoll_event event;
    if (!spins && epoll_wait(epoll, &event, 1, -1) < 0 && errno != EINTR) die("epoll_wait");
    const ssize_t count = recv(socket, bytes, sizeof bytes, MSG_DONTWAIT);
    if (count == 0 || (count < 0 && errno == ECONNRESET)) return;
    if (count > 0) send_all(socket, bytes, (size_t)count);
    if (count < 0 && errno != EAGAIN && errno != EINTR) die("recv");
  }
}

int main(int argc, char** argv) {
  if (argc != 8) usage(USAGE);
  const int spins = strcmp(argv[1], "spin") == 0;
  if (!spins && strcmp(argv[1], "epoll") != 0) usage(USAGE);
  const size_t payload_bytes = (size_t)number_argument(argv[2], 8, 1024, USAGE);
  const uint64_t interval_ns = (uint64_t)number_argument(argv[3], 1, 1000000000, USAGE);
  const uint64_t burst = (uint64_t)number_argument(argv[4], 1, 60, USAGE);
  const uint64_t warmup = (uint64_t)number_argument(argv[5], 0, 10000000, USAGE) * burst;
  const uint64_t messages = (uint64_t)number_argument(argv[6], 1, 10000000, USAGE) * burst;
  const size_t size = FRAME_HEADER_BYTES + payload_bytes;
  const uint64_t total = warmup + messages;

  const Half half = split_in_two(1);
  if (half.child == 0) {
    echo(half.socket, spins);
    return 0;
  }
  if (fcntl(half.socket, F_SETFL, O_NONBLOCK) != 0) die("O_NONBLOCK");

  static Partial partial;
  static char frames[60 * MESSAGE_BYTES_MAX];
  const uint32_t header = (uint32_t)payload_bytes;
  Sender sender = {.warmup = warmup, .latencies_ns = calloc(messages, sizeof *sender.latencies_ns)};
  if (sender.latencies_ns == NULL) die("calloc");
  const uint64_t began_ns = clock_ns(CLOCK_MONOTONIC);
  uint64_t due_ns = began_ns;
  uint64_t sent = 0;
  while (sender.received < total) {
    // A burst that is overdue goes out once the one before is back, and counts from when it was due.
    if (sent < total && clock_ns(CLOCK_MONOTONIC) >= due_ns && sender.received == sent) {
      const double stamp_ns = (double)due_ns;
      for (uint64_t i = 0; i < burst; i++) {
        memcpy(frames + i * size, &header, sizeof header);
        memcpy(frames + i * size + FRAME_HEADER_BYTES, &stamp_ns, sizeof stamp_ns);
      }
      send_all(half.socket, frames, burst * size);
      sent += burst;
      due_ns += interval_ns;
    }
    if (!receive_frames(half.socket, &partial, size, take, &sender)) fail("the echo side closed");
  }
  const double seconds = (double)(clock_ns(CLOCK_MONOTONIC) - began_ns) / 1e9;
  end_child(half);

  FILE* file = fopen(argv[7], "wb");
  if (file == NULL) die(argv[7]);
  if (fwrite(sender.latencies_ns, sizeof(double), messages, file) != messages || fclose(file) != 0) die(argv[7]);
  printf("{\"bursts\":%llu,\"seconds\":%.6f}\n", (unsigned long long)(total / burst), seconds);
  return 0;
}
