// The operations of a ring: what is begun, what is still in flight, and whether the ring works at all.
#pragma once

#include <cerrno>
#include <cstdint>
#include <memory>
#include <utility>

#include "uring_queue.h"

namespace zerio {

enum class UringOp : uint64_t { Receive = 2, Poll = 3, Send = 4, Cancel = 5 };

// Says which operation a completion belongs to: its kind, an index (mostly a slot), and which life of the slot.
struct UringTag {
  static constexpr uint32_t kLifeMask = 0x0fffffff;
  static constexpr uint64_t make(UringOp op, uint32_t life, uint32_t index) {
    return static_cast<uint64_t>(op) << 60 | (uint64_t{life & kLifeMask} << 32) | index;
  }
  static UringOp op(uint64_t tag) { return static_cast<UringOp>(tag >> 60); }
  static bool is_life(uint64_t tag, uint32_t life) { return ((tag >> 32) & kLifeMask) == (life & kLifeMask); }
  static uint32_t index(uint64_t tag) { return static_cast<uint32_t>(tag); }
};

class UringOperations {
 public:
  explicit UringOperations(std::unique_ptr<UringQueue> queue) : queue_(std::move(queue)) {}
  // Cancels everything and waits for the end of it: until then the kernel may receive into memory that is freed next.
  ~UringOperations();
  UringOperations(const UringOperations&) = delete;
  UringOperations& operator=(const UringOperations&) = delete;

  [[nodiscard]] UringQueue& queue() { return *queue_; }
  [[nodiscard]] const UringQueue& queue() const { return *queue_; }

  // 0, or the errno value of a ring that does not work any more.
  [[nodiscard]] int broken() const { return broken_; }
  // Breaks the ring if the kernel has dropped a completion. Returns broken().
  int check_losses() {
    if (broken_ == 0 && queue_->lost()) broken_ = ENOBUFS;
    return broken_;
  }

  // Hands everything that was begun to the kernel. Returns 0 or broken().
  int submit(bool get_events) {
    const int error = queue_->enter(get_events);
    if (error != 0 && broken_ == 0) broken_ = error;
    return error;
  }
  // The same, until what was cancelled has ended, unless the kernel has more than that to do.
  void finish();

  // A receive into a provided buffer. The caller sets its length or its flags.
  uring::Sqe& receive(int fd, uint16_t buffer_group, uint64_t tag) {
    uring::Sqe& sqe = queue_->next_sqe();
    sqe.opcode = uring::kReceive;
    sqe.fd = fd;
    sqe.flags = uring::kSqeBufferSelect;
    sqe.buffer_group = buffer_group;
    sqe.user_data = tag;
    ++in_flight_;
    return sqe;
  }
  // One completion when the descriptor is readable.
  void poll(int fd, uint64_t tag);
  void cancel(uint64_t tag);
  // Each completion that was taken is named here, so that it is known what is still in flight.
  void count(const uring::Cqe& cqe) {
    if (is_last(cqe)) --in_flight_;
  }

  // While a poll is under way, and between the polls of a thread that spins, the kernel does not signal the eventfd. If it was
  // signalled before, it is read together with what this poll submits. A signal that comes too late for that is read by the next
  // poll that finds nothing else to do, as `is_busy()` says.
  template <class IsBusy>
  void mute(IsBusy is_busy) {
    const bool signalled = queue_->mute();
    // A broken ring submits nothing, and an eventfd that stays signalled would wake the loop for ever.
    if (broken_ != 0) return queue_->read_eventfd();
    if (signalled) {
      submit_eventfd_read();
    } else if (!is_busy()) {
      queue_->read_eventfd();
    }
  }

 private:
  // Sends end with the submit that begins them, and cancellations are not waited for.
  static bool is_last(const uring::Cqe& cqe) {
    const UringOp op = UringTag::op(cqe.user_data);
    return op != UringOp::Send && op != UringOp::Cancel && (cqe.flags & uring::kCqeMore) == 0;
  }
  void submit_eventfd_read();

  std::unique_ptr<UringQueue> queue_;
  int broken_ = 0;
  uint64_t in_flight_ = 0;      // operations whose last completion has not come
  uint64_t eventfd_count_ = 0;  // what was read from the eventfd
};

}  // namespace zerio
