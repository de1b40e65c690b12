// kqueue(2) over epoll, so that the backend of macOS and FreeBSD (addon/io/bsd/) is run by the tests on Linux: the filters of
// sockets and of other kqueues, level-triggered, and receipts. It follows FreeBSD's manual page. A kqueue is an epoll set, so
// that another kqueue, and libuv, can watch it. libkqueue's descriptors cannot be watched: they are ends of pipes.
#include <sys/epoll.h>
#include <sys/event.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace {

struct Filter {
  bool on = false;
  bool clear = false;  // reports each change once
  void* udata = nullptr;
};

struct Watched {
  Filter read;
  Filter write;
  Filter& of(short filter) { return filter == EVFILT_READ ? read : write; }
  // An epoll set knows both directions as one: with a filter that clears, the other one reports changes, too.
  [[nodiscard]] uint32_t epoll_events() const {
    return (read.on ? EPOLLIN | EPOLLRDHUP : 0U) | (write.on ? EPOLLOUT : 0U) | (read.clear || write.clear ? EPOLLET : 0U);
  }
};

// Used by one thread, as an engine uses its own.
class Queue {
 public:
  explicit Queue(int set) : set_(set) {}

  // Returns 0 or an errno value.
  int change(const struct kevent& change) {
    if (change.filter != EVFILT_READ && change.filter != EVFILT_WRITE) return EINVAL;
    const auto fd = static_cast<int>(change.ident);
    Watched& watched = watched_[fd];
    const Watched before = watched;
    Filter& filter = watched.of(change.filter);
    int error = 0;
    if ((change.flags & EV_ADD) != 0) {
      // A filter that is there keeps its flags.
      filter = {true, filter.on ? filter.clear : (change.flags & EV_CLEAR) != 0, change.udata};
    } else if ((change.flags & EV_DELETE) == 0) {
      error = EINVAL;
    } else if (!filter.on) {
      error = ENOENT;
    } else {
      filter = {};
    }
    if (error == 0) error = tell(fd, before.epoll_events(), watched.epoll_events());
    if (error != 0) watched = before;
    if (watched.epoll_events() == 0) watched_.erase(fd);
    return error;
  }

  int take(struct kevent* events, int count_max, int timeout_ms) {
    std::array<epoll_event, 256> ready = {};
    const int asked = std::min<int>(count_max, ready.size());
    const int found = ::epoll_wait(set_, ready.data(), asked, timeout_ms);
    if (found < 0) return -1;
    int count = 0;
    for (int i = 0; i < found; ++i) {
      const epoll_event& one = ready[static_cast<size_t>(i)];
      const auto at = watched_.find(one.data.fd);
      if (at == watched_.end()) continue;
      const bool broken = (one.events & (EPOLLERR | EPOLLHUP)) != 0;
      const bool ended = broken || (one.events & EPOLLRDHUP) != 0;
      const auto put = [&](const Filter& filter, short name, bool is_ready, bool is_end) {
        if (!filter.on || !is_ready || count == count_max) return;
        const auto flags = static_cast<unsigned short>(is_end ? EV_EOF : 0);
        const auto error = static_cast<unsigned>((one.events & EPOLLERR) != 0 ? ECONNRESET : 0);
        EV_SET(&events[count++], static_cast<uintptr_t>(at->first), name, flags, error, 0, filter.udata);
      };
      put(at->second.read, EVFILT_READ, ended || (one.events & EPOLLIN) != 0, ended);
      put(at->second.write, EVFILT_WRITE, broken || (one.events & EPOLLOUT) != 0, broken);
    }
    return count;
  }

 private:
  // A descriptor that was closed has left the set by itself, and its number may be that of another one.
  [[nodiscard]] int tell(int fd, uint32_t before, uint32_t after) const {
    epoll_event event = {};
    event.events = after;
    event.data.fd = fd;
    if (after == 0) return ::epoll_ctl(set_, EPOLL_CTL_DEL, fd, &event) == 0 ? 0 : errno;
    if (before != 0 && ::epoll_ctl(set_, EPOLL_CTL_MOD, fd, &event) == 0) return 0;
    if (before != 0 && errno != ENOENT) return errno;
    return ::epoll_ctl(set_, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
  }

  int set_;
  std::unordered_map<int, Watched> watched_;
};

std::mutex mutex;
// Those of closed kqueues stay until another one gets their number.
std::unordered_map<int, std::shared_ptr<Queue>> queues;

std::shared_ptr<Queue> queue_of(int set) {
  const std::scoped_lock lock(mutex);
  const auto at = queues.find(set);
  return at == queues.end() ? nullptr : at->second;
}

}  // namespace

extern "C" int kqueue() {
  const int set = ::epoll_create1(EPOLL_CLOEXEC);
  if (set < 0) return -1;
  const std::scoped_lock lock(mutex);
  queues[set] = std::make_shared<Queue>(set);
  return set;
}

extern "C" int kevent(int set, const struct kevent* changes, int change_count, struct kevent* events, int event_count,
                      const timespec* timeout) {
  const std::shared_ptr<Queue> queue = queue_of(set);
  if (queue == nullptr) {
    errno = EBADF;
    return -1;
  }
  int answers = 0;
  for (int i = 0; i < change_count; ++i) {
    const int error = queue->change(changes[i]);
    if (error == 0 && (changes[i].flags & EV_RECEIPT) == 0) continue;
    if (answers == event_count) {
      errno = error;
      return -1;
    }
    events[answers] = changes[i];
    events[answers].flags |= EV_ERROR;
    events[answers++].data = error;
  }
  if (answers > 0 || event_count == 0) return answers;
  const int64_t timeout_ms = timeout == nullptr ? -1 : timeout->tv_sec * 1000 + timeout->tv_nsec / 1'000'000;
  return queue->take(events, event_count, static_cast<int>(timeout_ms));
}
