// Many peers that get numbered updates of 256 keys from one server. Most of them read: each must see every update, and how late
// they are counts from when the update was due. The slow ones, which come last, read nothing until a line says so. They get every
// update up to one for which the server had no room; then the newest value of each key that has changed since, once; then every
// update again, and so on. Anything else ends the program with a sentence.
//
// An update is the key (u32), a sequence number (u32, from 1 on), 4 bytes of nothing, when it was due (float64 nanoseconds), and
// bytes that are not read. With `frames` each follows its length (u32); with `ws` one or more are a message of a WebSocket.
//
// Lines on stdin: `measure` begins a measurement, `report` ends it, `read` makes the slow ones read, and `finish <sequence>
// <seconds>` waits so long until all have the last update.
#define _GNU_SOURCE
#include "histogram.h"
#include "peers.h"

static const char USAGE[] = "subscribers <port> <reading peers> <slow peers> <frames|ws> <update bytes, 20 to 2000>";
enum {
  KEYS = 256,
  UPDATE_BYTES_MIN = 20,
  UPDATE_BYTES_MAX = 2000,
  SEQUENCE_AT = 4,
  DUE_AT = 12,
  WINDOW_NS = 500000000,
  WINDOWS_MAX = 4000,
  QUIET_MS = 200,
  // As over Ethernet: with the loopback interface's 64 KiB the system would keep more for a peer that does not read.
  SEGMENT_BYTES = 1460,
  STDIN_INDEX = PEERS_MAX,
};

// What a peer got in place of the updates that it missed, so far.
typedef struct {
  uint32_t last;             // the highest sequence number; 0 for none
  uint32_t sequences[KEYS];  // by key; 0 for none
} Newest;

typedef struct {
  uint32_t expected;
  uint32_t left;  // bytes of the message that has begun
  uint32_t filled;
  char partial[FRAME_HEADER_BYTES + UPDATE_BYTES_MAX];
  Newest* newest;  // of slow peers; NULL means that nothing may be missed
  uint32_t jumps;  // how often the newest values took the place of updates
  uint32_t again;  // how often a key came again before all newest values were there
} Peer;

typedef struct {
  int is_ws;
  uint32_t update_bytes;
  int reading;
  int count;
  int sockets[PEERS_MAX];
  Peer peers[PEERS_MAX];
  int is_measuring;
  uint64_t window_began_ns;
  Histogram window;
  Histogram all;
  int windows;
  double window_p99_us[WINDOWS_MAX];
} Crowd;

static Crowd crowd;

static uint32_t key_of(uint32_t sequence) { return (sequence * 2654435761u) >> 24; }

static _Noreturn void fail_peer(const Peer* peer, uint32_t sequence, const char* what) {
  fprintf(stderr, "%s: update %u instead of %u, at peer %d of %d that read and %d slow ones\n", what, sequence, peer->expected,
          (int)(peer - crowd.peers), crowd.reading, crowd.count - crowd.reading);
  exit(1);
}

// Whether these are the newest values of all keys that have changed since the updates before. Going back from the last one, the
// first of each key is its newest.
static int is_complete(const Peer* peer, const Newest* newest) {
  uint8_t seen[KEYS] = {0};
  int left = KEYS;
  for (uint32_t sequence = newest->last; sequence >= peer->expected && left > 0; sequence--) {
    const uint32_t key = key_of(sequence);
    if (seen[key]) continue;
    if (newest->sequences[key] != sequence) return 0;
    seen[key] = 1;
    left--;
  }
  return 1;
}

static void take_newest(Peer* peer, uint32_t key, uint32_t sequence) {
  Newest* newest = peer->newest;
  if (newest == NULL) fail_peer(peer, sequence, "a peer that reads missed an update, or got one twice");
  if (sequence < peer->expected) fail_peer(peer, sequence, "a slow peer got an old update");
  if (sequence <= newest->sequences[key]) fail_peer(peer, sequence, "a slow peer got a value twice, or an older one");
  if (newest->sequences[key] != 0) peer->again++;
  if (newest->last == 0) peer->jumps++;
  newest->sequences[key] = sequence;
  if (sequence > newest->last) newest->last = sequence;
  if (!is_complete(peer, newest)) return;
  peer->expected = newest->last + 1;
  memset(newest, 0, sizeof *newest);
}

static void take_update(Peer* peer, const char* bytes, uint64_t now_ns) {
  uint32_t key, sequence;
  memcpy(&key, bytes, sizeof key);
  memcpy(&sequence, bytes + SEQUENCE_AT, sizeof sequence);
  if (key != key_of(sequence)) fail_peer(peer, sequence, "an update has another key's value");
  if (sequence == peer->expected && (peer->newest == NULL || peer->newest->last == 0))
    peer->expected++;
  else
    take_newest(peer, key, sequence);
  if (!crowd.is_measuring || peer->newest != NULL) return;
  double due_ns;
  memcpy(&due_ns, bytes + DUE_AT, sizeof due_ns);
  const double late_ns = (double)now_ns - due_ns;
  record(&crowd.window, late_ns > 0 ? (uint64_t)late_ns : 0);
}

// The bytes of a message's header, 0 when they have not all come yet, and the length of the message.
static size_t read_header(const char* bytes, size_t size, uint32_t* length) {
  if (!crowd.is_ws) {
    if (size < FRAME_HEADER_BYTES) return 0;
    memcpy(length, bytes, sizeof *length);
    return FRAME_HEADER_BYTES;
  }
  const uint8_t* header = (const uint8_t*)bytes;
  if (size < 2) return 0;
  // A whole message of bytes, whose length has 7 or 16 bits.
  if (header[0] != 0x82 || header[1] > 126) fail("a WebSocket message is of another kind than updates are");
  *length = header[1];
  if (*length < 126) return 2;
  if (size < 4) return 0;
  *length = ((uint32_t)header[2] << 8) | header[3];
  return 4;
}

static size_t take_bytes(Peer* peer, const char* bytes, size_t size, uint64_t now_ns) {
  size_t at = 0;
  for (;;) {
    if (peer->left == 0) {
      const size_t header_bytes = read_header(bytes + at, size - at, &peer->left);
      if (header_bytes == 0) return at;
      if (peer->left == 0 || peer->left % crowd.update_bytes != 0) fail("a message has another length than updates have");
      at += header_bytes;
    }
    if (size - at < crowd.update_bytes) return at;
    take_update(peer, bytes + at, now_ns);
    at += crowd.update_bytes;
    peer->left -= crowd.update_bytes;
  }
}

static void receive(int index) {
  static char bytes[262144];
  Peer* peer = &crowd.peers[index];
  memcpy(bytes, peer->partial, peer->filled);
  const ssize_t count = recv(crowd.sockets[index], bytes + peer->filled, sizeof bytes - peer->filled, 0);
  if (count == 0 || (count < 0 && errno == ECONNRESET)) fail("the server closed a connection");
  if (count < 0 && errno != EAGAIN && errno != EINTR) die("recv");
  if (count <= 0) return;
  const size_t size = peer->filled + (size_t)count;
  const size_t at = take_bytes(peer, bytes, size, clock_ns(CLOCK_MONOTONIC));
  peer->filled = (uint32_t)(size - at);
  memcpy(peer->partial, bytes + at, peer->filled);
}

static void ask_for_websocket(int peer, int number) {
  static const char request[] =
      "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  (void)number;
  send_all(peer, request, sizeof request - 1);
}

static void await_websocket(int peer, int number) {
  static const char accepted[] = "HTTP/1.1 101 ";
  char answer[1024] = {0};
  (void)number;
  for (size_t size = 0; size + 1 < sizeof answer; size++) {
    receive_all(peer, answer + size, 1);
    if (size < 3 || memcmp(answer + size - 3, "\r\n\r\n", 4) != 0) continue;
    if (memcmp(answer, accepted, sizeof accepted - 1) != 0) break;
    return;
  }
  fail("the server did not accept a WebSocket");
}

static void watch(int epoll, int first, int end) {
  for (int i = first; i < end; i++) {
    struct epoll_event interest = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, crowd.sockets[i], &interest) != 0) die("epoll_ctl");
  }
}

static void begin_window(void) {
  memset(&crowd.window, 0, sizeof crowd.window);
  crowd.window_began_ns = clock_ns(CLOCK_MONOTONIC);
}

static void end_window(void) {
  if (crowd.window.count > 0 && crowd.windows < WINDOWS_MAX) {
    crowd.window_p99_us[crowd.windows++] = percentile_us(&crowd.window, 99);
  }
  add_all(&crowd.all, &crowd.window);
  begin_window();
}

static void measure(void) {
  memset(&crowd.all, 0, sizeof crowd.all);
  crowd.windows = 0;
  crowd.is_measuring = 1;
  begin_window();
}

static void report(void) {
  end_window();
  crowd.is_measuring = 0;
  printf("{\"deliveries\":%llu,\"p50Us\":%.1f,\"p99Us\":%.1f,\"p999Us\":%.1f,\"maxUs\":%.1f,\"windowP99Us\":[",
         (unsigned long long)crowd.all.count, percentile_us(&crowd.all, 50), percentile_us(&crowd.all, 99),
         percentile_us(&crowd.all, 99.9), (double)crowd.all.max_ns / 1000);
  for (int i = 0; i < crowd.windows; i++) printf("%s%.1f", i > 0 ? "," : "", crowd.window_p99_us[i]);
  printf("]}\n");
  fflush(stdout);
}

// Receives what comes within this time. False when nothing does.
static int receive_some(int epoll, int timeout_ms) {
  struct epoll_event events[EVENTS_MAX];
  const int ready = epoll_wait(epoll, events, EVENTS_MAX, timeout_ms);
  int received = 0;
  for (int i = 0; i < ready; i++) {
    if (events[i].data.u32 == STDIN_INDEX) continue;
    receive((int)events[i].data.u32);
    received = 1;
  }
  return received;
}

// Waits until all peers have the last update. Whatever comes after that is wrong, and the peer that gets it says so.
static void finish(int epoll, uint32_t last, uint64_t seconds) {
  const uint64_t gives_up_ns = clock_ns(CLOCK_MONOTONIC) + seconds * 1000000000u;
  uint32_t jumped = 0, again = 0;
  for (int i = 0; i < crowd.count; i++) {
    const Peer* peer = &crowd.peers[i];
    while (peer->expected <= last) {
      receive_some(epoll, QUIET_MS);
      if (clock_ns(CLOCK_MONOTONIC) > gives_up_ns) fail_peer(peer, last, "a peer never got all newest values");
    }
  }
  while (receive_some(epoll, QUIET_MS)) {
  }
  for (int i = 0; i < crowd.count; i++) {
    const Peer* peer = &crowd.peers[i];
    if (peer->expected != last + 1) fail_peer(peer, last, "a peer got more than was sent");
    if (peer->jumps > 0) jumped++;
    again += peer->again;
  }
  printf("{\"updates\":%u,\"jumped\":%u,\"again\":%u}\n", last, jumped, again);
  fflush(stdout);
}

// One line, which the starter writes whole. False at the end of stdin.
static int take_line(int epoll) {
  char line[64] = {0};
  uint32_t last, seconds;
  for (size_t size = 0; size + 1 < sizeof line; size++) {
    if (read(STDIN_FILENO, line + size, 1) <= 0) return 0;
    if (line[size] == '\n') break;
  }
  if (strcmp(line, "measure\n") == 0)
    measure();
  else if (strcmp(line, "report\n") == 0)
    report();
  else if (strcmp(line, "read\n") == 0)
    watch(epoll, crowd.reading, crowd.count);
  else if (sscanf(line, "finish %u %u", &last, &seconds) == 2)
    finish(epoll, last, seconds);
  else
    fail("a line on stdin is none of measure, report, read and finish");
  return 1;
}

static void serve(int epoll) {
  for (;;) {
    struct epoll_event events[EVENTS_MAX];
    const int ready = epoll_wait(epoll, events, EVENTS_MAX, -1);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < ready; i++) {
      if (events[i].data.u32 != STDIN_INDEX)
        receive((int)events[i].data.u32);
      else if (!take_line(epoll))
        return;
    }
    if (crowd.is_measuring && clock_ns(CLOCK_MONOTONIC) - crowd.window_began_ns >= WINDOW_NS) end_window();
  }
}

static void limit_segments(int peer, int number) {
  const int bytes = SEGMENT_BYTES;
  (void)number;
  if (setsockopt(peer, IPPROTO_TCP, TCP_MAXSEG, &bytes, sizeof bytes) != 0) die("TCP_MAXSEG");
}

static void prepare_peers(void) {
  for (int i = 0; i < crowd.count; i++) {
    crowd.peers[i].expected = 1;
    if (i < crowd.reading) continue;
    crowd.peers[i].newest = calloc(1, sizeof *crowd.peers[i].newest);
    if (crowd.peers[i].newest == NULL) die("calloc");
  }
}

int main(int argc, char** argv) {
  if (argc != 6) usage(USAGE);
  const int port = (int)number_argument(argv[1], 1, 65535, USAGE);
  crowd.reading = (int)number_argument(argv[2], 1, PEERS_MAX, USAGE);
  crowd.count = crowd.reading + (int)number_argument(argv[3], 0, PEERS_MAX - crowd.reading, USAGE);
  crowd.is_ws = strcmp(argv[4], "ws") == 0;
  if (!crowd.is_ws && strcmp(argv[4], "frames") != 0) usage(USAGE);
  crowd.update_bytes = (uint32_t)number_argument(argv[5], UPDATE_BYTES_MIN, UPDATE_BYTES_MAX, USAGE);

  alarm(DEADLINE_S);
  const Handshake handshake = {.prepare = limit_segments,
                               .ask = crowd.is_ws ? ask_for_websocket : send_hello,
                               .await = crowd.is_ws ? await_websocket : await_hello};
  connect_peers_by(&handshake, crowd.sockets, crowd.count, port);
  prepare_peers();
  const int epoll = epoll_create1(0);
  if (epoll < 0) die("epoll_create1");
  watch(epoll, 0, crowd.reading);
  struct epoll_event lines = {.events = EPOLLIN, .data.u32 = STDIN_INDEX};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &lines) != 0) die("epoll_ctl");
  // It may run for longer, and ends when its starter does, because that has the other end of stdin.
  alarm(0);
  printf("{\"connected\":%d}\n", crowd.count);
  fflush(stdout);
  serve(epoll);
  return 0;
}
