// What both Linux backends do the same way: they keep a socket for each connection and each listener.
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "clock.h"
#include "hot_list.h"
#include "io.h"
#include "posix/socket.h"
#include "strangers_share.h"

namespace zerio {

// What an epoll set hands back of a listener, and which life of it.
struct ListenerTag {
  static constexpr uint64_t kBit = uint64_t{1} << 63;
  static uint64_t make(uint32_t server, uint32_t life) { return kBit | (uint64_t{life & 0x7fffffff} << 32) | server; }
  static bool is_one(uint64_t tag) { return (tag & kBit) != 0; }
};

struct Listener {
  Descriptor fd;
  uint32_t life = 0;
};

// Connections have a `Descriptor fd`, a `uint32_t life`, which tells late news of an earlier one, and a `bool is_peer`.
template <class Connection>
class SocketIo : public Io {
 public:
  int listen(uint32_t server, const Address& address, const ListenOptions& options, Address& bound) override {
    if (server >= listeners_.size()) listeners_.resize(server + 1);
    Listener& listener = listeners_[server];
    ++listener.life;
    int error = open_listener(address, options, listener.fd, bound);
    if (error == 0) error = watch_listener(EPOLL_CTL_ADD, server, EPOLLIN);
    if (error != 0) listener.fd.reset(-1);
    return error;
  }

  void accept_pause(uint32_t server, bool paused) override {
    if (listeners_[server].fd.open()) (void)watch_listener(EPOLL_CTL_MOD, server, paused ? 0U : EPOLLIN);
  }

  void unlisten(uint32_t server) override {
    Listener& listener = listeners_[server];
    // A closed socket stays in its set, ready for ever, when a forked child has it, too.
    (void)::epoll_ctl(strangers_.get(), EPOLL_CTL_DEL, listener.fd.get(), nullptr);
    ++listener.life;
    listener.fd.reset(-1);
  }

  void discard(AcceptedSocket socket, IoSlice farewell) override {
    const Descriptor fd(static_cast<int>(socket));
    if (farewell.size > 0) (void)send_slices(fd.get(), &farewell, 1);
  }

  bool is_broken_pipe(int error) const override { return error == EPIPE; }

  bool wait_writable(uint32_t slot, uint32_t timeout_ms) override {
    pollfd socket = {connections_[slot].fd.get(), POLLOUT, 0};
    const int ready = ::poll(&socket, 1, static_cast<int>(timeout_ms));
    // A signal may come: the profiler's comes a thousand times a second.
    return ready > 0 || (ready < 0 && errno == EINTR);
  }

  void shutdown(uint32_t slot) override { shutdown_sending(connections_[slot].fd.get()); }

  void addresses(uint32_t slot, Address& local, Address& remote) const override {
    read_addresses(connections_[slot].fd.get(), local, remote);
  }

  uint64_t now_ns() const override { return monotonic_ns(); }

 protected:
  explicit SocketIo(Descriptor strangers) : strangers_(std::move(strangers)) {}

  // A connection's next life.
  Connection& open_life(uint32_t slot, Descriptor fd) {
    const uint32_t life = connections_[slot].life;
    connections_[slot] = Connection{};
    connections_[slot].life = life;
    connections_[slot].fd = std::move(fd);
    return connections_[slot];
  }

  // Accepts one connection, if this is news of a listener that is open. Who is not accepted waits in the listen queue, where no
  // descriptor is held for it. Returns false when there is no place.
  bool accept(IoSink& sink, uint64_t tag) {
    const auto server = static_cast<uint32_t>(tag);
    const Listener& listener = listeners_[server];
    if (!listener.fd.open() || ListenerTag::make(server, listener.life) != tag) return true;
    if (!sink.can_accept(server)) return false;
    const int fd = ::accept4(listener.fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      sink.on_accepted(server, fd);
    } else if (is_shortage(errno)) {
      sink.on_accept_error(server, errno);
    }
    return true;
  }

  // Tells the sink what a connection has received; that may end any connection.
  Received receive_into(IoSink& sink, uint32_t slot) {
    const IoSpace space = sink.receive_space();
    if (space.size == 0) return Received::Full;
    const ssize_t size = receive_bytes(connections_[slot].fd.get(), space.data, space.size);
    if (size < 0) {
      if (!passes(errno)) sink.on_received(slot, nullptr, 0, errno);
      return Received::Nothing;
    }
    if (!connections_[slot].is_peer) share_.add(static_cast<size_t>(size));
    sink.on_received(slot, space.data, static_cast<size_t>(size), 0);
    return size > 0 ? Received::Something : Received::Nothing;
  }

  Descriptor strangers_;  // an epoll set: listeners, and who is not welcome yet
  StrangersShare share_;
  std::vector<Connection> connections_;
  std::vector<Listener> listeners_;

 private:
  int watch_listener(int operation, uint32_t server, uint32_t events) {
    const Listener& listener = listeners_[server];
    return change_epoll(strangers_.get(), operation, listener.fd.get(), events, ListenerTag::make(server, listener.life));
  }
};

}  // namespace zerio
