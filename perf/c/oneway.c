// Measures how many small framed messages per second one process can write and another can read and parse over a
// TCP loopback socket, 64 KiB per system call: the limit for zerio's one-way throughput.
#define _GNU_SOURCE

#include "loopback.h"

static const char USAGE[] = "oneway <payload bytes, 16 to 65536> <milliseconds> <nagle | nodelay | single>";
enum { HEADER_BYTES = 4, PAYLOAD_BYTES_MIN = 16, PAYLOAD_BYTES_MAX = 65536, BATCH_BYTES = 65536, WARMUP_MS = 200 };
// A message of the longest kind fills more than a batch.
enum { BUFFER_BYTES = HEADER_BYTES + PAYLOAD_BYTES_MAX };

// The fields every sender writes (see perf/lib/message.mjs): int32 sequence, int32 quantity, float64 price.
static void write_fields(char* payload, uint32_t sequence) {
  const uint32_t quantity = sequence & 1023;
  const double price = 100 + (sequence & 7) * 0.25;
  memcpy(payload, &sequence, sizeof sequence);
  memcpy(payload + 4, &quantity, sizeof quantity);
  memcpy(payload + 8, &price, sizeof price);
}

static void send_until_closed(int socket, uint32_t payload_bytes, int is_single) {
  static char batch[BUFFER_BYTES];
  const size_t frame_bytes = HEADER_BYTES + payload_bytes;
  const size_t batch_bytes = is_single || frame_bytes > BATCH_BYTES ? frame_bytes : BATCH_BYTES;
  uint32_t sequence = 0;
  for (;;) {
    size_t filled = 0;
    while (filled + frame_bytes <= batch_bytes) {
      memcpy(batch + filled, &payload_bytes, sizeof payload_bytes);
      write_fields(batch + filled + HEADER_BYTES, sequence);
      sequence = (sequence + 1) & 0x3fffffff;
      filled += frame_bytes;
    }
    for (size_t sent = 0; sent < filled;) {
      const ssize_t count = send(socket, batch + sent, filled - sent, MSG_NOSIGNAL);
      if (count < 0 && (errno == EPIPE || errno == ECONNRESET)) return;
      if (count < 0 && errno != EINTR) die("send");
      if (count > 0) sent += (size_t)count;
    }
  }
}

// What the reader has seen so far; a message cut off at the end of a batch waits at its start.
typedef struct {
  char batch[BUFFER_BYTES];
  size_t filled;
  uint64_t messages;
  uint64_t quantities;
  uint32_t next_sequence;
} Reader;

static void receive_batch(Reader* reader, int socket) {
  const ssize_t count = recv(socket, reader->batch + reader->filled, sizeof reader->batch - reader->filled, 0);
  if (count < 0 && errno == EINTR) return;
  if (count < 0) die("recv");
  if (count == 0) fail("the sender closed");
  reader->filled += (size_t)count;

  size_t at = 0;
  uint32_t length, sequence = 0, quantity;
  while (reader->filled - at >= HEADER_BYTES) {
    memcpy(&length, reader->batch + at, sizeof length);
    if (length < PAYLOAD_BYTES_MIN || length > PAYLOAD_BYTES_MAX) fail("a frame of impossible length");
    if (reader->filled - at < HEADER_BYTES + length) break;
    memcpy(&sequence, reader->batch + at + HEADER_BYTES, sizeof sequence);
    memcpy(&quantity, reader->batch + at + HEADER_BYTES + 4, sizeof quantity);
    reader->quantities += quantity;
    reader->messages++;
    at += HEADER_BYTES + length;
  }
  if (at > 0 && sequence != ((reader->messages - 1) & 0x3fffffff)) fail("messages were lost");
  reader->filled -= at;
  memmove(reader->batch, reader->batch + at, reader->filled);
}

int main(int argc, char** argv) {
  if (argc != 4) usage(USAGE);
  const int is_single = strcmp(argv[3], "single") == 0;
  const int no_delay = is_single || strcmp(argv[3], "nodelay") == 0;
  if (!no_delay && strcmp(argv[3], "nagle") != 0) usage(USAGE);
  const uint32_t payload_bytes = (uint32_t)number_argument(argv[1], PAYLOAD_BYTES_MIN, PAYLOAD_BYTES_MAX, USAGE);
  const uint64_t duration_ns = (uint64_t)number_argument(argv[2], 1, 60000, USAGE) * 1000000u;

  const Half half = split_in_two(no_delay);
  if (half.child == 0) {
    send_until_closed(half.socket, payload_bytes, is_single);
    return 0;
  }

  static Reader reader;
  const uint64_t warm_ns = clock_ns(CLOCK_MONOTONIC) + WARMUP_MS * 1000000u;
  while (clock_ns(CLOCK_MONOTONIC) < warm_ns) receive_batch(&reader, half.socket);
  const uint64_t began_ns = clock_ns(CLOCK_MONOTONIC);
  const uint64_t began_messages = reader.messages;
  uint64_t now_ns = began_ns;
  while (now_ns - began_ns < duration_ns) {
    receive_batch(&reader, half.socket);
    now_ns = clock_ns(CLOCK_MONOTONIC);
  }
  const double seconds = (double)(now_ns - began_ns) / 1e9;
  const double rate = (double)(reader.messages - began_messages) / seconds;
  end_child(half);
  printf("{\"messagesPerSecond\":%.0f,\"quantities\":%llu}\n", rate, (unsigned long long)reader.quantities);
  return 0;
}
