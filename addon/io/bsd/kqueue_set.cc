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

// How a filter is watched. For the end of a stream alone it reports each change once: what was received is no reason to wake
// again and again.
enum class Watched : uint8_t { No, Always, Changes };

Watched reading_of(Interest interest) {
  return interest.readable ? Watched::Always : interest.ends ? Watched::Changes : Watched::No;
}
Watched writing_of(Interest interest) { return interest.writable ? Watched::Always : Watched::No; }

// What has to be said to a kqueue about one descriptor: at most two changes for each direction, because a filter that is there
// keeps its flags.
class Changes {
 public:
  explicit Changes(int fd, uint64_t tag) : fd_(fd), tag_(tag) {}

  void put(int16_t filter, Watched from, Watched to) {
    if (from == to) return;
    if (from != Watched::No) put(filter, EV_DELETE);
    if (to != Watched::No) put(filter, to == Watched::Changes ? EV_ADD | EV_CLEAR : EV_ADD);
  }

  // 0 or the first error. With EV_RECEIPT there is an answer to each change, and no event is taken.
  [[nodiscard]] int make(int set) const {
    if (count_ == 0) return 0;
    std::array<struct kevent, kMost> answers = {};
    const auto count = static_cast<int>(count_);
    const int answered = ::kevent(set, changes_.data(), count, answers.data(), count, nullptr);
    if (answered < 0) return errno;
    for (int i = 0; i < answered; ++i) {
      const struct kevent& answer = answers[static_cast<size_t>(i)];
      if ((answer.flags & EV_ERROR) != 0 && answer.data != 0) return static_cast<int>(answer.data);
    }
    return 0;
  }

 private:
  static constexpr size_t kMost = 4;

  void put(int16_t filter, int flags) {
    EV_SET(&changes_[count_++], static_cast<uintptr_t>(fd_), filter, static_cast<uint16_t>(flags | EV_RECEIPT), 0, 0,
           std::bit_cast<void*>(tag_));
  }

  int fd_;
  uint64_t tag_;
  std::array<struct kevent, kMost> changes_ = {};
  size_t count_ = 0;
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
  changes.put(EVFILT_READ, reading_of(from), reading_of(to));
  changes.put(EVFILT_WRITE, writing_of(from), writing_of(to));
  return repeat_while_short([&] { return changes.make(handle()); });
}

int KqueueSet::take_ready(Event* events, int count_max) const {
  const timespec at_once = {};
  const int count = ::kevent(handle(), nullptr, 0, events, count_max, &at_once);
  return count > 0 ? count : 0;
}

}  // namespace zerio
