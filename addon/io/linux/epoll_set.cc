// A set of descriptors that epoll watches.
#include "epoll_set.h"

#include <cerrno>

namespace zerio {
namespace {

uint32_t events_of(Interest interest) {
  return (interest.readable ? EPOLLIN : 0U) | (interest.writable ? EPOLLOUT : 0U) | (interest.ends ? EPOLLRDHUP : 0U);
}

// Repeated while the kernel is short of memory or watches.
int control(int set, int operation, int fd, Interest interest, uint64_t tag) {
  epoll_event event = {events_of(interest), {.u64 = tag}};
  return repeat_while_short([&] { return ::epoll_ctl(set, operation, fd, &event) == 0 ? 0 : errno; });
}

}  // namespace

int EpollSet::open() {
  fd_.reset(::epoll_create1(EPOLL_CLOEXEC));
  return fd_.open() ? 0 : errno;
}

int EpollSet::add(int fd, Interest interest, uint64_t tag) const { return control(handle(), EPOLL_CTL_ADD, fd, interest, tag); }

int EpollSet::change(int fd, Interest /*from*/, Interest to, uint64_t tag) const {
  return control(handle(), EPOLL_CTL_MOD, fd, to, tag);
}

int EpollSet::remove(int fd, Interest /*from*/) const {
  return ::epoll_ctl(handle(), EPOLL_CTL_DEL, fd, nullptr) == 0 ? 0 : errno;
}

int EpollSet::take_ready(Event* events, int count_max) const {
  const int count = ::epoll_wait(handle(), events, count_max, 0);
  return count > 0 ? count : 0;
}

}  // namespace zerio
