// Measures long framed messages over a TCP loopback socket: how many bytes a second one process can send and another receive whole,
// or how long a message takes to come back. Each message is sent with as few system calls as the socket's buffer allows, and received
// where it is read, when epoll says that there is something: the limit for zerio's long messages.
#define _GNU_SOURCE
#include <sys/epoll.h>

#include "loopback.h"

static const char USAGE[] = "long <payload bytes, 16 to 16777215> <milliseconds> <oneway | echo>";
enum { HEADER_BYTES = 4, PAYLOAD_BYTES_MIN = 16, PAYLOAD_BYTES_MAX = 16777215, BATCH_BYTES = 1 << 20, WARMUP_MS = 300 };
enum { SAMPLES_MAX = 1 << 20 };

static void send_all(int socket, const char* bytes, size_t size) {
  for (size_t sent = 0; sent < size;) {
    const ssize_t count = send(socket, bytes + sent, size - sent, MSG_NOSIGNAL);
    if (count < 0 && (errno == EPIPE || errno == ECONNRESET)) exit(0);
    if (count < 0 && errno != EINTR) die("send");
    if (count > 0) sent += (size_t)count;
  }
}

// A message that is longer than half of the buffer is received alone, so that nothing of the next one is moved.
typedef struct {
  int epoll;
  char* bytes;
  size_t capacity;
  size_t filled;
  uint64_t messages;
} Reader;

static Reader reader_for(int socket, uint32_t payload_bytes) {
  const size_t frame = HEADER_BYTES + payload_bytes;
  struct epoll_event interest = {.events = EPOLLIN};
  const int epoll = epoll_create1(0);
  if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &interest) != 0) die("epoll");
  Reader reader = {.epoll = epoll, .capacity = frame > BATCH_BYTES / 2 ? frame : BATCH_BYTES};
  reader.bytes = malloc(reader.capacity);
  if (reader.bytes == NULL) fail("no memory");
  return reader;
}

// Calls nothing: looks at the whole frames. Returns the last one that came, or NULL.
static const char* receive_some(Reader* reader, int socket) {
  struct epoll_event event;
  if (epoll_wait(reader->epoll, &event, 1, -1) < 0 && errno != EINTR) die("epoll_wait");
  const ssize_t count = recv(socket, reader->bytes + reader->filled, reader->capacity - reader->filled, MSG_DONTWAIT);
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) return NULL;
  if (count < 0) die("recv");
  if (count == 0) exit(0);
  reader->filled += (size_t)count;
  size_t at = 0;
  const char* last = NULL;
  static uint32_t expected;
  while (reader->filled - at >= HEADER_BYTES) {
    uint32_t length, sequence;
    memcpy(&length, reader->bytes + at, sizeof length);
    if (length < PAYLOAD_BYTES_MIN || length > PAYLOAD_BYTES_MAX) fail("a frame of impossible length");
    if (reader->filled - at < HEADER_BYTES + length) break;
    last = reader->bytes + at;
    memcpy(&sequence, last + HEADER_BYTES, sizeof sequence);
    if (sequence != expected++) fail("messages were lost");
    reader->messages++;
    at += HEADER_BYTES + length;
  }
  reader->filled -= at;
  if (at > 0 && reader->filled > 0) memmove(reader->bytes, reader->bytes + at, reader->filled);
  return last;
}

static char* make_frame(uint32_t payload_bytes) {
  char* const frame = calloc(1, HEADER_BYTES + payload_bytes);
  if (frame == NULL) fail("no memory");
  memcpy(frame, &payload_bytes, sizeof payload_bytes);
  return frame;
}

static void send_until_closed(int socket, uint32_t payload_bytes) {
  char* const frame = make_frame(payload_bytes);
  for (uint32_t sequence = 0;; sequence++) {
    memcpy(frame + HEADER_BYTES, &sequence, sizeof sequence);
    send_all(socket, frame, HEADER_BYTES + payload_bytes);
  }
}

static void echo_until_closed(int socket, uint32_t payload_bytes) {
  Reader reader = reader_for(socket, payload_bytes);
  for (;;) {
    const char* const frame = receive_some(&reader, socket);
    if (frame != NULL) send_all(socket, frame, HEADER_BYTES + payload_bytes);
  }
}

static void measure_rate(int socket, uint32_t payload_bytes, uint64_t duration_ns) {
  Reader reader = reader_for(socket, payload_bytes);
  const uint64_t warm_ns = clock_ns(CLOCK_MONOTONIC) + WARMUP_MS * 1000000u;
  while (clock_ns(CLOCK_MONOTONIC) < warm_ns) receive_some(&reader, socket);
  const uint64_t began_ns = clock_ns(CLOCK_MONOTONIC), began_messages = reader.messages;
  uint64_t now_ns = began_ns;
  while (now_ns - began_ns < duration_ns || reader.messages == began_messages) {
    receive_some(&reader, socket);
    now_ns = clock_ns(CLOCK_MONOTONIC);
  }
  const double seconds = (double)(now_ns - began_ns) / 1e9;
  printf("{\"messagesPerSecond\":%.3f}\n", (double)(reader.messages - began_messages) / seconds);
}

static int by_size(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

static void measure_echo(int socket, uint32_t payload_bytes, uint64_t duration_ns) {
  Reader reader = reader_for(socket, payload_bytes);
  char* const frame = make_frame(payload_bytes);
  double* const samples = malloc(SAMPLES_MAX * sizeof *samples);
  if (samples == NULL) fail("no memory");
  size_t count = 0;
  const uint64_t warm_ns = clock_ns(CLOCK_MONOTONIC) + WARMUP_MS * 1000000u;
  for (uint32_t sequence = 0; count < SAMPLES_MAX; sequence++) {
    const uint64_t began_ns = clock_ns(CLOCK_MONOTONIC);
    if (began_ns > warm_ns + duration_ns && count > 0) break;
    memcpy(frame + HEADER_BYTES, &sequence, sizeof sequence);
    send_all(socket, frame, HEADER_BYTES + payload_bytes);
    while (receive_some(&reader, socket) == NULL) {
    }
    if (began_ns >= warm_ns) samples[count++] = (double)(clock_ns(CLOCK_MONOTONIC) - began_ns) / 1e3;
  }
  qsort(samples, count, sizeof *samples, by_size);
  printf("{\"p50Us\":%.2f,\"p99Us\":%.2f}\n", samples[count / 2], samples[count * 99 / 100]);
}

int main(int argc, char** argv) {
  if (argc != 4) usage(USAGE);
  const int is_echo = strcmp(argv[3], "echo") == 0;
  if (!is_echo && strcmp(argv[3], "oneway") != 0) usage(USAGE);
  const uint32_t payload_bytes = (uint32_t)number_argument(argv[1], PAYLOAD_BYTES_MIN, PAYLOAD_BYTES_MAX, USAGE);
  const uint64_t duration_ns = (uint64_t)number_argument(argv[2], 1, 60000, USAGE) * 1000000u;

  const Half half = split_in_two(1);
  if (half.child == 0) {
    if (is_echo) echo_until_closed(half.socket, payload_bytes);
    send_until_closed(half.socket, payload_bytes);
    return 0;
  }
  if (is_echo) measure_echo(half.socket, payload_bytes, duration_ns);
  if (!is_echo) measure_rate(half.socket, payload_bytes, duration_ns);
  end_child(half);
  return 0;
}
