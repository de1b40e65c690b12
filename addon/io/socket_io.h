// What the backends of POSIX systems do the same way: they keep a socket for each connection and each listener, and have a set of
// newcomers.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "clock.h"
#include "hot_list.h"
#include "interest.h"
#include "io.h"
#include "newcomer_share.h"
#include "posix/socket.h"
#include "posix/socket_calls.h"

namespace zerio {

// What a set hands back for a listener: its server, and which life of it.
struct ListenerTag {
  static constexpr uint64_t kBit = uint64_t{1} << 63;
  static uint64_t make(uint32_t server, uint32_t life) { return kBit | (uint64_t{life & 0x7fffffff} << 32) | server; }
  static bool is_one(uint64_t tag) { return (tag & kBit) != 0; }
};

struct Listener : Listening {
  uint32_t life = 0;
  Interest watched;
};

// `Set` is EpollSet or KqueueSet. A backend's Connection has a `Descriptor fd`, a `bool is_newcomer`, and a `uint32_t life` by
// which events of an earlier connection in the same slot are recognised.
template <class Connection, class Set>
class SocketIo : public Io {
 public:
  int listen(uint32_t server, const Address& address, const ListenOptions& options, Address& bound) override {
    if (server >= listeners_.size()) listeners_.resize(server + 1);
    Listener& listener = listeners_[server];
    ++listener.life;
    const bool adopts = options.descriptor >= 0;
    int error = adopts ? adopt_listener(options, listener, bound) : open_listener(address, options, listener, bound);
    if (error == 0) error = newcomers_.add(listener.fd.get(), kReadable, ListenerTag::make(server, listener.life));
    // What could not be adopted is still the program's.
    if (error != 0 && adopts) listener.fd.release();
    if (error != 0) listener.close();
    listener.watched = kReadable;
    return error;
  }

  void accept_pause(uint32_t server, bool paused) override {
    Listener& listener = listeners_[server];
    if (!listener.fd.open()) return;
    const Interest wanted = paused ? Interest{} : kReadable;
    const uint64_t tag = ListenerTag::make(server, listener.life);
    (void)newcomers_.change(listener.fd.get(), std::exchange(listener.watched, wanted), wanted, tag);
  }

  void unlisten(uint32_t server) override {
    Listener& listener = listeners_[server];
    if (listener.fd.open()) (void)newcomers_.remove(listener.fd.get(), listener.watched);
    ++listener.life;
    listener.close();
  }

  void discard(AcceptedSocket socket) override { const Descriptor fd(static_cast<int>(socket)); }

  bool is_broken_pipe(int error) const override { return error == EPIPE; }

  int64_t wait_writable(uint32_t slot, uint32_t timeout_ms) override {
    pollfd socket = {connections_[slot].fd.get(), POLLOUT, 0};
    const int ready = ::poll(&socket, 1, static_cast<int>(timeout_ms));
    // Signals interrupt the wait: a profiler sends a thousand in a second.
    return ready > 0 || (ready < 0 && errno == EINTR) ? 0 : -1;
  }

  void configure(uint32_t slot, SocketSetting setting, uint32_t value) override {
    change_setting(connections_[slot].fd.get(), setting, value);
  }

  void shutdown(uint32_t slot) override { shutdown_sending(connections_[slot].fd.get()); }

  void addresses(uint32_t slot, Address& local, Address& remote) const override {
    read_addresses(connections_[slot].fd.get(), local, remote);
  }

  void tcp_status(uint32_t slot, TcpStatus& status) const override { read_tcp_status(connections_[slot].fd.get(), status); }

  uint64_t now_ns() const override { return monotonic_ns(); }

 protected:
  // Begins the slot's next life.
  Connection& open_life(uint32_t slot, Descriptor fd) {
    const uint32_t life = connections_[slot].life;
    connections_[slot] = Connection{};
    connections_[slot].life = life;
    connections_[slot].fd = std::move(fd);
    return connections_[slot];
  }

  // Calls `handle(event)` for events of newcomers while there is time for them. The set is level-triggered, so what is left in it
  // is there for the next poll, too. Returns false when the set has nothing more.
  template <class Handle>
  bool attend_newcomers(const IoSink& sink, Handle handle) {
    typename Set::Event event = {};
    while (sink.has_room()) {
      if (!share_.has_time()) {
        // Only a look: taking it would move the event to the end of the set, and others before it.
        if (is_readable(newcomers_.handle())) share_.keep_waiting();
        return true;
      }
      if (newcomers_.take_ready(&event, 1) == 0) return false;
      if (!handle(event)) return true;
    }
    return true;
  }

  // Accepts one connection, if the event is one of a listener that is open. A connection that is not accepted stays in the listen
  // queue, where it needs no descriptor. Returns false when there is no room for it.
  bool accept(IoSink& sink, uint64_t tag) {
    const auto server = static_cast<uint32_t>(tag);
    const Listener& listener = listeners_[server];
    if (!listener.fd.open() || ListenerTag::make(server, listener.life) != tag) return true;
    if (!sink.can_accept(server)) return false;
    const int fd = accept_socket(listener.fd.get());
    if (fd >= 0) {
      sink.on_accepted(server, fd);
    } else if (is_shortage(errno) || is_end_of_listener(errno)) {
      sink.on_accept_error(server, errno);
    }
    return true;
  }

  // Reports to the sink what a connection has received; that may end any connection.
  Received receive_into(IoSink& sink, uint32_t slot) {
    Received received = receive_once(sink, slot);
    size_t bytes = received_bytes_;
    while (received == Received::Something && connections_[slot].fd.open() && sink.wants_more(slot)) {
      if (receive_once(sink, slot) != Received::Something) break;
      bytes += received_bytes_;
    }
    received_bytes_ = bytes;
    return received;
  }

  Received receive_once(IoSink& sink, uint32_t slot) {
    const IoSpace space = sink.receive_space(slot);
    if (space.size == 0) return Received::Full;
    const ssize_t size = receive_bytes(connections_[slot].fd.get(), space.data, space.size);
    if (size < 0) {
      if (!passes(errno)) sink.on_received(slot, nullptr, 0, errno);
      return Received::Nothing;
    }
    received_bytes_ = static_cast<size_t>(size);
    if (connections_[slot].is_newcomer)
      share_.add(received_bytes_);
    else
      share_.peer_spoke();
    sink.on_received(slot, space.data, received_bytes_, 0);
    return size > 0 ? Received::Something : Received::Nothing;
  }

  Set newcomers_;  // listeners and newcomers
  NewcomerShare share_;
  std::vector<Connection> connections_;
  std::vector<Listener> listeners_;
  size_t received_bytes_ = 0;  // by the last receive that had no error
};

}  // namespace zerio
