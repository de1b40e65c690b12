// io_uring by raw system calls: set-up, submission, completion.
#include "uring_queue.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <new>
#include <utility>

namespace zerio {
namespace {

constexpr uint32_t kRetriesMax = 10000;

void store_release(uint32_t* word, uint32_t value) { std::atomic_ref<uint32_t>(*word).store(value, std::memory_order_release); }

int set_up(uint32_t entries, uring::Params& params) {
  const int64_t fd = ::syscall(SYS_io_uring_setup, entries, &params);
  return fd < 0 ? -errno : static_cast<int>(fd);
}

}  // namespace

Mapping::Mapping(Mapping&& other) noexcept
    : address_(std::exchange(other.address_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(address_, other.address_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Mapping::~Mapping() {
  if (address_ != nullptr) ::munmap(address_, bytes_);
}

Mapping Mapping::make(int fd, uint64_t offset, size_t bytes) {
  const int flags = MAP_POPULATE | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);
  void* const address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, fd, static_cast<off_t>(offset));
  if (address == MAP_FAILED) return {};
  // A fork would make the pages copy-on-write, and this process could get the copy that the kernel does not see.
  (void)::madvise(address, bytes, MADV_DONTFORK);
  return {address, bytes};
}

std::unique_ptr<UringQueue> UringQueue::create(uint32_t sq_entries, uint32_t cq_entries, bool deferred, int& error) {
  uring::Params params = {};
  // Completions run when this thread enters the kernel anyway, without interrupting it, and a flag says that there are some.
  constexpr uint32_t kFlags =
      uring::kSetupCqSize | uring::kSetupClamp | uring::kSetupSubmitAll | uring::kSetupCoopTaskrun | uring::kSetupTaskrunFlag;
  // Deferred, they run only when this thread asks for them: otherwise each one ends the loop's wait with EINTR, and libuv counts
  // what it has waited until then as work. The last try is for kernels before 6.0, which know no single issuer.
  int fd = -EINVAL;
  for (const uint32_t more : {uring::kSetupSingleIssuer | uring::kSetupDeferTaskrun, uint32_t{uring::kSetupSingleIssuer}, 0U}) {
    if (!deferred && (more & uring::kSetupDeferTaskrun) != 0) continue;
    params = {};
    params.cq_entries = cq_entries;
    params.flags = kFlags | more;
    fd = set_up(sq_entries, params);
    if (fd != -EINVAL) break;
  }
  if (fd < 0) {
    error = -fd;
    return nullptr;
  }
  Descriptor ring(fd);
  const size_t sq_bytes = params.sq.array + params.sq_entries * sizeof(uint32_t);
  const size_t cq_bytes = params.cq.cqes + params.cq_entries * sizeof(uring::Cqe);
  Mapping rings = Mapping::make(fd, uring::kOffsetSqRing, std::max(sq_bytes, cq_bytes));
  Mapping sqes = Mapping::make(fd, uring::kOffsetSqes, params.sq_entries * sizeof(uring::Sqe));
  constexpr uint32_t kNeeded = uring::kFeatureSingleMmap | uring::kFeatureNoDrop;
  error = !rings.open() || !sqes.open() ? errno : (params.features & kNeeded) != kNeeded ? ENOSYS : 0;
  if (error != 0) return nullptr;
  std::unique_ptr<UringQueue> queue(new UringQueue(std::move(ring), params, std::move(rings), std::move(sqes)));
  if ((params.flags & uring::kSetupDeferTaskrun) != 0) error = queue->add_eventfd();
  return error == 0 ? std::move(queue) : nullptr;
}

UringQueue::UringQueue(Descriptor fd, const uring::Params& params, Mapping rings, Mapping sqes)
    : fd_(std::move(fd)),
      enter_fd_(fd_.get()),
      rings_(std::move(rings)),
      sqe_pages_(std::move(sqes)),
      sqes_(reinterpret_cast<uring::Sqe*>(sqe_pages_.at(0))),
      cqes_(reinterpret_cast<uring::Cqe*>(rings_.at(params.cq.cqes))),
      sq_tail_word_(reinterpret_cast<uint32_t*>(rings_.at(params.sq.tail))),
      sq_flags_(reinterpret_cast<uint32_t*>(rings_.at(params.sq.flags))),
      cq_head_word_(reinterpret_cast<uint32_t*>(rings_.at(params.cq.head))),
      cq_tail_word_(reinterpret_cast<uint32_t*>(rings_.at(params.cq.tail))),
      cq_overflow_word_(reinterpret_cast<uint32_t*>(rings_.at(params.cq.overflow))),
      cq_flags_(reinterpret_cast<uint32_t*>(rings_.at(params.cq.flags))),
      features_(params.features),
      sq_entries_(params.sq_entries),
      sq_mask_(params.sq_entries - 1),
      cq_mask_(params.cq_entries - 1) {
  auto* const array = reinterpret_cast<uint32_t*>(rings_.at(params.sq.array));
  for (uint32_t i = 0; i < sq_entries_; ++i) array[i] = i;
  spilled_.reserve(params.cq_entries);
  // Saves the kernel the look-up of the descriptor at each entry. Since 5.18; where it is missing, nothing else changes.
  uring::ResourceUpdate ring = {~0U, 0, static_cast<uint64_t>(fd_.get())};
  if (control(uring::kRegisterRingFds, &ring, 1) == 1) {
    enter_fd_ = static_cast<int>(ring.offset);
    enter_flags_ = uring::kEnterRegisteredRing;
  }
}

UringQueue::~UringQueue() {
  if (enter_flags_ != 0) {
    uring::ResourceUpdate ring = {static_cast<uint32_t>(enter_fd_), 0, 0};
    (void)control(uring::kUnregisterRingFds, &ring, 1);
  }
}

int UringQueue::control(uring::Register what, void* argument, uint32_t count) const {
  const int64_t result = ::syscall(SYS_io_uring_register, fd_.get(), what, argument, count);
  return result < 0 ? -errno : static_cast<int>(result);
}

bool UringQueue::supports(uring::Operation operation) const {
  uring::Probe probe = {};
  constexpr uint16_t kSupported = 1;
  return control(uring::kRegisterProbe, &probe, 256) == 0 && operation <= probe.last_operation &&
         (probe.operations[operation].flags & kSupported) != 0;
}

int UringQueue::add_eventfd() {
  event_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event_.open()) return errno;
  int fd = event_.get();
  const int result = control(uring::kRegisterEventfd, &fd, 1);
  unmuted_ = result == 0;
  return -result;
}

void UringQueue::unmute() {
  if (!event_.open() || unmuted_) return;
  unmuted_ = true;
  std::atomic_ref(*cq_flags_).store(0, std::memory_order_relaxed);
  // The kernel sets its flag for work before it reads this one; a thread that goes to sleep looks for work behind this fence.
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void UringQueue::turn_eventfd_off() {
  unmuted_ = false;
  std::atomic_ref(*cq_flags_).store(uring::kCqEventfdDisabled, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  signalled_ = signalled_ || kernel_has_work();
}

bool UringQueue::mute() {
  if (unmuted_) turn_eventfd_off();
  return signalled_;
}

void UringQueue::read_eventfd() {
  uint64_t count = 0;
  if (event_.open()) (void)!::read(event_.get(), &count, sizeof count);
  signalled_ = false;
}

void UringQueue::wait(int timeout_ms) {
  unmute();
  if (completions() > 0 || kernel_has_work()) return;
  pollfd handle = {wait_fd(), POLLIN, 0};
  if (::poll(&handle, 1, timeout_ms) > 0) read_eventfd();
}

uring::Sqe& UringQueue::next_sqe() {
  if (unsubmitted() == sq_entries_) (void)enter(false);
  uring::Sqe& sqe = sqes_[sq_tail_ & sq_mask_];
  sqe = {};
  ++sq_tail_;
  return sqe;
}

int64_t UringQueue::call(uint32_t to_submit, uint32_t min_complete, uint32_t flags) const {
  const int64_t result =
      ::syscall(SYS_io_uring_enter, enter_fd_, to_submit, min_complete, flags | enter_flags_, nullptr, size_t{0});
  return result < 0 ? -errno : result;
}

int UringQueue::enter(bool get_events) {
  store_release(sq_tail_word_, sq_tail_);
  // What completes during the call is seen after it, and needs no wake-up.
  const bool was_unmuted = unmuted_;
  if (was_unmuted) turn_eventfd_off();
  const int error = enter_until_taken(get_events);
  if (was_unmuted) unmute();
  return error;
}

int UringQueue::enter_until_taken(bool get_events) {
  uint32_t refusals = 0;
  do {
    const int64_t result = call(unsubmitted(), 0, get_events ? uint32_t{uring::kEnterGetEvents} : 0U);
    if (result >= 0) {
      submitted_ += static_cast<uint32_t>(result);
      refusals = 0;
    } else if ((result == -EBUSY || result == -EAGAIN) && ++refusals < kRetriesMax) {
      // EBUSY: completions have overflowed, and must come in before anything is taken. EAGAIN: out of memory, for a moment.
      spill();
      get_events = true;
    } else if (result != -EINTR) {
      sq_tail_ = submitted_;
      store_release(sq_tail_word_, sq_tail_);
      return static_cast<int>(-result);
    }
  } while (unsubmitted() > 0);
  return 0;
}

bool UringQueue::take(uring::Cqe& out) {
  while (spilled_next_ < spilled_.size()) {
    out = spilled_[spilled_next_++];
    if (spilled_next_ == spilled_.size()) {
      spilled_.clear();
      spilled_next_ = 0;
    }
    if (out.user_data != kTaken) return true;
  }
  const uint32_t tail = cq_tail();
  while (cq_head_ != tail) {
    out = cqes_[cq_head_ & cq_mask_];
    store_release(cq_head_word_, ++cq_head_);
    if (out.user_data != kTaken) return true;
  }
  return false;
}

void UringQueue::spill() {
  const uint32_t tail = cq_tail();
  // Without memory they stay where they are, and the caller tries again.
  try {
    for (; cq_head_ != tail; ++cq_head_) spilled_.push_back(cqes_[cq_head_ & cq_mask_]);
  } catch (const std::bad_alloc&) {
  }
  store_release(cq_head_word_, cq_head_);
}

}  // namespace zerio
