// All sends of one flush, in one submit.
#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <limits>

#include "../io.h"
#include "uring_operations.h"

namespace zerio {

class UringSends {
 public:
  UringSends(UringOperations& operations, IoSend* sends, uint32_t count)
      : operations_(operations), sends_(sends), count_(count) {}

  // Begins the send with this index, which has one slice.
  void begin(uint32_t index, int fd) {
    IoSend& send = sends_[index];
    uring::Sqe& sqe = operations_.queue().next_sqe();
    sqe.opcode = uring::kSend;
    sqe.fd = fd;
    sqe.address = reinterpret_cast<uint64_t>(send.slices[0].data);
    sqe.length = static_cast<uint32_t>(send.slices[0].size);
    // With MSG_DONTWAIT a send ends with the submit, and its ring bytes are JavaScript's again.
    sqe.operation_flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    sqe.user_data = UringTag::make(UringOp::Send, 0, index);
    send.taken = kUnanswered;
    ++unanswered_;
  }

  // Submits them, and calls `taken_by(send, result)` for the result of each: a count, or a negative errno value. What it returns
  // is what Io::send() would return.
  template <class TakenBy>
  void submit(TakenBy taken_by) {
    if (unanswered_ == 0) return;
    for (int error = operations_.submit(false);;) {
      operations_.queue().pick([&](const uring::Cqe& cqe) {
        if (UringTag::op(cqe.user_data) != UringOp::Send) return false;
        IoSend& send = sends_[UringTag::index(cqe.user_data)];
        send.taken = taken_by(send, cqe.result);
        --unanswered_;
        return true;
      });
      if (unanswered_ == 0) return;
      if (error != 0) return fail(error);
      // The other completions have overflowed the queue.
      operations_.queue().spill();
      error = operations_.submit(true);
      if (operations_.queue().lost()) error = ENOBUFS;
    }
  }

 private:
  static constexpr int64_t kUnanswered = std::numeric_limits<int64_t>::min();

  // The ring does not work any more, and it is not known what it has sent.
  void fail(int error) {
    for (uint32_t i = 0; i < count_; ++i) {
      if (sends_[i].taken == kUnanswered) sends_[i].taken = -error;
    }
  }

  UringOperations& operations_;
  IoSend* sends_;
  uint32_t count_;
  uint32_t unanswered_ = 0;
};

}  // namespace zerio
