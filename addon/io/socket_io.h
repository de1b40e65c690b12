// What both Linux backends do the same way: they keep a socket for each connection and each listener.
#pragma once

#include <poll.h>
#include <sys/epoll.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "clock.h"
#include "hot_list.h"
#include "io.h"
#include "socket_posix.h"
#include "strangers_share.h"

namespace zerio {

// Connections and listeners each have a `Descriptor fd` and a `uint32_t life`, which tells late news of an earlier one.
// Connections have a `bool is_peer`, too.
template <class Connection, class Listener>
class SocketIo : public Io {
 public:
  void discard(AcceptedSocket socket, IoSlice farewell) override {
    const Descriptor fd(static_cast<int>(socket));
    if (farewell.size > 0) (void)send_slices(fd.get(), &farewell, 1);
  }

  bool is_broken_pipe(int error) const override { return error == EPIPE; }

  bool wait_writable(uint32_t slot, uint32_t timeout_ms) override {
    pollfd socket = {connections_[slot].fd.get(), POLLOUT, 0};
    return ::poll(&socket, 1, static_cast<int>(timeout_ms)) > 0;
  }

  void shutdown(uint32_t slot) override { shutdown_sending(connections_[slot].fd.get()); }

  void addresses(uint32_t slot, Address& local, Address& remote) const override {
    read_addresses(connections_[slot].fd.get(), local, remote);
  }

  uint64_t now_ns() const override { return monotonic_ns(); }

 protected:
  explicit SocketIo(Descriptor strangers) : strangers_(std::move(strangers)) {}

  // A listener's next life. Returns 0 or an errno value.
  int open_life(uint32_t server, const Address& address, const ListenOptions& options, Address& bound) {
    if (server >= listeners_.size()) listeners_.resize(server + 1);
    const uint32_t life = listeners_[server].life + 1;
    listeners_[server] = Listener{};
    listeners_[server].life = life;
    return open_listener(address, options, listeners_[server].fd, bound);
  }

  // A connection's next life.
  Connection& open_life(uint32_t slot, Descriptor fd) {
    const uint32_t life = connections_[slot].life;
    connections_[slot] = Connection{};
    connections_[slot].life = life;
    connections_[slot].fd = std::move(fd);
    return connections_[slot];
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

  Descriptor strangers_;  // an epoll set: listeners where the system does not accept by itself, and who is not welcome yet
  StrangersShare share_;
  std::vector<Connection> connections_;
  std::vector<Listener> listeners_;
};

}  // namespace zerio
