// The Linux readiness backend: level-triggered epoll, with direct receives from the few connections that are hot.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "clock.h"
#include "io.h"

namespace zerio {
namespace {

constexpr int kReadyMax = 256;
constexpr uint32_t kAcceptsPerPollMax = 64;
// While the caller spins, the connections that were active last are asked directly, because a receive that finds nothing costs
// about as much as epoll_wait and one that finds something saves it. All the others wait kDirectNs at most, so that a program
// that polls now and then asks epoll every time.
constexpr uint32_t kHotMax = 4;
constexpr uint64_t kDirectNs = 20000;
// A try is 0.2 microseconds; the way from JavaScript to here and back is as long. So one way is worth some tries.
constexpr uint32_t kDirectTries = 4;
constexpr uint32_t kHotMissesMax = 20000;
// After so many direct receives a connection leaves the epoll set for as long as it is hot: the kernel's notification of a set
// that nobody asks costs each message 0.3 microseconds, twice that when libuv's set contains ours.
constexpr uint32_t kHotHitsInside = 16;
// A hot connection that was silent for so many tries gives its place to another one.
constexpr uint32_t kHotMissesToYield = 256;

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { reset(-1); }

  void reset(int fd) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

void set_flag(int fd, int level, int name, int value) { (void)::setsockopt(fd, level, name, &value, sizeof value); }

// The C library's functions are cancellation points and pay two atomic operations for it in a process with threads, as Node's
// always is. Nobody cancels threads here.
ssize_t receive_bytes(int fd, uint8_t* data, size_t size) { return ::syscall(SYS_recvfrom, fd, data, size, 0, nullptr, nullptr); }
ssize_t send_bytes(int fd, const uint8_t* data, size_t size) {
  return ::syscall(SYS_sendto, fd, data, size, MSG_NOSIGNAL, nullptr, 0);
}

// These are wishes: a system that refuses one still gives a working connection.
void apply(int fd, const SocketOptions& options) {
  if (options.no_delay) set_flag(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (options.send_buffer_bytes > 0) set_flag(fd, SOL_SOCKET, SO_SNDBUF, static_cast<int>(options.send_buffer_bytes));
  if (options.receive_buffer_bytes > 0) set_flag(fd, SOL_SOCKET, SO_RCVBUF, static_cast<int>(options.receive_buffer_bytes));
}

[[nodiscard]] const sockaddr* as_sockaddr(const Address& address) { return reinterpret_cast<const sockaddr*>(address.data()); }

template <class Call>
void read_name(Call call, int fd, Address& out) {
  socklen_t size = Address::kBytesMax;
  out.set_size(call(fd, reinterpret_cast<sockaddr*>(out.data()), &size) == 0 ? size : 0);
}

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

  int listen(uint32_t server, const Address& address, const ListenOptions& options, Address& bound) override {
    if (server >= listeners_.size()) listeners_.resize(server + 1);
    Descriptor fd(::socket(address.is_ipv6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd.open()) return errno;
    set_flag(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (options.reuse_port) set_flag(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
    if (address.is_ipv6()) set_flag(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, options.ipv6_only ? 1 : 0);
    // Buffer sizes are inherited by accepted sockets, and only here do they still reach the TCP window scale.
    apply(fd.get(), options.socket);
    if (::bind(fd.get(), as_sockaddr(address), address.size()) != 0) return errno;
    if (::listen(fd.get(), static_cast<int>(options.backlog)) != 0) return errno;
    read_name(::getsockname, fd.get(), bound);
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
    if (options.no_delay) set_flag(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
    return add(slot, std::move(fd), EPOLLIN);
  }

  void discard(AcceptedSocket socket, IoSlice farewell) override {
    const Descriptor fd(static_cast<int>(socket));
    if (farewell.size > 0) (void)::send(fd.get(), farewell.data, farewell.size, MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  int connect(uint32_t slot, const Address& address, const SocketOptions& options) override {
    Descriptor fd(::socket(address.is_ipv6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd.open()) return errno;
    apply(fd.get(), options);
    if (::connect(fd.get(), as_sockaddr(address), address.size()) != 0 && errno != EINPROGRESS) return errno;
    const int error = add(slot, std::move(fd), EPOLLOUT);
    if (error == 0) connections_[slot].connecting = true;
    return error;
  }

  void receive_stop(uint32_t slot) override {
    cool(slot);
    connections_[slot].receiving = false;
    watch(slot);
  }

  int64_t send(uint32_t slot, const IoSlice* slices, uint32_t count) override {
    Connection& connection = connections_[slot];
    size_t total = 0;
    ssize_t taken = 0;
    if (count == 1) {
      total = slices[0].size;
      do taken = send_bytes(connection.fd.get(), slices[0].data, total);
      while (taken < 0 && errno == EINTR);
    } else {
      std::array<iovec, 4> vectors = {};
      for (uint32_t i = 0; i < count; ++i) {
        vectors[i] = {const_cast<uint8_t*>(slices[i].data), slices[i].size};
        total += slices[i].size;
      }
      msghdr message = {};
      message.msg_iov = vectors.data();
      message.msg_iovlen = count;
      do taken = ::sendmsg(connection.fd.get(), &message, MSG_NOSIGNAL);
      while (taken < 0 && errno == EINTR);
    }
    // Out of kernel memory passes like a full socket buffer.
    if (taken < 0 && errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM) return -errno;
    if (taken < 0) taken = 0;
    if (static_cast<size_t>(taken) < total) {
      cool(slot);
      connection.send_blocked = true;
      watch(slot);
    }
    return taken;
  }

  void shutdown(uint32_t slot) override { (void)::shutdown(connections_[slot].fd.get(), SHUT_WR); }

  bool close(uint32_t slot, bool reset) override {
    Connection& connection = connections_[slot];
    if (reset && connection.fd.open()) {
      const linger now = {1, 0};
      (void)::setsockopt(connection.fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    cool(slot);
    connection.fd.reset(-1);
    ++connection.life;
    return true;
  }

  void addresses(uint32_t slot, Address& local, Address& remote) const override {
    const int fd = connections_[slot].fd.get();
    read_name(::getsockname, fd, local);
    read_name(::getpeername, fd, remote);
  }

  void poll(IoSink& sink, bool spinning) override {
    if (ready_next_ == ready_count_) {
      if (!spinning) {
        cool_all();
      } else if (hot_count_ > 0) {
        const uint64_t now = monotonic_ns();
        if (now - waited_ns_ < kDirectNs) {
          for (uint32_t i = 0; i < kDirectTries && !poll_hot(sink); ++i) {
          }
          return;
        }
        waited_ns_ = now;
        // A program that polls now and then comes here each time, and epoll does not know of those that are outside.
        (void)poll_hot(sink);
      }
      const int count = ::epoll_wait(epoll_.get(), ready_.data(), kReadyMax, 0);
      ready_next_ = 0;
      ready_count_ = count > 0 ? count : 0;
      if (ready_count_ > static_cast<int>(kHotMax)) cool_all();
    }
    while (ready_next_ < ready_count_ && sink.has_room()) {
      if (!handle(sink, ready_[static_cast<size_t>(ready_next_)])) return;
      ++ready_next_;
    }
  }

  int wait_handle() const override { return epoll_.get(); }

  uint64_t now_ns() const override { return monotonic_ns(); }

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
  struct Hot {
    uint32_t slot;
    uint32_t misses;
    uint32_t hits;
    bool outside;  // of the epoll set
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
      finish_connect(sink, index);
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
    switch (receive(sink, index)) {
      case Received::Full:
        return false;
      case Received::Something:
        warm(index);
        break;
      case Received::Nothing:
        break;
    }
    return true;
  }

  static bool is_life(uint32_t life, const epoll_event& event) { return (life & 0x7fffffff) == Tag::life(event.data.u64); }

  enum class Received { Something, Nothing, Full };

  Received receive(IoSink& sink, uint32_t slot) {
    const IoSpace space = sink.receive_space();
    if (space.size == 0) return Received::Full;
    ssize_t size = 0;
    do size = receive_bytes(connections_[slot].fd.get(), space.data, space.size);
    while (size < 0 && errno == EINTR);
    if (size < 0) {
      if (errno == EAGAIN || errno == ENOMEM || errno == ENOBUFS) return Received::Nothing;
      sink.on_received(slot, nullptr, 0, errno);
      return Received::Nothing;
    }
    sink.on_received(slot, space.data, static_cast<size_t>(size), 0);
    return size > 0 ? Received::Something : Received::Nothing;
  }

  void accept(IoSink& sink, uint32_t server) {
    for (uint32_t i = 0; i < kAcceptsPerPollMax && sink.can_accept(server) && listeners_[server].fd.open(); ++i) {
      const int fd = ::accept4(listeners_[server].fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        sink.on_accepted(server, fd);
        continue;
      }
      switch (errno) {
        case EAGAIN:
          return;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
          sink.on_accept_error(server, errno);
          return;
        default:
          // The connection died in the queue (accept(2) lists the network errors that mean this); the next one may be well.
          break;
      }
    }
  }

  void finish_connect(IoSink& sink, uint32_t slot) {
    Connection& connection = connections_[slot];
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(connection.fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    connection.connecting = false;
    if (error == 0) watch(slot);
    sink.on_connected(slot, error);
  }

  // Returns whether the sink was told something, or nobody is hot any more.
  bool poll_hot(IoSink& sink) {
    bool told = hot_count_ == 0;
    for (uint32_t i = 0; i < hot_count_;) {
      Hot& hot = hot_[i];
      const uint32_t slot = hot.slot;
      const Received received = receive(sink, slot);
      if (received == Received::Full) return true;
      told = told || received == Received::Something;
      // The sink may have closed connections, this one too.
      if (i >= hot_count_ || hot_[i].slot != slot) {
        told = true;
        continue;
      }
      if (received == Received::Something) {
        hot.misses = 0;
        if (!hot.outside && ++hot.hits > kHotHitsInside && !connections_[slot].send_blocked) leave(hot);
      } else if (++hot.misses > kHotMissesMax) {
        cool(slot);
        continue;
      }
      ++i;
    }
    return told;
  }

  void warm(uint32_t slot) {
    if (!connections_[slot].fd.open() || !connections_[slot].receiving) return;
    Hot* coldest = &hot_[0];
    for (uint32_t i = 0; i < hot_count_; ++i) {
      if (hot_[i].slot == slot) return;
      if (hot_[i].misses > coldest->misses) coldest = &hot_[i];
    }
    if (hot_count_ == kHotMax) {
      if (coldest->misses < kHotMissesToYield) return;
      cool(coldest->slot);
    }
    hot_[hot_count_++] = {slot, 0, 0, false};
  }

  void leave(Hot& hot) { hot.outside = ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connections_[hot.slot].fd.get(), nullptr) == 0; }

  void cool(uint32_t slot) {
    for (uint32_t i = 0; i < hot_count_; ++i) {
      if (hot_[i].slot != slot) continue;
      if (hot_[i].outside) come_back(slot);
      hot_[i] = hot_[--hot_count_];
      return;
    }
  }

  void cool_all() {
    while (hot_count_ > 0) cool(hot_[hot_count_ - 1].slot);
  }

  // The set has room: it had this descriptor before. Only the kernel's memory can be short, and then asking again helps.
  void come_back(uint32_t slot) {
    epoll_event event = {EPOLLIN, {.u64 = Tag::connection(slot, connections_[slot].life)}};
    while (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connections_[slot].fd.get(), &event) != 0 && errno == ENOMEM) {
    }
  }

  Descriptor epoll_;
  std::vector<Connection> connections_;
  std::vector<Listener> listeners_;
  std::array<epoll_event, kReadyMax> ready_ = {};
  int ready_count_ = 0;
  int ready_next_ = 0;
  std::array<Hot, kHotMax> hot_ = {};
  uint32_t hot_count_ = 0;
  uint64_t waited_ns_ = 0;
};

}  // namespace

std::unique_ptr<Io> make_epoll(int& error) {
  const int fd = ::epoll_create1(EPOLL_CLOEXEC);
  error = fd < 0 ? errno : 0;
  return fd < 0 ? nullptr : std::make_unique<Epoll>(fd);
}

}  // namespace zerio
