// A set of descriptors that a kqueue watches.
#include "kqueue_set.h"

#include <fcntl.h>
#include <sys/time.h>

#include <array>
#include <bit>
#include <cerrno>

namespace zerio {
namespace {

static_assert(sizeof(void*) == sizeof(uint64_t), "a tag fits into what a kqueue keeps for an event");

// What has to be said to a kqueue about one descriptor: at most one change for each direction.
class Changes {
 public:
  explicit Changes(int fd, uint64_t tag) : fd_(fd), tag_(tag) {}

  void put(int16_t filter, bool from, bool to) {
    if (from == to) return;
    const auto flags = static_cast<uint16_t>((to ? EV_ADD : EV_DELETE) | EV_RECEIPT);
    EV_SET(&changes_[count_++], static_cast<uintptr_t>(fd_), filter, flags, 0, 0, std::bit_cast<void*>(tag_));
  }

  // 0 or the first error. With EV_RECEIPT there is an answer to each change, and no event is taken.
  [[nodiscard]] int make(int set) const {
    if (count_ == 0) return 0;
    std::array<struct kevent, 2> answers = {};
    const int answered = ::kevent(set, changes_.data(), count_, answers.data(), count_, nullptr);
    if (answered < 0) return errno;
    for (int i = 0; i < answered; ++i) {
      const struct kevent& answer = answers[static_cast<size_t>(i)];
      if ((answer.flags & EV_ERROR) != 0 && answer.data != 0) return static_cast<int>(answer.data);
    }
    return 0;
  }

 private:
  int fd_;
  uint64_t tag_;
  std::array<struct kevent, 2> changes_ = {};
  int count_ = 0;
};

}  // namespace

int KqueueSet::open() {
  fd_.reset(::kqueue());
  if (!fd_.open()) return errno;
  // A child does not inherit it by fork(2), but a process that replaces itself would keep it.
  (void)::fcntl(handle(), F_SETFD, FD_CLOEXEC);
  return 0;
}

int KqueueSet::change(int fd, Interest from, Interest to, uint64_t tag) const {
  Changes changes(fd, tag);
  changes.put(EVFILT_READ, from.readable, to.readable);
  changes.put(EVFILT_WRITE, from.writable, to.writable);
  return repeat_while_short([&] { return changes.make(handle()); });
}

int KqueueSet::take_ready(Event* events, int count_max) const {
  const timespec at_once = {};
  const int count = ::kevent(handle(), nullptr, 0, events, count_max, &at_once);
  return count > 0 ? count : 0;
}

}  // namespace zerio
