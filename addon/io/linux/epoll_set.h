// A set of descriptors that epoll watches, level-triggered. Its interface is that of KqueueSet (../bsd/kqueue_set.h), so that
// what is built on one works on the other.
#pragma once

#include <sys/epoll.h>

#include <cstdint>

#include "../interest.h"
#include "../posix/socket.h"

namespace zerio {

class EpollSet {
 public:
  static constexpr const char* kName = "epoll";

  using Event = epoll_event;
  static uint64_t tag_of(const Event& event) { return event.data.u64; }
  static bool is_readable(const Event& event) { return (event.events & (EPOLLIN | EPOLLRDHUP)) != 0; }
  static bool is_only_readable(const Event& event) { return event.events == EPOLLIN; }
  static bool is_writable(const Event& event) { return (event.events & EPOLLOUT) != 0; }
  static bool has_failed(const Event& event) { return (event.events & (EPOLLERR | EPOLLHUP)) != 0; }
  // Of a connection that is watched for its end.
  static bool has_ended(const Event& event) { return (event.events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0; }
  static bool is_broken(const Event& event) { return (event.events & EPOLLERR) != 0; }

  // Each returns 0 or an errno value. `from` is what the set watches the descriptor for now.
  int open();
  int add(int fd, Interest interest, uint64_t tag) const;
  int change(int fd, Interest from, Interest to, uint64_t tag) const;
  int remove(int fd, Interest from) const;

  // Those that have something now; returns how many. Never blocks.
  int take_ready(Event* events, int count_max) const;
  // Readable when take_ready() finds something.
  [[nodiscard]] int handle() const { return fd_.get(); }

 private:
  Descriptor fd_;
};

}  // namespace zerio
