// Many connected peers in one process: sockets that have done the classic handshake, whose first frame is the peer's
// id and whose answer is the same frame. Zerio servers know it, and any server that echoes bytes does it by nature.
#ifndef ZERIO_PERF_PEERS_H
#define ZERIO_PERF_PEERS_H

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "loopback.h"

enum {
  FRAME_HEADER_BYTES = 4,
  PEERS_MAX = 28000,
  SPARE_FILES = 64,
  ID_BYTES = 15,
  HELLO_BYTES = FRAME_HEADER_BYTES + ID_BYTES,
  CONNECTING_MAX = 64,
  EVENTS_MAX = 256,
};

static inline void allow_files(rlim_t count) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) die("getrlimit");
  if (limit.rlim_cur >= count) return;
  limit.rlim_cur = count;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) die("too many sockets for this process's limit of open files");
}

static inline void receive_all(int socket, char* bytes, size_t size) {
  for (size_t filled = 0; filled < size;) {
    const ssize_t count = recv(socket, bytes + filled, size - filled, 0);
    if (count == 0) fail("the server closed a connection");
    if (count < 0 && errno != EINTR) die("recv");
    if (count > 0) filled += (size_t)count;
  }
}

static inline void send_all(int socket, const char* bytes, size_t size) {
  for (size_t sent = 0; sent < size;) {
    const ssize_t count = send(socket, bytes + sent, size - sent, MSG_NOSIGNAL);
    if (count < 0 && errno != EINTR && errno != EAGAIN) die("send");
    if (count > 0) sent += (size_t)count;
  }
}

static inline void make_hello(char hello[HELLO_BYTES + 1], int number) {
  const uint32_t length = ID_BYTES;
  memcpy(hello, &length, sizeof length);
  snprintf(hello + FRAME_HEADER_BYTES, ID_BYTES + 1, "peer%011d", number);
}

typedef struct {
  void (*prepare)(int peer, int number);  // before it is connected; or NULL
  void (*ask)(int peer, int number);
  void (*await)(int peer, int number);
} Handshake;

static inline int connect_one(const struct sockaddr_in* address, const Handshake* handshake, int number) {
  const int peer = socket(AF_INET, SOCK_STREAM, 0);
  if (peer < 0) die("socket");
  if (handshake->prepare != NULL) handshake->prepare(peer, number);
  if (connect(peer, (const struct sockaddr*)address, sizeof *address) != 0) die("connect");
  const int no_delay = 1;
  if (setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof no_delay) != 0) die("TCP_NODELAY");
  // Ten thousand ports that wait for late packets would stop the next run.
  const struct linger reset = {.l_onoff = 1, .l_linger = 0};
  if (setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) != 0) die("SO_LINGER");
  return peer;
}

static inline void send_hello(int peer, int number) {
  char hello[HELLO_BYTES + 1];
  make_hello(hello, number);
  send_all(peer, hello, HELLO_BYTES);
}

static inline void await_hello(int peer, int number) {
  char hello[HELLO_BYTES + 1], answer[HELLO_BYTES];
  receive_all(peer, answer, HELLO_BYTES);
  make_hello(hello, number);
  if (memcmp(hello, answer, HELLO_BYTES) != 0) fail("the server answered the handshake with something else");
}

// Connects `count` peers and waits for each handshake, a few at a time: no listen queue overflows.
static inline void connect_peers_by(const Handshake* handshake, int* peers, int count, int port) {
  const struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
  allow_files((rlim_t)count + SPARE_FILES);
  for (int first = 0; first < count; first += CONNECTING_MAX) {
    const int end = first + CONNECTING_MAX < count ? first + CONNECTING_MAX : count;
    for (int i = first; i < end; i++) {
      peers[i] = connect_one(&address, handshake, i);
      handshake->ask(peers[i], i);
    }
    for (int i = first; i < end; i++) {
      handshake->await(peers[i], i);
      if (fcntl(peers[i], F_SETFL, O_NONBLOCK) != 0) die("O_NONBLOCK");
    }
  }
}

static inline void connect_peers(int* peers, int count, int port) {
  const Handshake classic = {.ask = send_hello, .await = await_hello};
  connect_peers_by(&classic, peers, count, port);
}

// An epoll that knows each socket by its index.
static inline int watch_all(const int* sockets, int count) {
  const int epoll = epoll_create1(0);
  if (epoll < 0) die("epoll_create1");
  for (int i = 0; i < count; i++) {
    struct epoll_event interest = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, sockets[i], &interest) != 0) die("epoll_ctl");
  }
  return epoll;
}

// The server's side: accepts `count` peers and does their handshakes.
static inline void accept_peers(int listener, int* peers, int count) {
  char hello[HELLO_BYTES];
  allow_files((rlim_t)count + SPARE_FILES);
  for (int i = 0; i < count; i++) {
    peers[i] = accept(listener, NULL, NULL);
    if (peers[i] < 0) die("accept");
    const int no_delay = 1;
    if (setsockopt(peers[i], IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof no_delay) != 0) die("TCP_NODELAY");
    receive_all(peers[i], hello, HELLO_BYTES);
    send_all(peers[i], hello, HELLO_BYTES);
  }
}

// Tells the starter where the server listens.
static inline void report_port(const struct sockaddr_in* address) {
  printf("{\"port\":%d}\n", ntohs(address->sin_port));
  fflush(stdout);
}

// What has come of a message that is not complete yet.
enum { PAYLOAD_BYTES_MAX = 16384, MESSAGE_BYTES_MAX = 16448 };
typedef struct {
  uint32_t filled;
  char bytes[MESSAGE_BYTES_MAX];
} Partial;

typedef void (*MessageHandler)(const char* frame, void* context);

// Receives once, and gives each complete frame of `size` bytes to the handler. False when the other side has closed.
static inline int receive_frames(int socket, Partial* partial, size_t size, MessageHandler handler, void* context) {
  static char bytes[65536];
  memcpy(bytes, partial->bytes, partial->filled);
  const ssize_t count = recv(socket, bytes + partial->filled, sizeof bytes - partial->filled, 0);
  if (count == 0 || (count < 0 && errno == ECONNRESET)) return 0;
  if (count < 0 && errno != EAGAIN && errno != EINTR) die("recv");
  const size_t filled = partial->filled + (count > 0 ? (size_t)count : 0);
  size_t at = 0;
  for (; filled - at >= size; at += size) handler(bytes + at, context);
  partial->filled = (uint32_t)(filled - at);
  memcpy(partial->bytes, bytes + at, partial->filled);
  return 1;
}

#endif
