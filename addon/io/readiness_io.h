// A readiness backend over a set of descriptors that the kernel watches, EpollSet or KqueueSet: level-triggered, with direct
// receives from the few connections that are hot.
#pragma once

#include <array>
#include <cerrno>
#include <memory>
#include <utility>
#include <vector>

#include "clock.h"
#include "hot_list.h"
#include "socket_io.h"

namespace zerio {

// What the main set hands back, if not a listener: the newcomers' set; or a connection and which life of it, so that events of a
// closed connection are recognised.
struct ReadyTag {
  static constexpr uint64_t kNewcomers = ~uint64_t{0};
  static uint64_t connection(uint32_t slot, uint32_t life) { return (uint64_t{life & 0x7fffffff} << 32) | slot; }
  static bool is_connection(uint64_t tag) { return tag != kNewcomers && !ListenerTag::is_one(tag); }
  static uint32_t index(uint64_t tag) { return static_cast<uint32_t>(tag); }
  static uint32_t life(uint64_t tag) { return static_cast<uint32_t>(tag >> 32) & 0x7fffffff; }
};

struct ReadyConnection {
  Descriptor fd;
  uint32_t life = 0;
  bool is_newcomer = true;  // and so in the newcomers' set
  bool connecting = false;
  bool receiving = true;
  bool paused = false;     // it does not receive, for a while
  bool end_waits = false;  // while it is paused: the stream has ended, behind bytes that were not received
  bool parked = false;     // its set does not have it, because it would report that end for ever
  bool send_blocked = false;
  Interest watched;  // what its set watches it for, while it is not hot
};

// A connection that was hot, and that the set does not take back. It is ended, because no event of it would ever come.
struct LostConnection {
  uint32_t slot;
  int error;
};

// The connection that is probably the next one that has something: it alone had something, twice in a row. A thread that slept
// receives from it without asking the set, which saves a conversation of two one system call a message. It does so for a few
// small receives only, so that the others do not wait.
class LikelyNext {
 public:
  // The set was asked: only this connection has something.
  void found_alone(uint32_t slot) {
    tries_ = slot == slot_ ? kTries : 0;
    slot_ = slot;
  }

  void forget() {
    slot_ = kNone;
    tries_ = 0;
  }

  // Whether to receive from slot() before the set is asked.
  [[nodiscard]] bool try_once() { return tries_ > 0 && tries_-- > 0; }
  [[nodiscard]] uint32_t slot() const { return slot_; }

  static constexpr size_t kSmallBytes = 4096;

 private:
  static constexpr uint32_t kTries = 8;
  static constexpr uint32_t kNone = ~uint32_t{0};

  uint32_t slot_ = kNone;
  uint32_t tries_ = 0;
};

template <class Set>
class ReadinessIo final : public SocketIo<ReadyConnection, Set> {
 public:
  using Connection = ReadyConnection;
  using Event = typename Set::Event;
  using Tag = ReadyTag;

  // Returns 0 or an errno value.
  int set_up() {
    int error = main_.open();
    if (error == 0) error = newcomers_.open();
    return error != 0 ? error : main_.add(newcomers_.handle(), kReadable, Tag::kNewcomers);
  }

  const char* name() const override { return Set::kName; }
  void reserve(uint32_t count) override {
    if (count > connections_.size()) connections_.resize(count);
    lost_.reserve(count);
  }

  uint32_t keep_ahead(uint8_t* /*arena*/, uint32_t /*bytes*/) override { return 0; }

  int attach(uint32_t slot, AcceptedSocket socket, const SocketOptions& options) override {
    Descriptor fd(static_cast<int>(socket));
    set_no_delay(fd.get(), options.no_delay);
    return add(newcomers_, slot, std::move(fd), kReadable);
  }

  int promote(uint32_t slot) override {
    Connection& connection = connections_[slot];
    const Interest wanted = interest_of(connection);
    const int error = main_.add(connection.fd.get(), wanted, tag_of(slot));
    if (error != 0) return error;
    (void)newcomers_.remove(connection.fd.get(), connection.watched);
    connection.watched = wanted;
    connection.is_newcomer = connection.parked = false;
    return 0;
  }

  int connect(uint32_t slot, const Address& address, const SocketOptions& options) override {
    Descriptor fd;
    int error = open_connecting(address, options, fd);
    if (error == 0) error = add(main_, slot, std::move(fd), kWritable);
    if (error != 0) return error;
    connections_[slot].is_newcomer = false;
    connections_[slot].connecting = true;
    return 0;
  }

  void receive_stop(uint32_t slot) override {
    hot_.cool(slot);
    connections_[slot].receiving = connections_[slot].paused = false;
    watch(slot);
  }

  void receive_pause(uint32_t slot, bool paused) override {
    Connection& connection = connections_[slot];
    if (paused ? !connection.receiving : !connection.paused) return;
    hot_.cool(slot);
    read(slot, !paused);
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

  bool copies_at_once() const override { return true; }

  bool close(uint32_t slot, bool reset) override {
    Connection& connection = connections_[slot];
    if (reset && connection.fd.open()) set_reset_on_close(connection.fd.get());
    hot_.cool(slot);
    // A closed socket stays in an epoll set, ready for ever, while a forked child has it open, too.
    if (connection.fd.open()) (void)set_of(connection).remove(connection.fd.get(), connection.watched);
    std::erase_if(lost_, [slot](const LostConnection& one) { return one.slot == slot; });
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
        // A program that polls seldom comes here each time, and the set does not know the connections that have left it.
        (void)hot_.receive();
      }
      ready_next_ = 0;
      ready_count_ = main_.take_ready(ready_.data(), kReadyMax);
      if (ready_count_ == 1 && Set::is_only_readable(ready_[0]) && Tag::is_connection(Set::tag_of(ready_[0]))) {
        likely_.found_alone(Tag::index(Set::tag_of(ready_[0])));
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

  int wait_handle() const override { return main_.handle(); }

  // For the hot list.

  Received receive_directly(uint32_t slot) { return this->receive_into(*sink_, slot); }

  bool leave(uint32_t slot) {
    const Connection& connection = connections_[slot];
    return !connection.send_blocked && main_.remove(connection.fd.get(), connection.watched) == 0;
  }

  void come_back(uint32_t slot) {
    const Connection& connection = connections_[slot];
    const int error = main_.add(connection.fd.get(), connection.watched, tag_of(slot));
    if (error != 0) lost_.push_back({slot, error});
  }

 private:
  // While some connections are hot, the set is asked at least this often. A program that polls less often asks it in each poll.
  static constexpr uint64_t kDirectNs = 20000;
  static constexpr int kReadyMax = 256;

  int add(const Set& set, uint32_t slot, Descriptor fd, Interest interest) {
    const int error = set.add(fd.get(), interest, tag_of(slot));
    if (error == 0) this->open_life(slot, std::move(fd)).watched = interest;
    return error;
  }

  [[nodiscard]] uint64_t tag_of(uint32_t slot) const { return Tag::connection(slot, connections_[slot].life); }

  static Interest interest_of(const Connection& connection) {
    return {connection.receiving, connection.send_blocked, connection.paused && !connection.end_waits};
  }

  [[nodiscard]] const Set& set_of(const Connection& connection) const { return connection.is_newcomer ? newcomers_ : main_; }

  void watch(uint32_t slot) {
    Connection& connection = connections_[slot];
    const Interest wanted = interest_of(connection);
    const Interest before = std::exchange(connection.watched, wanted);
    if (std::exchange(connection.parked, false)) {
      const int error = set_of(connection).add(connection.fd.get(), wanted, tag_of(slot));
      if (error != 0) lost_.push_back({slot, error});
    } else {
      (void)set_of(connection).change(connection.fd.get(), before, wanted, tag_of(slot));
    }
  }

  // Goes on to receive, or pauses.
  void read(uint32_t slot, bool receiving) {
    Connection& connection = connections_[slot];
    connection.receiving = receiving;
    connection.paused = !receiving;
    connection.end_waits = false;
    watch(slot);
  }

  // Whether a paused connection is to be received from after all, because it has ended. The end of a stream waits behind the
  // bytes in front of it, but for a farewell. When the connection is broken, these are received, too, because the program shall
  // hear of it.
  bool reads_end(const IoSink& sink, uint32_t slot, const Event& event) {
    Connection& connection = connections_[slot];
    if (!Set::has_ended(event)) return false;
    if (Set::is_broken(event) || !bytes_wait(connection.fd.get(), slot, sink)) {
      read(slot, true);
      return true;
    }
    connection.end_waits = true;
    watch(slot);
    if (Set::has_failed(event)) park(connection);
    return false;
  }

  // Its set would report the same event for ever.
  void park(Connection& connection) {
    (void)set_of(connection).remove(connection.fd.get(), connection.watched);
    connection.watched = {};
    connection.parked = true;
  }

  void report_lost(IoSink& sink) {
    while (!lost_.empty() && sink.has_room()) {
      const LostConnection one = lost_.back();
      lost_.pop_back();
      sink.on_received(one.slot, nullptr, 0, one.error);
    }
  }

  // Returns false when the batch is full and the event must be looked at again.
  bool handle(IoSink& sink, const Event& event) {
    if (Set::tag_of(event) == Tag::kNewcomers) {
      share_.renew();
      (void)this->attend_newcomers(sink, [&](const Event& one) { return handle(sink, one); });
      return true;
    }
    if (ListenerTag::is_one(Set::tag_of(event))) return this->accept(sink, Set::tag_of(event));
    const uint32_t index = Tag::index(Set::tag_of(event));
    Connection& connection = connections_[index];
    if (!connection.fd.open() || !is_life(connection.life, event)) return true;
    if (connection.connecting) {
      const int error = pending_error(connection.fd.get());
      connection.connecting = false;
      if (error == 0) watch(index);
      sink.on_connected(index, error);
      return true;
    }
    const bool failed = Set::has_failed(event);
    // A socket reports its error once: while the connection receives, the receive shall get it.
    if (connection.send_blocked && (failed ? !connection.receiving : Set::is_writable(event))) {
      connection.send_blocked = false;
      watch(index);
      sink.on_sent(index, 0, 0);
      if (!connection.fd.open() || !is_life(connection.life, event)) return true;
    }
    if (!Set::is_readable(event) && !failed) return true;
    if (connection.paused && !reads_end(sink, index, event)) return true;
    if (!connection.receiving) {
      // Both directions are gone. No receive follows that would read the error, and the set would repeat the event for ever.
      if (!failed) return true;
      sink.on_received(index, nullptr, 0, ECONNRESET);
      if (connection.fd.open() && is_life(connection.life, event) && !connection.receiving) park(connection);
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

  static bool is_life(uint32_t life, const Event& event) { return (life & 0x7fffffff) == Tag::life(Set::tag_of(event)); }

  using SocketIo<Connection, Set>::connections_;
  using SocketIo<Connection, Set>::newcomers_;
  using SocketIo<Connection, Set>::received_bytes_;
  using SocketIo<Connection, Set>::share_;

  Set main_;  // all other connections, and the newcomers' set
  std::array<Event, kReadyMax> ready_ = {};
  int ready_count_ = 0;
  int ready_next_ = 0;
  HotList<ReadinessIo> hot_{*this};
  LikelyNext likely_;
  std::vector<LostConnection> lost_;  // the next poll reports their ends
  IoSink* sink_ = nullptr;            // of the present poll
  uint64_t waited_ns_ = 0;
};

// nullptr with the errno value that prevents it.
template <class Set>
[[nodiscard]] std::unique_ptr<Io> make_readiness_io(int& error) {
  auto io = std::make_unique<ReadinessIo<Set>>();
  error = io->set_up();
  if (error != 0) return nullptr;
  return io;
}

}  // namespace zerio
