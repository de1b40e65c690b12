// One io_uring: its mappings, the submission queue's producer and the completion queue's consumer.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "../posix/socket.h"
#include "uring_abi.h"

namespace zerio {

// Pages shared with the kernel. A forked child does not get them.
class Mapping {
 public:
  Mapping() = default;
  Mapping(void* address, size_t bytes) : address_(address), bytes_(bytes) {}
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  // `fd` -1 maps new memory. When the system refuses, the mapping is not open(), and errno says why.
  static Mapping make(int fd, uint64_t offset, size_t bytes);
  [[nodiscard]] bool open() const { return address_ != nullptr; }
  [[nodiscard]] uint8_t* at(size_t offset) const { return static_cast<uint8_t*>(address_) + offset; }

 private:
  void* address_ = nullptr;
  size_t bytes_ = 0;
};

class UringQueue {
 public:
  // nullptr with the errno value of the set-up, which the kernel or a seccomp profile refuses.
  // With `deferred`, and where the kernel can (6.1), completions wait in the kernel until enter(true), and it signals an eventfd
  // when there are some.
  static std::unique_ptr<UringQueue> create(uint32_t sq_entries, uint32_t cq_entries, bool deferred, int& error);
  ~UringQueue();
  UringQueue(const UringQueue&) = delete;
  UringQueue& operator=(const UringQueue&) = delete;

  // Readable when there are completions, or work that produces some. An eventfd shows only those since unmute().
  [[nodiscard]] int wait_fd() const { return event_.open() ? event_.get() : fd_.get(); }
  // Until unmute() the kernel does not signal the eventfd. Returns whether the eventfd may be readable: then it must be read.
  [[nodiscard]] bool mute();
  // From now on the kernel signals the eventfd. What came before shows in completions() and kernel_has_work() only.
  void unmute();
  // Reads the eventfd, by a system call.
  void read_eventfd();
  // The next submit reads the eventfd.
  void expect_read() { signalled_ = false; }
  // Waits at most `timeout_ms` for something to take or to run.
  void wait(int timeout_ms);

  // Returns a count or 0, or a negative errno value.
  int control(uring::Register what, void* argument, uint32_t count) const;

  // A cleared entry. Submits what is queued when the queue is full.
  uring::Sqe& next_sqe();
  [[nodiscard]] uint32_t unsubmitted() const { return sq_tail_ - submitted_; }
  // Makes the kernel take everything queued. With `get_events` it also runs what is pending for this thread and flushes overflow.
  // Returns 0, or the errno value of a ring that does not work any more: what was queued is dropped then.
  int enter(bool get_events);
  [[nodiscard]] bool has(uring::Feature feature) const { return (features_ & feature) != 0; }
  // Whether the kernel knows an operation.
  [[nodiscard]] bool supports(uring::Operation operation) const;
  // Whether the kernel has dropped completions, because it had no memory to keep those that did not fit. It is not known then
  // what is still in flight.
  [[nodiscard]] bool lost() const { return std::atomic_ref(*cq_overflow_word_).load(std::memory_order_relaxed) != 0; }

  // Whether entering the kernel would produce completions.
  [[nodiscard]] bool kernel_has_work() const {
    return (std::atomic_ref(*sq_flags_).load(std::memory_order_relaxed) & (uring::kSqTaskrun | uring::kSqOverflow)) != 0;
  }
  // Whether enter(true) has left some of this thread's work for the next one: the kernel does no more than 20 pieces at a time.
  [[nodiscard]] bool kernel_has_more() const {
    return (std::atomic_ref(*sq_flags_).load(std::memory_order_relaxed) & uring::kSqTaskrun) != 0;
  }
  // How many completions can be taken; those that were picked count, too.
  [[nodiscard]] uint32_t completions() const {
    return static_cast<uint32_t>(spilled_.size() - spilled_next_) + (cq_tail() - cq_head_);
  }

  // The next completion in order. False when there is none.
  bool take(uring::Cqe& out);
  // Calls `see(completion)` for those that are there and not taken yet. Where it returns true, that one is taken out of the
  // order.
  template <class See>
  void pick(See see) {
    for (size_t i = spilled_next_; i < spilled_.size(); ++i) pick_one(spilled_[i], see);
    const uint32_t tail = cq_tail();
    for (uint32_t at = cq_head_; at != tail; ++at) pick_one(cqes_[at & cq_mask_], see);
  }
  // Makes room in the completion queue, so that the kernel can deliver what has overflowed.
  void spill();

 private:
  // A completion that was picked.
  static constexpr uint64_t kTaken = ~uint64_t{0};

  UringQueue(Descriptor fd, const uring::Params& params, Mapping rings, Mapping sqes);
  // Returns 0 or an errno value.
  int add_eventfd();
  int enter_until_taken(bool get_events);
  void turn_eventfd_off();

  template <class See>
  static void pick_one(uring::Cqe& cqe, See see) {
    if (cqe.user_data != kTaken && see(static_cast<const uring::Cqe&>(cqe))) cqe.user_data = kTaken;
  }
  int64_t call(uint32_t to_submit, uint32_t min_complete, uint32_t flags) const;
  [[nodiscard]] uint32_t cq_tail() const { return std::atomic_ref(*cq_tail_word_).load(std::memory_order_acquire); }

  Descriptor fd_;
  Descriptor event_;        // an eventfd, of a deferred ring only
  bool unmuted_ = false;    // the kernel signals the eventfd
  bool signalled_ = false;  // it may have done so since the eventfd was read
  int enter_fd_;
  uint32_t enter_flags_ = 0;
  Mapping rings_;
  Mapping sqe_pages_;
  uring::Sqe* sqes_;
  uring::Cqe* cqes_;
  uint32_t* sq_tail_word_;
  uint32_t* sq_flags_;
  uint32_t* cq_head_word_;
  uint32_t* cq_tail_word_;
  uint32_t* cq_overflow_word_;
  uint32_t* cq_flags_;
  uint32_t features_;
  uint32_t sq_entries_;
  uint32_t sq_mask_;
  uint32_t cq_mask_;
  uint32_t sq_tail_ = 0;
  uint32_t submitted_ = 0;
  uint32_t cq_head_ = 0;
  std::vector<uring::Cqe> spilled_;
  size_t spilled_next_ = 0;
};

}  // namespace zerio
