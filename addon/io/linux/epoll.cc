// The Linux readiness backend: level-triggered epoll, with direct receives from the few connections that are hot.
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "../clock.h"
#include "../hot_list.h"
#include "../socket_io.h"
#include "linux.h"

namespace zerio {
namespace {

constexpr int kReadyMax = 256;
// While some connections are hot, epoll is asked at least this often. A program that polls less often asks it in each poll.
constexpr uint64_t kDirectNs = 20000;

// What epoll hands back, if not a listener: the newcomers' set; or a connection and which life of it, so that events of a closed
// connection are recognised.
struct Tag {
  static constexpr uint64_t kNewcomers = ~uint64_t{0};
  static uint64_t connection(uint32_t slot, uint32_t life) { return (uint64_t{life & 0x7fffffff} << 32) | slot; }
  static bool is_connection(uint64_t tag) { return tag != kNewcomers && !ListenerTag::is_one(tag); }
  static uint32_t index(uint64_t tag) { return static_cast<uint32_t>(tag); }
  static uint32_t life(uint64_t tag) { return static_cast<uint32_t>(tag >> 32) & 0x7fffffff; }
};

struct Connection {
  Descriptor fd;
  uint32_t life = 0;
  bool is_newcomer = true;  // and so in the newcomers' set
  bool connecting = false;
  bool receiving = true;
  bool send_blocked = false;
};

// A connection that was hot, and that epoll does not take back. It is ended, because no event of it would ever come.
struct Lost {
  uint32_t slot;
  int error;
};

// The connection that is probably the next one that has something: it alone had something, twice in a row. A thread that slept
// receives from it without asking epoll, which saves a conversation of two one system call a message. It does so for a few small
// receives only, so that the others do not wait.
class LikelyNext {
 public:
  // epoll was asked: only this connection has something.
  void found_alone(uint32_t slot) {
    tries_ = slot == slot_ ? kTries : 0;
    slot_ = slot;
  }

  void forget() {
    slot_ = kNone;
    tries_ = 0;
  }

  // Whether to receive from slot() before epoll is asked.
  [[nodiscard]] bool try_once() { return tries_ > 0 && tries_-- > 0; }
  [[nodiscard]] uint32_t slot() const { return slot_; }

  static constexpr size_t kSmallBytes = 4096;

 private:
  static constexpr uint32_t kTries = 8;
  static constexpr uint32_t kNone = ~uint32_t{0};

  uint32_t slot_ = kNone;
  uint32_t tries_ = 0;
};

class Epoll final : public SocketIo<Connection> {
 public:
  Epoll(Descriptor main, Descriptor newcomers) : SocketIo(std::move(newcomers)), main_(std::move(main)) {}

  // Returns 0 or an errno value.
  int set_up() { return change_epoll(main_.get(), EPOLL_CTL_ADD, newcomers_.get(), EPOLLIN, Tag::kNewcomers); }

  const char* name() const override { return "epoll"; }
  void reserve(uint32_t count) override {
    if (count > connections_.size()) connections_.resize(count);
    lost_.reserve(count);
  }

  uint32_t keep_ahead(uint8_t* /*arena*/, uint32_t /*bytes*/) override { return 0; }

  int attach(uint32_t slot, AcceptedSocket socket, const SocketOptions& options) override {
    Descriptor fd(static_cast<int>(socket));
    set_no_delay(fd.get(), options.no_delay);
    return add(newcomers_, slot, std::move(fd), EPOLLIN);
  }

  int promote(uint32_t slot) override {
    Connection& connection = connections_[slot];
    const int error = change(main_, EPOLL_CTL_ADD, connection.fd, events_of(connection), Tag::connection(slot, connection.life));
    if (error != 0) return error;
    forget(newcomers_, connection.fd);
    connection.is_newcomer = false;
    return 0;
  }

  int connect(uint32_t slot, const Address& address, const SocketOptions& options) override {
    Descriptor fd;
    int error = open_connecting(address, options, fd);
    if (error == 0) error = add(main_, slot, std::move(fd), EPOLLOUT);
    if (error != 0) return error;
    connections_[slot].is_newcomer = false;
    connections_[slot].connecting = true;
    return 0;
  }

  void receive_stop(uint32_t slot) override {
    hot_.cool(slot);
    connections_[slot].receiving = false;
    watch(slot);
  }

  int64_t send(uint32_t slot, const IoSlice* slices, uint32_t count) override {
    Connection& connection = connections_[slot];
    const ssize_t sent = send_slices(connection.fd.get(), slices, count);
    const int64_t taken = taken_by_send(sent < 0 ? -errno : sent);
    if (taken >= 0 && static_cast<size_t>(taken) < total_of(slices, count)) {
      hot_.cool(slot);
      connection.send_blocked = true;
      watch(slot);
    }
    return taken;
  }

  bool close(uint32_t slot, bool reset) override {
    Connection& connection = connections_[slot];
    if (reset && connection.fd.open()) set_reset_on_close(connection.fd.get());
    hot_.cool(slot);
    forget(set_of(connection), connection.fd);
    std::erase_if(lost_, [slot](const Lost& one) { return one.slot == slot; });
    connection.fd.reset(-1);
    ++connection.life;
    return true;
  }

  void poll(IoSink& sink, bool spinning) override {
    sink_ = &sink;
    // Also while events are left over, because the caller may wait for the handle next.
    if (!spinning) hot_.cool_all();
    report_lost(sink);
    if (ready_next_ == ready_count_) {
      if (!spinning && likely_.try_once() && receive_likely()) return;
      if (!hot_.empty()) {
        const uint64_t now = monotonic_ns();
        if (now - waited_ns_ < kDirectNs) {
          hot_.receive_soon();
          return;
        }
        waited_ns_ = now;
        // A program that polls seldom comes here each time, and epoll does not know the connections that have left it.
        (void)hot_.receive();
      }
      const int count = ::epoll_wait(main_.get(), ready_.data(), kReadyMax, 0);
      ready_next_ = 0;
      ready_count_ = count > 0 ? count : 0;
      if (count == 1 && ready_[0].events == EPOLLIN && Tag::is_connection(ready_[0].data.u64)) {
        likely_.found_alone(Tag::index(ready_[0].data.u64));
      } else {
        likely_.forget();
      }
      if (ready_count_ > static_cast<int>(hot_.kMax)) hot_.cool_all();
    }
    while (ready_next_ < ready_count_ && sink.has_room()) {
      if (!handle(sink, ready_[static_cast<size_t>(ready_next_)])) return;
      ++ready_next_;
    }
  }

  bool has_news() const override { return ready_next_ < ready_count_ || !lost_.empty(); }

  int wait_handle() const override { return main_.get(); }

  // For the hot list.

  Received receive_directly(uint32_t slot) { return receive_into(*sink_, slot); }

  bool leave(uint32_t slot) {
    const Connection& connection = connections_[slot];
    return !connection.send_blocked && ::epoll_ctl(main_.get(), EPOLL_CTL_DEL, connection.fd.get(), nullptr) == 0;
  }

  void come_back(uint32_t slot) {
    const Connection& connection = connections_[slot];
    const int error = change(main_, EPOLL_CTL_ADD, connection.fd, EPOLLIN, Tag::connection(slot, connection.life));
    if (error != 0) lost_.push_back({slot, error});
  }

 private:
  static int change(const Descriptor& set, int operation, const Descriptor& fd, uint32_t events, uint64_t tag) {
    return change_epoll(set.get(), operation, fd.get(), events, tag);
  }

  int add(const Descriptor& set, uint32_t slot, Descriptor fd, uint32_t events) {
    const int error = change(set, EPOLL_CTL_ADD, fd, events, Tag::connection(slot, connections_[slot].life));
    if (error == 0) open_life(slot, std::move(fd));
    return error;
  }

  static uint32_t events_of(const Connection& connection) {
    return (connection.receiving ? EPOLLIN : 0U) | (connection.send_blocked ? EPOLLOUT : 0U);
  }

  [[nodiscard]] const Descriptor& set_of(const Connection& connection) const {
    return connection.is_newcomer ? newcomers_ : main_;
  }

  void watch(uint32_t slot) {
    const Connection& connection = connections_[slot];
    const uint64_t tag = Tag::connection(slot, connection.life);
    (void)change(set_of(connection), EPOLL_CTL_MOD, connection.fd, events_of(connection), tag);
  }

  void report_lost(IoSink& sink) {
    while (!lost_.empty() && sink.has_room()) {
      const Lost one = lost_.back();
      lost_.pop_back();
      sink.on_received(one.slot, nullptr, 0, one.error);
    }
  }

  // Returns false when the batch is full and the event must be looked at again.
  bool handle(IoSink& sink, const epoll_event& event) {
    if (event.data.u64 == Tag::kNewcomers) {
      share_.renew();
      (void)attend_newcomers(sink, [&](const epoll_event& one) { return handle(sink, one); });
      return true;
    }
    if (ListenerTag::is_one(event.data.u64)) return accept(sink, event.data.u64);
    const uint32_t index = Tag::index(event.data.u64);
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
    // A socket reports its error once: while the connection receives, the receive shall get it.
    if (connection.send_blocked && (failed ? !connection.receiving : (event.events & EPOLLOUT) != 0)) {
      connection.send_blocked = false;
      watch(index);
      sink.on_sent(index, 0, 0);
      if (!connection.fd.open() || !is_life(connection.life, event)) return true;
    }
    if ((event.events & EPOLLIN) == 0 && !failed) return true;
    if (!connection.receiving) {
      // Both directions are gone. No receive follows that would read the error, and epoll would repeat the event for ever.
      if (failed) sink.on_received(index, nullptr, 0, ECONNRESET);
      return true;
    }
    switch (receive_directly(index)) {
      case Received::Full:
        return false;
      case Received::Something:
        if (connection.fd.open() && connection.receiving && !connection.is_newcomer) hot_.warm(index);
        break;
      case Received::Nothing:
        break;
    }
    return true;
  }

  bool receive_likely() {
    const Connection& connection = connections_[likely_.slot()];
    if (!connection.fd.open() || !connection.receiving || connection.is_newcomer || connection.connecting) return false;
    if (receive_directly(likely_.slot()) != Received::Something) return false;
    if (received_bytes_ > LikelyNext::kSmallBytes) likely_.forget();
    return true;
  }

  static bool is_life(uint32_t life, const epoll_event& event) { return (life & 0x7fffffff) == Tag::life(event.data.u64); }

  Descriptor main_;  // an epoll set: all other connections, and the newcomers' set
  std::array<epoll_event, kReadyMax> ready_ = {};
  int ready_count_ = 0;
  int ready_next_ = 0;
  HotList<Epoll> hot_{*this};
  LikelyNext likely_;
  std::vector<Lost> lost_;  // the next poll reports their ends
  IoSink* sink_ = nullptr;  // of the present poll
  uint64_t waited_ns_ = 0;
};

}  // namespace

std::unique_ptr<Io> make_epoll(int& error) {
  Descriptor main(::epoll_create1(EPOLL_CLOEXEC));
  Descriptor newcomers(::epoll_create1(EPOLL_CLOEXEC));
  if (!main.open() || !newcomers.open()) {
    error = errno;
    return nullptr;
  }
  auto io = std::make_unique<Epoll>(std::move(main), std::move(newcomers));
  error = io->set_up();
  if (error != 0) return nullptr;
  return io;
}

}  // namespace zerio
