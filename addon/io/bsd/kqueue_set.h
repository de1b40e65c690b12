// A set of descriptors that a kqueue watches, level-triggered. Its interface is that of EpollSet (../linux/epoll_set.h), so that
// what is built on one works on the other.
//
// A kqueue has a filter for each direction, so a socket that is readable and writable is two events. A change of both is one
// call.
#pragma once

#include <sys/event.h>

#include <cstdint>

#include "../interest.h"
#include "../posix/socket.h"

namespace zerio {

class KqueueSet {
 public:
  static constexpr const char* kName = "kqueue";

  using Event = struct kevent;
  static uint64_t tag_of(const Event& event) { return reinterpret_cast<uintptr_t>(event.udata); }
  static bool is_readable(const Event& event) { return event.filter == EVFILT_READ; }
  // The end of a stream comes with what was received before it, and a receive finds both.
  static bool is_only_readable(const Event& event) { return is_readable(event) && (event.flags & EV_EOF) == 0; }
  static bool is_writable(const Event& event) { return event.filter == EVFILT_WRITE && (event.flags & EV_EOF) == 0; }
  // No more can be sent: both directions are gone, because nothing waits for room after the end of its own stream.
  static bool has_failed(const Event& event) { return event.filter == EVFILT_WRITE && (event.flags & EV_EOF) != 0; }
  // Of a connection that is watched for its end.
  static bool has_ended(const Event& event) { return (event.flags & EV_EOF) != 0; }
  static bool is_broken(const Event& event) { return has_ended(event) && event.fflags != 0; }

  // Each returns 0 or an errno value. `from` is what the set watches the descriptor for now.
  int open();
  int add(int fd, Interest interest, uint64_t tag) const { return change(fd, {}, interest, tag); }
  int change(int fd, Interest from, Interest to, uint64_t tag) const;
  int remove(int fd, Interest from) const { return change(fd, from, {}, 0); }

  // Those that have something now; returns how many. Never blocks.
  int take_ready(Event* events, int count_max) const;
  // Readable when take_ready() finds something.
  [[nodiscard]] int handle() const { return fd_.get(); }

 private:
  Descriptor fd_;
};

}  // namespace zerio
