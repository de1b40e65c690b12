// Sends to many sockets by io_uring, as sparingly as it can be done: registered files, one submit for up to 128 sends, and no
// completion for a send that takes all. What the io_uring backend can save, without a library around it.
#ifndef ZERIO_PERF_URING_SENDS_H
#define ZERIO_PERF_URING_SENDS_H

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "loopback.h"

enum { SENDS_PER_SUBMIT = 128 };

typedef struct {
  int fd;
  unsigned tail, mask;
  unsigned* tail_word;
  unsigned* completions;
  struct io_uring_sqe* sqes;
} UringSends;

static inline char* map_ring(int fd, size_t bytes, off_t offset) {
  char* const at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);
  if (at == MAP_FAILED) die("mmap of the ring");
  return at;
}

static inline void open_uring_sends(UringSends* ring, const int* sockets, int count) {
  struct io_uring_params params = {.flags = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER};
  ring->fd = (int)syscall(SYS_io_uring_setup, SENDS_PER_SUBMIT, &params);
  if (ring->fd < 0) die("io_uring_setup");
  char* const rings = map_ring(ring->fd, params.sq_off.array + params.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
  ring->sqes = (struct io_uring_sqe*)map_ring(ring->fd, params.sq_entries * sizeof *ring->sqes, IORING_OFF_SQES);
  ring->tail = 0;
  ring->mask = params.sq_entries - 1;
  ring->tail_word = (unsigned*)(rings + params.sq_off.tail);
  ring->completions = (unsigned*)(rings + params.cq_off.tail);
  for (unsigned i = 0; i < params.sq_entries; i++) ((unsigned*)(rings + params.sq_off.array))[i] = i;
  if (syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_FILES, sockets, count) != 0) die("IORING_REGISTER_FILES");
}

// Sends the same bytes to each of the registered sockets.
static inline void send_by_uring(UringSends* ring, int count, const char* bytes, size_t size) {
  for (int next = 0; next < count;) {
    unsigned queued = 0;
    for (; next < count && queued < SENDS_PER_SUBMIT; queued++, next++) {
      ring->sqes[ring->tail++ & ring->mask] = (struct io_uring_sqe){
        .opcode = IORING_OP_SEND,
        .flags = IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS,
        .fd = next,
        .addr = (uint64_t)bytes,
        .len = (uint32_t)size,
        .msg_flags = MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL};
    }
    __atomic_store_n(ring->tail_word, ring->tail, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring->fd, queued, 0, 0, NULL, 0) != (long)queued) die("io_uring_enter");
    if (__atomic_load_n(ring->completions, __ATOMIC_ACQUIRE) != 0) fail("a socket did not take all");
  }
}

#endif
