// Newcomers without end: so many connections are always on their way to connect, do the classic handshake and leave. Says how many
// did so in a second. Every connection ends with a reset, so that no port waits for late packets.
#define _GNU_SOURCE
#include "peers.h"

static const char USAGE[] = "churn <port> <in flight, 1 to 1024> <warm-up ms> <milliseconds>";
enum { IN_FLIGHT_MAX = 1024 };

typedef struct {
  int socket;
  int number;
  int asked;
} Newcomer;

static struct sockaddr_in address;
static int numbers;

static void begin(Newcomer* newcomer, int epoll, uint32_t place) {
  const int peer = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (peer < 0) die("socket");
  const struct linger reset = {.l_onoff = 1, .l_linger = 0};
  if (setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) != 0) die("SO_LINGER");
  if (connect(peer, (const struct sockaddr*)&address, sizeof address) != 0 && errno != EINPROGRESS) die("connect");
  *newcomer = (Newcomer){.socket = peer, .number = numbers++};
  struct epoll_event interest = {.events = EPOLLOUT, .data.u32 = place};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, peer, &interest) != 0) die("epoll_ctl");
}

// Returns whether it has left.
static int go_on(Newcomer* newcomer, int epoll, uint32_t place) {
  if (!newcomer->asked) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(newcomer->socket, SOL_SOCKET, SO_ERROR, &error, &size) != 0) die("SO_ERROR");
    if (error != 0) {
      errno = error;
      die("connect");
    }
    send_hello(newcomer->socket, newcomer->number);
    newcomer->asked = 1;
    struct epoll_event interest = {.events = EPOLLIN, .data.u32 = place};
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, newcomer->socket, &interest) != 0) die("epoll_ctl");
    return 0;
  }
  char hello[HELLO_BYTES + 1], answer[HELLO_BYTES];
  const ssize_t count = recv(newcomer->socket, answer, sizeof answer, 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (count < 0) die("recv");
  make_hello(hello, newcomer->number);
  if (count != HELLO_BYTES || memcmp(hello, answer, HELLO_BYTES) != 0) fail("a handshake was answered with something else");
  close(newcomer->socket);
  return 1;
}

int main(int argc, char** argv) {
  if (argc != 5) usage(USAGE);
  const int port = (int)number_argument(argv[1], 1, 65535, USAGE);
  const int in_flight = (int)number_argument(argv[2], 1, IN_FLIGHT_MAX, USAGE);
  const uint64_t warmup_ns = (uint64_t)number_argument(argv[3], 0, 60000, USAGE) * 1000000u;
  const uint64_t measured_ns = (uint64_t)number_argument(argv[4], 1, 60000, USAGE) * 1000000u;
  alarm(DEADLINE_S);

  address = (struct sockaddr_in){
    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
  allow_files((rlim_t)in_flight + SPARE_FILES);
  const int epoll = epoll_create1(0);
  if (epoll < 0) die("epoll_create1");
  static Newcomer newcomers[IN_FLIGHT_MAX];
  for (int i = 0; i < in_flight; i++) begin(&newcomers[i], epoll, (uint32_t)i);

  const uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC) + warmup_ns;
  uint64_t now_ns = 0;
  uint64_t left = 0;
  while ((now_ns = clock_ns(CLOCK_MONOTONIC)) < begin_ns + measured_ns) {
    struct epoll_event events[EVENTS_MAX];
    const int ready = epoll_wait(epoll, events, EVENTS_MAX, 1000);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    if (ready == 0) fail("the server has answered no newcomer for a second");
    for (int i = 0; i < ready; i++) {
      const uint32_t place = events[i].data.u32;
      if (!go_on(&newcomers[place], epoll, place)) continue;
      if (now_ns >= begin_ns) left++;
      begin(&newcomers[place], epoll, place);
    }
  }
  printf("{\"newcomersPerSecond\":%.0f}\n", (double)left * 1e9 / (double)measured_ns);
  return 0;
}
