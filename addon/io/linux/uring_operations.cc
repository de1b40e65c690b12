// Operations of a ring beside receives, and the wait for the last of them.
#include "uring_operations.h"

#include <poll.h>
#include <sys/uio.h>

namespace zerio {
namespace {

constexpr uint32_t kTearDownWaitsMax = 1000;
// Of a ring that is broken, because it is not known what is still in flight.
constexpr uint32_t kTearDownWaitsBroken = 20;
constexpr int kTearDownWaitMs = 10;
// How often a close lets the kernel go on with what it has to do for this thread.
constexpr uint32_t kFinishMax = 1000;

constexpr uint64_t kUnnamed = UringTag::make(UringOp::Cancel, 0, 0);

}  // namespace

UringOperations::~UringOperations() {
  uring::Sqe& sqe = queue_->next_sqe();
  sqe.opcode = uring::kAsyncCancel;
  sqe.fd = -1;
  sqe.operation_flags = uring::kCancelAll | uring::kCancelAny;
  sqe.user_data = kUnnamed;
  uring::Cqe cqe = {};
  const uint32_t waits_max = broken_ == 0 ? kTearDownWaitsMax : kTearDownWaitsBroken;
  for (uint32_t waits = 0; in_flight_ > 0 && waits < waits_max; ++waits) {
    if (queue_->enter(true) != 0) break;
    while (queue_->take(cqe)) count(cqe);
    if (in_flight_ > 0) queue_->wait(kTearDownWaitMs);
  }
}

void UringOperations::finish() {
  int error = submit(true);
  for (uint32_t more = 0; error == 0 && queue_->kernel_has_more() && more < kFinishMax; ++more) error = submit(true);
}

void UringOperations::poll(int fd, uint64_t tag) {
  uring::Sqe& sqe = queue_->next_sqe();
  sqe.opcode = uring::kPollAdd;
  sqe.fd = fd;
  sqe.operation_flags = POLLIN;
  sqe.user_data = tag;
  ++in_flight_;
}

void UringOperations::cancel(uint64_t tag) {
  uring::Sqe& sqe = queue_->next_sqe();
  sqe.opcode = uring::kAsyncCancel;
  sqe.fd = -1;
  sqe.address = tag;
  sqe.flags = uring::kSqeSkipSuccess;
  sqe.user_data = kUnnamed;
}

void UringOperations::submit_eventfd_read() {
  uring::Sqe& sqe = queue_->next_sqe();
  sqe.opcode = uring::kRead;
  sqe.fd = queue_->wait_fd();
  sqe.address = reinterpret_cast<uint64_t>(&eventfd_count_);
  sqe.length = sizeof eventfd_count_;
  // Ends with the submit, even when there is nothing to read.
  sqe.operation_flags = RWF_NOWAIT;
  sqe.flags = uring::kSqeSkipSuccess;
  sqe.user_data = kUnnamed;
  queue_->expect_read();
}

}  // namespace zerio
