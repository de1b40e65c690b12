// The Linux completion backend: multishot receives into provided buffers, and all sends of a flush in one submit.
//
// A send that is alone is a system call of its own, because the ring has nothing to save then, and hot connections are received
// from directly for the same reason (hot_list.h). Newcomers are accepted and received from one at a time, as with epoll. So only
// receives and polls are ever in flight: no send outlives its call.
// docs/io_uring.md has the figures, and why each kernel feature is asked for.
#include <array>
#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include "../hot_list.h"
#include "../socket_io.h"
#include "epoll_set.h"
#include "linux.h"
#include "uring_buffers.h"
#include "uring_connection.h"
#include "uring_operations.h"
#include "uring_queue.h"
#include "uring_sends.h"

namespace zerio {
namespace {

using uring::Cqe;
using uring::Sqe;
using Op = UringOp;
using Tag = UringTag;

constexpr uint32_t kSqEntries = 1024;
constexpr uint32_t kCqEntries = 16384;
constexpr uint32_t kTinySqEntries = 4;
constexpr uint32_t kTinyCqEntries = 8;
// One part in so many of the arena is for the receives that the kernel makes ahead, the rest for direct ones.
constexpr uint32_t kAheadShare = 2;
// As many events as the sink always has room for.
constexpr int kWritablePerPollMax = 32;

// The epoll sets that the ring polls.
enum class Watch : uint32_t { Others = 0, Newcomers = 1 };

class IoUring final : public SocketIo<UringConnection, EpollSet> {
 public:
  explicit IoUring(std::unique_ptr<UringQueue> queue) : operations_(std::move(queue)) {}

  // 0 or an errno value. `allows(feature)` says whether the kernel's newer features may be used.
  template <class Allows>
  int set_up(Allows allows) {
    // Before 6.15 a receive that ended could be reported behind another one that had got later bytes of the same buffer, and only
    // the order of the completions says which bytes are whose. (Later 6.12 and 6.14 have the repair, too, but nothing shows it.)
    int error = others_.open();
    if (error == 0) error = newcomers_.open();
    if (error != 0) return error;
    error = buffers_.set_up(queue(), allows("incremental") && queue().has(uring::kFeatureNoIoWait));
    if (error != 0) return error;
    // No flag shows multishot receives; they came with SEND_ZC, in 6.0. Without them each receive is asked for.
    if (allows("multishot") && queue().supports(uring::kSendZeroCopy)) receive_flags_ = uring::kReceiveMultishot;
    return 0;
  }

  const char* name() const override { return "io_uring"; }

  void reserve(uint32_t count) override {
    if (count > connections_.size()) connections_.resize(count);
    starved_.reserve(count);
  }

  uint32_t keep_ahead(uint8_t* arena, uint32_t bytes) override {
    const uint32_t ahead = bytes / kAheadShare;
    buffers_.set_memory(arena + bytes - ahead, ahead);
    return ahead;
  }

  int listen(uint32_t server, const Address& address, const ListenOptions& options, Address& bound) override {
    if (broken() != 0) return broken();
    const int error = SocketIo::listen(server, address, options, bound);
    if (error != 0) return error;
    arm_poll(Watch::Newcomers);
    if (operations_.submit(false) != 0) SocketIo::unlisten(server);
    return broken();
  }

  int attach(uint32_t slot, AcceptedSocket socket, const SocketOptions& options) override {
    Descriptor fd(static_cast<int>(socket));
    if (broken() != 0) return broken();
    set_no_delay(fd.get(), options.no_delay);
    const int error = newcomers_.add(fd.get(), kReadable, receive_tag(slot));
    if (error != 0) return error;
    open_life(slot, std::move(fd));
    return 0;
  }

  int promote(uint32_t slot) override {
    forget_newcomer(slot);
    connections_[slot].is_newcomer = false;
    if (connections_[slot].receiving) arm_receive(slot);
    return 0;
  }

  int connect(uint32_t slot, const Address& address, const SocketOptions& options) override {
    if (broken() != 0) return broken();
    Descriptor fd;
    int error = open_connecting(address, options, fd);
    if (error != 0) return error;
    UringConnection& connection = open_life(slot, std::move(fd));
    connection.is_newcomer = false;
    connection.connecting = true;
    error = watch(slot, kWritable);
    if (error == 0) error = operations_.submit(false);
    if (error == 0) return 0;
    (void)watch(slot, {});
    connections_[slot].fd.reset(-1);
    return error;
  }

  void receive_stop(uint32_t slot) override {
    connections_[slot].receiving = connections_[slot].paused = false;
    forget_newcomer(slot);
    hot_.cool(slot);
    cancel_receive(slot);
    if (connections_[slot].watched.ends) (void)watch(slot, {false, connections_[slot].watched.writable, false});
  }

  // What the ring has received before a receive is cancelled is reported.
  void receive_pause(uint32_t slot, bool paused) override {
    UringConnection& connection = connections_[slot];
    if (paused ? !connection.receiving : !connection.paused) return;
    if (!paused) return read_on(slot);
    connection.receiving = false;
    connection.paused = true;
    // The newcomers' set would report what is not received.
    forget_newcomer(slot);
    connection.is_newcomer = false;
    hot_.cool(slot);
    cancel_receive(slot);
    (void)watch(slot, {false, connection.watched.writable, true});
  }

  int64_t send(uint32_t slot, const IoSlice* slices, uint32_t count) override {
    const ssize_t taken = send_slices(connections_[slot].fd.get(), slices, count);
    return sent(slot, taken < 0 ? -errno : taken, total_of(slices, count));
  }

  bool copies_at_once() const override { return true; }
  uint32_t sends_per_batch() const override { return kSendsPerBatchMax; }
  void send_batch(IoSend* sends, uint32_t count) override {
    UringSends batch(operations_, sends, count);
    for (uint32_t i = 0; i < count; ++i) {
      if (sends[i].count > 1) {
        sends[i].taken = send(sends[i].slot, sends[i].slices, sends[i].count);
      } else {
        batch.begin(i, connections_[sends[i].slot].fd.get());
      }
    }
    batch.submit([this](const IoSend& one, int result) { return sent(one.slot, result, one.slices[0].size); });
  }

  bool close(uint32_t slot, bool reset) override {
    UringConnection& connection = connections_[slot];
    if (reset && connection.fd.open()) set_reset_on_close(connection.fd.get());
    const bool is_in_flight = connection.receive_armed || connection.watched.any() || queue().unsubmitted() > 0;
    receive_stop(slot);
    (void)watch(slot, {});
    // What is in flight holds the socket, and only its cancellation ends the connection. A broken ring cancels nothing.
    if (broken() != 0 && connection.fd.open()) shutdown_both(connection.fd.get());
    connection.fd.reset(-1);
    ++connection.life;
    if (is_in_flight) operations_.finish();
    return true;
  }

  void poll(IoSink& sink, bool spinning) override {
    sink_ = &sink;
    spinning_ = spinning;
    buffers_.give_back();
    operations_.mute([this] { return spinning_ || has_news(); });
    if (!spinning) {
      hot_.cool_all();
    } else if (!hot_.empty()) {
      hot_.receive_soon();
    }
    share_.renew();
    // First those that found no buffer, in the order in which they came, so that busy connections do not keep them waiting.
    for (const uint32_t slot : starved_) arm_receive(slot);
    starved_.clear();
    if (queue().unsubmitted() > 0 || queue().kernel_has_work()) (void)operations_.submit(queue().kernel_has_work());
    if (operations_.check_losses() != 0) return report_broken();
    Cqe cqe = {};
    // No more than there are now: what completes meanwhile is for the next poll, after the engine's timers.
    for (uint32_t left = queue().completions(); left > 0 && sink.has_room() && queue().take(cqe); --left) complete(cqe);
    if (newcomers_ready_) serve_newcomers();
    if (queue().unsubmitted() > 0) (void)operations_.submit(false);
    if (!spinning) queue().unmute();
  }

  bool has_news() const override {
    if (broken() != 0) return reported_listeners_ < listeners_.size() || reported_connections_ < connections_.size();
    const UringQueue& queue = operations_.queue();
    return queue.completions() > 0 || queue.kernel_has_work() || queue.unsubmitted() > 0 || !starved_.empty() || newcomers_ready_;
  }

  int wait_handle() const override { return operations_.queue().wait_fd(); }

  // For the hot list.

  Received receive_directly(uint32_t slot) { return connections_[slot].direct ? receive_into(*sink_, slot) : Received::Nothing; }

  // Two receives at once would take the stream apart, so the connection has left when the cancelled one has completed.
  bool leave(uint32_t slot) {
    UringConnection& connection = connections_[slot];
    if (connection.receive_armed && !connection.leaving) {
      connection.leaving = true;
      cancel_receive(slot);
    }
    return false;
  }

  void come_back(uint32_t slot) {
    connections_[slot].direct = false;
    arm_receive(slot);
  }

 private:
  [[nodiscard]] UringQueue& queue() { return operations_.queue(); }
  [[nodiscard]] int broken() const { return operations_.broken(); }
  [[nodiscard]] uint64_t receive_tag(uint32_t slot) const { return Tag::make(Op::Receive, connections_[slot].life, slot); }

  // Nothing completes any more, and what has completed cannot be trusted: each connection and each listener gets the error, once.
  void report_broken() {
    for (; reported_listeners_ < listeners_.size() && sink_->has_room(); ++reported_listeners_) {
      if (listeners_[reported_listeners_].fd.open()) sink_->on_accept_error(reported_listeners_, broken());
    }
    for (; reported_connections_ < connections_.size() && sink_->has_room(); ++reported_connections_) {
      UringConnection& connection = connections_[reported_connections_];
      if (!connection.fd.open()) continue;
      if (std::exchange(connection.connecting, false)) {
        sink_->on_connected(reported_connections_, broken());
      } else if (connection.takes()) {
        sink_->on_received(reported_connections_, nullptr, 0, broken());
      }
    }
  }

  // ---- Receiving

  void arm_receive(uint32_t slot) {
    UringConnection& connection = connections_[slot];
    // A slot that starved may have a newcomer meanwhile.
    if (!connection.fd.open() || connection.is_newcomer || !connection.receiving) return;
    if (connection.receive_armed || connection.direct) return;
    Sqe& sqe = operations_.receive(connection.fd.get(), ProvidedBuffers::kGroup, receive_tag(slot));
    // While several connections receive, one that brings much, or that has not shown yet that it brings little, gets one limited
    // receive at a time, so that no connection has all buffers.
    const uint32_t most = sink_->receive_bytes_max();
    if (!connection.small_receives.shown() && most < IoSink::kNoLimit) {
      sqe.length = most;
    } else {
      sqe.ioprio = receive_flags_;
    }
    connection.receive_armed = true;
  }

  void read_on(uint32_t slot) {
    UringConnection& connection = connections_[slot];
    connection.receiving = true;
    connection.paused = false;
    (void)watch(slot, {false, connection.watched.writable, false});
    arm_receive(slot);
  }

  // A paused connection has ended. The end of a stream waits behind the bytes in front of it, but for a farewell. When the
  // connection is broken, these are received, too, because the program shall hear of it.
  void look_at_end(uint32_t slot, const EpollSet::Event& event) {
    UringConnection& connection = connections_[slot];
    if (EpollSet::is_broken(event) || !bytes_wait(connection.fd.get(), slot, *sink_)) {
      read_on(slot);
    } else {
      (void)watch(slot, {false, connection.watched.writable, false});
    }
  }

  void cancel_receive(uint32_t slot) {
    if (connections_[slot].receive_armed) operations_.cancel(receive_tag(slot));
  }

  void received(const Cqe& cqe) {
    const uint32_t slot = Tag::index(cqe.user_data);
    UringConnection& connection = connections_[slot];
    const uint32_t life = connection.life;
    bool alive = Tag::is_life(cqe.user_data, life) && connection.fd.open();
    if (alive && (cqe.flags & uring::kCqeMore) == 0) connection.receive_armed = false;
    if ((cqe.flags & uring::kCqeBuffer) != 0) {
      uint8_t* const data = buffers_.take(cqe);
      share_.peer_spoke();
      if (alive && connection.takes() && cqe.result > 0) sink_->on_received(slot, data, static_cast<size_t>(cqe.result), 0);
      alive = alive && connection.life == life && connection.fd.open();
    }
    if (!alive) return;
    if (cqe.result > 0 && spinning_ && connection.receiving) hot_.warm(slot);
    const bool failed = cqe.result < 0 && cqe.result != -ENOBUFS && cqe.result != -ECANCELED && !passes(-cqe.result);
    if ((cqe.result == 0 || failed) && connection.takes()) {
      sink_->on_received(slot, nullptr, 0, -cqe.result);
      return;
    }
    if (cqe.result > 0) note_size(slot, cqe);
    if (connection.receive_armed) return;
    if (connection.leaving) {
      connection.leaving = false;
      connection.direct = hot_.left(slot);
    }
    if (cqe.result == -ENOBUFS && !connection.direct) {
      starved_.push_back(slot);
    } else {
      arm_receive(slot);
    }
  }

  // Finds out whether the connection's receives bring little. A multishot receive cannot be limited: it is cancelled when it
  // brings much, and the next receive is limited.
  void note_size(uint32_t slot, const Cqe& cqe) {
    SmallReceives& small = connections_[slot].small_receives;
    const uint32_t most = sink_->receive_bytes_max();
    // The end of a buffer may have cut a limited receive short.
    const bool has_more = !small.shown() && (cqe.flags & uring::kCqeSocketHasMore) != 0;
    if (most == IoSink::kNoLimit || (static_cast<uint32_t>(cqe.result) < most && !has_more)) {
      small.add();
      return;
    }
    if (small.shown()) cancel_receive(slot);
    small.refute();
  }

  // ---- Sending

  // What a send has brought: a count, or a negative errno value. Returns what send() is to return.
  int64_t sent(uint32_t slot, int64_t result, size_t total) {
    const int64_t taken = taken_by_send(result);
    const int error =
        taken >= 0 && static_cast<size_t>(taken) < total ? watch(slot, {false, true, connections_[slot].watched.ends}) : 0;
    return error != 0 ? -error : taken;
  }

  // Reports when the socket can be written to, or is connected, or broken, or when a paused one has ended: through an epoll set
  // that the ring polls. A poll of the socket by the ring itself always asks for POLLRDHUP: it would end at once, with room or
  // without, when the other side has ended its stream.
  int watch(uint32_t slot, Interest wanted) {
    UringConnection& connection = connections_[slot];
    const Interest before = connection.watched;
    if (before == wanted) return 0;
    const int fd = connection.fd.get();
    const uint64_t tag = Tag::make(Op::Poll, connection.life, slot);
    int error = 0;
    if (!wanted.any()) {
      (void)others_.remove(fd, before);
    } else {
      error = before.any() ? others_.change(fd, before, wanted, tag) : others_.add(fd, wanted, tag);
    }
    if (error != 0) return error;
    connection.watched = wanted;
    watched_ = watched_ + (wanted.any() ? 1 : 0) - (before.any() ? 1 : 0);
    if (wanted.any()) arm_poll(Watch::Others);
    return 0;
  }

  void report_others() {
    std::array<EpollSet::Event, kWritablePerPollMax> ready = {};
    const int count = others_.take_ready(ready.data(), kWritablePerPollMax);
    for (int i = 0; i < count; ++i) {
      const EpollSet::Event& event = ready[static_cast<size_t>(i)];
      const uint64_t tag = EpollSet::tag_of(event);
      const uint32_t slot = Tag::index(tag);
      UringConnection& connection = connections_[slot];
      if (!Tag::is_life(tag, connection.life) || !connection.watched.any()) continue;
      if (connection.paused && EpollSet::has_ended(event)) look_at_end(slot, event);
      if (!connection.watched.writable || !(EpollSet::is_writable(event) || EpollSet::has_failed(event))) continue;
      // A socket reports its error once: while the connection receives, the receive shall get it.
      if (EpollSet::has_failed(event) && connection.receiving && !connection.connecting) continue;
      (void)watch(slot, {false, false, connection.watched.ends});
      if (!connection.connecting) {
        sink_->on_sent(slot, 0, 0);
        continue;
      }
      const int error = pending_error(connection.fd.get());
      connection.connecting = false;
      if (error == 0) arm_receive(slot);
      sink_->on_connected(slot, error);
    }
    if (watched_ > 0) arm_poll(Watch::Others);
  }

  // ---- Newcomers

  void forget_newcomer(uint32_t slot) {
    const UringConnection& connection = connections_[slot];
    if (connection.is_newcomer && connection.fd.open()) (void)newcomers_.remove(connection.fd.get(), kReadable);
  }

  void serve_newcomers() {
    newcomers_ready_ = attend_newcomers(*sink_, [this](const EpollSet::Event& event) {
      const uint64_t tag = EpollSet::tag_of(event);
      return ListenerTag::is_one(tag) ? accept(*sink_, tag) : receive_into(*sink_, Tag::index(tag)) != Received::Full;
    });
    if (!newcomers_ready_) arm_poll(Watch::Newcomers);
  }

  // ---- Completions

  // One completion when the epoll set has something.
  void arm_poll(Watch watch) {
    const auto index = static_cast<uint32_t>(watch);
    if (poll_armed_[index]) return;
    operations_.poll(watch == Watch::Others ? others_.handle() : newcomers_.handle(), Tag::make(Op::Poll, 0, index));
    poll_armed_[index] = true;
  }

  void complete(const Cqe& cqe) {
    operations_.count(cqe);
    switch (Tag::op(cqe.user_data)) {
      case Op::Receive:
        received(cqe);
        return;
      case Op::Poll:
        poll_armed_[Tag::index(cqe.user_data)] = false;
        if (static_cast<Watch>(Tag::index(cqe.user_data)) == Watch::Others) {
          report_others();
        } else {
          newcomers_ready_ = true;
        }
        return;
      case Op::Send:
      case Op::Cancel:
        return;
    }
  }

  EpollSet others_;  // sockets that are to have room, and paused ones that may end
  uint32_t watched_ = 0;
  std::array<bool, 2> poll_armed_ = {};
  bool newcomers_ready_ = false;  // the newcomers' set may have something
  ProvidedBuffers buffers_;
  uint16_t receive_flags_ = 0;
  std::vector<uint32_t> starved_;  // slots whose receive found no buffer
  uint32_t reported_listeners_ = 0;
  uint32_t reported_connections_ = 0;
  HotList<IoUring> hot_{*this};
  IoSink* sink_ = nullptr;  // of the present poll
  bool spinning_ = false;
  // Behind everything that operations in flight use, so that its destructor ends them first.
  UringOperations operations_;
};

}  // namespace

// A comma-separated list of features that shall not be used, for tests of what older kernels and full queues need: defer,
// incremental, multishot, and queues, which are tiny then.
constexpr const char* kWithoutVariable = "ZERIO_IO_URING_WITHOUT";

std::unique_ptr<Io> make_io_uring(int& error) {
  const char* const variable = std::getenv(kWithoutVariable);
  const std::string_view without = variable == nullptr ? "" : variable;
  const auto allows = [&](std::string_view feature) { return without.find(feature) == std::string_view::npos; };
  const bool tiny = !allows("queues");
  std::unique_ptr<UringQueue> queue =
      UringQueue::create(tiny ? kTinySqEntries : kSqEntries, tiny ? kTinyCqEntries : kCqEntries, allows("defer"), error);
  if (queue == nullptr) return nullptr;
  auto io = std::make_unique<IoUring>(std::move(queue));
  error = io->set_up(allows);
  if (error != 0) return nullptr;
  return io;
}

}  // namespace zerio
