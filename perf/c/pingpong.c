// Measures round trips of one framed message over a TCP loopback socket between two processes: the limit for
// zerio's latency. "spin" never sleeps (recv until it has something), "epoll" sleeps in epoll_wait on both sides.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdbool.h>
#include <sys/epoll.h>

#include "loopback.h"

static const char USAGE[] = "pingpong spin|epoll <payload bytes> <warm-up round trips> <round trips>";
enum { HEADER_BYTES = 4, PAYLOAD_BYTES_MAX = 65536 };

// One side of the connection: a non-blocking socket, and the epoll that waits for it (-1: spin).
typedef struct {
  int socket;
  int epoll;
} Side;

static Side open_side(int socket, bool spins) {
  Side side = {.socket = socket, .epoll = -1};
  if (fcntl(socket, F_SETFL, O_NONBLOCK) != 0) die("O_NONBLOCK");
  if (!spins) {
    struct epoll_event interest = {.events = EPOLLIN};
    side.epoll = epoll_create1(0);
    if (side.epoll < 0) die("epoll_create1");
    if (epoll_ctl(side.epoll, EPOLL_CTL_ADD, socket, &interest) != 0) die("epoll_ctl");
  }
  return side;
}

// False when the other side has closed.
static bool receive_message(const Side* side, char* message, size_t size) {
  size_t filled = 0;
  while (filled < size) {
    if (side->epoll >= 0) {
      struct epoll_event event;
      if (epoll_wait(side->epoll, &event, 1, -1) < 0 && errno != EINTR) die("epoll_wait");
    }
    const ssize_t count = recv(side->socket, message + filled, size - filled, 0);
    if (count == 0) return false;
    if (count > 0) {
      filled += (size_t)count;
    } else if (errno != EAGAIN && errno != EINTR) {
      die("recv");
    }
  }
  return true;
}

static void send_message(const Side* side, const char* message, size_t size) {
  size_t sent = 0;
  while (sent < size) {
    const ssize_t count = send(side->socket, message + sent, size - sent, MSG_NOSIGNAL);
    if (count > 0) {
      sent += (size_t)count;
    } else if (errno != EAGAIN && errno != EINTR) {
      die("send");
    }
  }
}

static void echo(const Side* side, char* message, size_t size) {
  while (receive_message(side, message, size)) send_message(side, message, size);
}

static int ascending(const void* left, const void* right) {
  const uint64_t a = *(const uint64_t*)left, b = *(const uint64_t*)right;
  return (a > b) - (a < b);
}

// Nearest rank, `sorted_ns` ascending.
static double percentile_us(const uint64_t* sorted_ns, size_t count, size_t per_thousand) {
  const size_t rank = (count * per_thousand + 999) / 1000;
  return (double)sorted_ns[rank - 1] / 1000.0;
}

int main(int argc, char** argv) {
  if (argc != 5) usage(USAGE);
  const bool spins = strcmp(argv[1], "spin") == 0;
  if (!spins && strcmp(argv[1], "epoll") != 0) usage(USAGE);
  const size_t payload_bytes = (size_t)number_argument(argv[2], 0, PAYLOAD_BYTES_MAX, USAGE);
  const size_t warmup = (size_t)number_argument(argv[3], 0, 100000000, USAGE);
  const size_t count = (size_t)number_argument(argv[4], 1, 100000000, USAGE);
  const size_t size = HEADER_BYTES + payload_bytes;

  static char message[HEADER_BYTES + PAYLOAD_BYTES_MAX];
  const Half half = split_in_two(1);
  const Side side = open_side(half.socket, spins);
  if (half.child == 0) {
    echo(&side, message, size);
    return 0;
  }

  const uint32_t header = (uint32_t)payload_bytes;
  memcpy(message, &header, sizeof header);
  uint64_t* round_trips_ns = calloc(count, sizeof *round_trips_ns);
  if (round_trips_ns == NULL) die("calloc");
  // One clock reading per round trip: where one ends the next begins, as in the JavaScript programs.
  uint64_t began_ns = clock_ns(CLOCK_MONOTONIC);
  for (size_t i = 0; i < warmup + count; i++) {
    send_message(&side, message, size);
    if (!receive_message(&side, message, size)) fail("the echo side closed");
    const uint64_t ended_ns = clock_ns(CLOCK_MONOTONIC);
    if (i >= warmup) round_trips_ns[i - warmup] = ended_ns - began_ns;
    began_ns = ended_ns;
  }
  end_child(half);

  qsort(round_trips_ns, count, sizeof *round_trips_ns, ascending);
  printf("{\"p50Us\":%.3f,\"p99Us\":%.3f,\"p999Us\":%.3f,\"maxUs\":%.3f}\n", percentile_us(round_trips_ns, count, 500),
         percentile_us(round_trips_ns, count, 990), percentile_us(round_trips_ns, count, 999),
         percentile_us(round_trips_ns, count, 1000));
  return 0;
}
