// The Linux readiness backend: level-triggered epoll, with direct receives from the few connections that are hot.
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "clock.h"
#include "hot_list.h"
#include "io.h"
#include "linux.h"
#include "socket_posix.h"

namespace zerio {
namespace {

constexpr int kReadyMax = 256;
// An accepted connection costs some 20 microseconds, for which all peers wait.
constexpr uint32_t kAcceptsPerPollMax = 8;
// While connections are hot all others wait this long at most, so that a program that polls now and then asks epoll every time.
constexpr uint64_t kDirectNs = 20000;
// A try is 0.2 microseconds; the way from JavaScript to here and back is as long. So one way is worth some tries.
constexpr uint32_t kDirectTries = 4;

// What epoll hands back: a listener or a connection, and which life of it, so that events of a closed one are recognised.
struct Tag {
  static constexpr uint64_t kListenerBit = uint64_t{1} << 63;
  static uint64_t listener(uint32_t server, uint32_t life) { return kListenerBit | connection(server, life); }
  static uint64_t connection(uint32_t slot, uint32_t life) { return (uint64_t{life & 0x7fffffff} << 32) | slot; }
  static bool is_listener(uint64_t tag) { return (tag & kListenerBit) != 0; }
  static uint32_t index(uint64_t tag) { return static_cast<uint32_t>(tag); }
  static uint32_t life(uint64_t tag) { return static_cast<uint32_t>(tag >> 32) & 0x7fffffff; }
};

class Epoll final : public Io {
 public:
  explicit Epoll(int fd) : epoll_(fd) {}

  const char* name() const override { return "epoll"; }
  void reserve(uint32_t count) override {
    if (count > connections_.size()) connections_.resize(count);
  }

  uint32_t keep_ahead(uint8_t* /*arena*/, uint32_t /*bytes*/) override { return 0; }

  int listen(uint32_t server, const Address& address, const ListenOptions& options, Address& bound) override {
    if (server >= listeners_.size()) listeners_.resize(server + 1);
    Descriptor fd;
    const int error = open_listener(address, options, fd, bound);
    if (error != 0) return error;
    Listener& listener = listeners_[server];
    ++listener.life;
    epoll_event event = {EPOLLIN, {.u64 = Tag::listener(server, listener.life)}};
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0) return errno;
    listener.fd = std::move(fd);
    return 0;
  }

  void accept_pause(uint32_t server, bool paused) override {
    Listener& listener = listeners_[server];
    if (!listener.fd.open()) return;
    epoll_event event = {paused ? 0U : EPOLLIN, {.u64 = Tag::listener(server, listener.life)}};
    (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listener.fd.get(), &event);
  }

  void unlisten(uint32_t server) override {
    ++listeners_[server].life;
    listeners_[server].fd.reset(-1);
  }

  int attach(uint32_t slot, AcceptedSocket socket, const SocketOptions& options) override {
    Descriptor fd(static_cast<int>(socket));
    set_no_delay(fd.get(), options.no_delay);
    return add(slot, std::move(fd), EPOLLIN);
  }

  void discard(AcceptedSocket socket, IoSlice farewell) override {
    const Descriptor fd(static_cast<int>(socket));
    if (farewell.size > 0) (void)send_slices(fd.get(), &farewell, 1);
  }

  int connect(uint32_t slot, const Address& address, const SocketOptions& options) override {
    Descriptor fd;
    int error = open_connecting(address, options, fd);
    if (error == 0) error = add(slot, std::move(fd), EPOLLOUT);
    if (error == 0) connections_[slot].connecting = true;
    return error;
  }

  void receive_stop(uint32_t slot) override {
    hot_.cool(slot);
    connections_[slot].receiving = false;
    watch(slot);
  }

  int64_t send(uint32_t slot, const IoSlice* slices, uint32_t count) override {
    Connection& connection = connections_[slot];
    size_t total = 0;
    for (uint32_t i = 0; i < count; ++i) total += slices[i].size;
    ssize_t taken = send_slices(connection.fd.get(), slices, count);
    if (taken < 0 && !passes(errno)) return -errno;
    if (taken < 0) taken = 0;
    if (static_cast<size_t>(taken) < total) {
      hot_.cool(slot);
      connection.send_blocked = true;
      watch(slot);
    }
    return taken;
  }

  void shutdown(uint32_t slot) override { (void)::shutdown(connections_[slot].fd.get(), SHUT_WR); }

  bool close(uint32_t slot, bool reset) override {
    Connection& connection = connections_[slot];
    if (reset && connection.fd.open()) set_reset_on_close(connection.fd.get());
    hot_.cool(slot);
    connection.fd.reset(-1);
    ++connection.life;
    return true;
  }

  void addresses(uint32_t slot, Address& local, Address& remote) const override {
    read_addresses(connections_[slot].fd.get(), local, remote);
  }

  void poll(IoSink& sink, bool spinning) override {
    sink_ = &sink;
    if (ready_next_ == ready_count_) {
      if (!spinning) {
        hot_.cool_all();
      } else if (!hot_.empty()) {
        const uint64_t now = monotonic_ns();
        if (now - waited_ns_ < kDirectNs) {
          for (uint32_t i = 0; i < kDirectTries && !hot_.receive(); ++i) {
          }
          return;
        }
        waited_ns_ = now;
        // A program that polls now and then comes here each time, and epoll does not know of those that left it.
        (void)hot_.receive();
      }
      const int count = ::epoll_wait(epoll_.get(), ready_.data(), kReadyMax, 0);
      ready_next_ = 0;
      ready_count_ = count > 0 ? count : 0;
      if (ready_count_ > static_cast<int>(hot_.kMax)) hot_.cool_all();
    }
    while (ready_next_ < ready_count_ && sink.has_room()) {
      if (!handle(sink, ready_[static_cast<size_t>(ready_next_)])) return;
      ++ready_next_;
    }
  }

  bool has_news() const override { return ready_next_ < ready_count_; }

  int wait_handle() const override { return epoll_.get(); }

  uint64_t now_ns() const override { return monotonic_ns(); }

  // For the hot list.

  Received receive_directly(uint32_t slot) {
    IoSink& sink = *sink_;
    const IoSpace space = sink.receive_space();
    if (space.size == 0) return Received::Full;
    const ssize_t size = receive_bytes(connections_[slot].fd.get(), space.data, space.size);
    if (size < 0) {
      if (!passes(errno)) sink.on_received(slot, nullptr, 0, errno);
      return Received::Nothing;
    }
    sink.on_received(slot, space.data, static_cast<size_t>(size), 0);
    return size > 0 ? Received::Something : Received::Nothing;
  }

  bool leave(uint32_t slot) {
    const Connection& connection = connections_[slot];
    return !connection.send_blocked && ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection.fd.get(), nullptr) == 0;
  }

  // The set has room: it had this descriptor before. Only the kernel's memory can be short, and then asking again helps.
  void come_back(uint32_t slot) {
    epoll_event event = {EPOLLIN, {.u64 = Tag::connection(slot, connections_[slot].life)}};
    while (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connections_[slot].fd.get(), &event) != 0 && errno == ENOMEM) {
    }
  }

 private:
  struct Connection {
    Descriptor fd;
    uint32_t life = 0;
    bool connecting = false;
    bool receiving = true;
    bool send_blocked = false;
  };
  struct Listener {
    Descriptor fd;
    uint32_t life = 0;
  };

  int add(uint32_t slot, Descriptor fd, uint32_t events) {
    Connection& connection = connections_[slot];
    epoll_event event = {events, {.u64 = Tag::connection(slot, connection.life)}};
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0) return errno;
    connection.fd = std::move(fd);
    connection.connecting = false;
    connection.receiving = true;
    connection.send_blocked = false;
    return 0;
  }

  void watch(uint32_t slot) {
    const Connection& connection = connections_[slot];
    epoll_event event = {(connection.receiving ? EPOLLIN : 0U) | (connection.send_blocked ? EPOLLOUT : 0U),
                         {.u64 = Tag::connection(slot, connection.life)}};
    (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.fd.get(), &event);
  }

  // Returns false when the batch is full and the event must be looked at again.
  bool handle(IoSink& sink, const epoll_event& event) {
    const uint32_t index = Tag::index(event.data.u64);
    if (Tag::is_listener(event.data.u64)) {
      if (listeners_[index].fd.open() && is_life(listeners_[index].life, event)) accept(sink, index);
      return true;
    }
    Connection& connection = connections_[index];
    if (!connection.fd.open() || !is_life(connection.life, event)) return true;
    if (connection.connecting) {
      const int error = pending_error(connection.fd.get());
      connection.connecting = false;
      if (error == 0) watch(index);
      sink.on_connected(index, error);
      return true;
    }
    const bool failed = (event.events & (EPOLLERR | EPOLLHUP)) != 0;
    if (connection.send_blocked && ((event.events & EPOLLOUT) != 0 || failed)) {
      connection.send_blocked = false;
      watch(index);
      sink.on_sent(index, 0, 0);
      if (!connection.fd.open() || !is_life(connection.life, event)) return true;
    }
    if ((event.events & EPOLLIN) == 0 && !failed) return true;
    if (!connection.receiving) {
      // Both directions are gone and nobody would ever read the error: report it, or epoll repeats it for ever.
      if (failed) sink.on_received(index, nullptr, 0, ECONNRESET);
      return true;
    }
    switch (receive_directly(index)) {
      case Received::Full:
        return false;
      case Received::Something:
        if (connection.fd.open() && connection.receiving) hot_.warm(index);
        break;
      case Received::Nothing:
        break;
    }
    return true;
  }

  static bool is_life(uint32_t life, const epoll_event& event) { return (life & 0x7fffffff) == Tag::life(event.data.u64); }

  void accept(IoSink& sink, uint32_t server) {
    for (uint32_t i = 0; i < kAcceptsPerPollMax && sink.can_accept(server) && listeners_[server].fd.open(); ++i) {
      const int fd = ::accept4(listeners_[server].fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        sink.on_accepted(server, fd);
        continue;
      }
      if (errno == EAGAIN) return;
      if (is_shortage(errno)) {
        sink.on_accept_error(server, errno);
        return;
      }
    }
  }

  Descriptor epoll_;
  std::vector<Connection> connections_;
  std::vector<Listener> listeners_;
  std::array<epoll_event, kReadyMax> ready_ = {};
  int ready_count_ = 0;
  int ready_next_ = 0;
  HotList<Epoll> hot_{*this};
  IoSink* sink_ = nullptr;  // of the present poll
  uint64_t waited_ns_ = 0;
};

}  // namespace

std::unique_ptr<Io> make_epoll(int& error) {
  const int fd = ::epoll_create1(EPOLL_CLOEXEC);
  error = fd < 0 ? errno : 0;
  return fd < 0 ? nullptr : std::make_unique<Epoll>(fd);
}

}  // namespace zerio
