// The Linux completion backend: multishot receives into provided buffers, and all sends of a flush in one submit.
//
// A send is a system call of its own when it is alone, because the ring has nothing to save then, and hot connections receive
// directly for the same reason (hot_list.h). Newcomers are accepted and heard one at a time, as with epoll. So only receives and
// waits are ever in flight: no send outlives its call.
// docs/io_uring.md has the figures, and why each kernel feature is asked for.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <limits>
#include <new>
#include <string_view>
#include <utility>
#include <vector>

#include "linux.h"
#include "../socket_io.h"
#include "uring_buffers.h"
#include "uring_queue.h"

namespace zerio {
namespace {

using uring::Cqe;
using uring::Sqe;

constexpr uint32_t kSqEntries = 1024;
constexpr uint32_t kCqEntries = 16384;
constexpr uint32_t kTinySqEntries = 4;
constexpr uint32_t kTinyCqEntries = 8;
// Half of the arena is for direct receives, half for those that the kernel makes ahead.
constexpr uint32_t kAheadShare = 2;
// As many events as the sink always has room for.
constexpr int kWritablePerPollMax = 32;
// So many say that a peer is none of those that bring much: one that floods, too, has nothing to send now and then.
constexpr uint8_t kModestReceives = 8;
constexpr uint32_t kTearDownWaitsMax = 1000;
// When nobody knows what is still in flight.
constexpr uint32_t kTearDownWaitsBroken = 20;
constexpr int kTearDownWaitMs = 10;
// How often a close lets the kernel go on with what it has to do for this thread.
constexpr uint32_t kFinishMax = 1000;
constexpr int64_t kUnanswered = std::numeric_limits<int64_t>::min();

// The epoll sets that the ring polls.
enum class Watch : uint32_t { Writable = 0, Strangers = 1 };

enum class Op : uint64_t { Receive = 2, Poll = 3, Send = 4, Cancel = 5 };

// What a completion is of: the operation, a life of a connection, and its number.
struct Tag {
  static constexpr uint32_t kLifeMask = 0x0fffffff;
  static uint64_t make(Op op, uint32_t life, uint32_t index) {
    return static_cast<uint64_t>(op) << 60 | (uint64_t{life & kLifeMask} << 32) | index;
  }
  static Op op(uint64_t tag) { return static_cast<Op>(tag >> 60); }
  static bool is_life(uint64_t tag, uint32_t life) { return ((tag >> 32) & kLifeMask) == (life & kLifeMask); }
  static uint32_t index(uint64_t tag) { return static_cast<uint32_t>(tag); }
};

struct Connection {
  Descriptor fd;
  uint32_t life = 0;
  bool is_peer = false;  // otherwise a stranger, whom the ring does not receive from
  bool connecting = false;
  bool receiving = true;
  bool receive_armed = false;
  bool watched = false;  // for becoming writable
  bool leaving = false;  // the ring's receive is being cancelled
  bool direct = false;   // the ring has no receive; the hot list has
  uint8_t modest = 0;    // how many receives in a row brought less than they may, up to kModestReceives
};

class IoUring final : public SocketIo<Connection> {
 public:
  IoUring(std::unique_ptr<UringQueue> queue, Descriptor writable, Descriptor strangers)
      : SocketIo(std::move(strangers)), queue_(std::move(queue)), writable_(std::move(writable)) {}
  IoUring(const IoUring&) = delete;
  IoUring& operator=(const IoUring&) = delete;

  ~IoUring() override {
    // The kernel may receive into the pools until its last operation is over, and they go away behind us.
    cancel_all();
    Cqe cqe = {};
    const uint32_t waits_max = broken_ == 0 ? kTearDownWaitsMax : kTearDownWaitsBroken;
    for (uint32_t waits = 0; in_flight_ > 0 && waits < waits_max; ++waits) {
      if (queue_->enter(true) != 0) break;
      while (queue_->take(cqe)) {
        if (is_last(cqe)) --in_flight_;
      }
      if (in_flight_ > 0) queue_->wait(kTearDownWaitMs);
    }
  }

  // 0 or an errno value. `allows(feature)` says whether the kernel's newer features may be used.
  template <class Allows>
  int set_up(Allows allows) {
    // Before 6.15 a receive that ends could be told of after one that got later bytes of the same buffer, in which only the order
    // of the completions says what is whose. (Repaired in later 6.12 and 6.14, too, where nothing tells.)
    const int error = buffers_.set_up(*queue_, allows("incremental") && queue_->has(uring::kFeatureNoIoWait));
    if (error != 0) return error;
    // No flag tells of multishot receives; they came with SEND_ZC, in 6.0. Without them each receive is asked for.
    if (allows("multishot") && supports(uring::kSendZeroCopy)) receive_flags_ = uring::kReceiveMultishot;
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
    if (broken_ != 0) return broken_;
    const int error = SocketIo::listen(server, address, options, bound);
    if (error != 0) return error;
    arm_poll(Watch::Strangers);
    if (submit(false) != 0) SocketIo::unlisten(server);
    return broken_;
  }

  int attach(uint32_t slot, AcceptedSocket socket, const SocketOptions& options) override {
    Descriptor fd(static_cast<int>(socket));
    if (broken_ != 0) return broken_;
    set_no_delay(fd.get(), options.no_delay);
    const uint64_t tag = Tag::make(Op::Receive, connections_[slot].life, slot);
    const int error = change_epoll(strangers_.get(), EPOLL_CTL_ADD, fd.get(), EPOLLIN, tag);
    if (error != 0) return error;
    open_life(slot, std::move(fd));
    return 0;
  }

  int welcome(uint32_t slot) override {
    forget_stranger(slot);
    connections_[slot].is_peer = true;
    if (connections_[slot].receiving) arm_receive(slot);
    return 0;
  }

  int connect(uint32_t slot, const Address& address, const SocketOptions& options) override {
    if (broken_ != 0) return broken_;
    Descriptor fd;
    int error = open_connecting(address, options, fd);
    if (error != 0) return error;
    Connection& connection = open_life(slot, std::move(fd));
    connection.is_peer = connection.connecting = true;
    error = watch_writable(slot);
    if (error == 0) error = submit(false);
    if (error == 0) return 0;
    unwatch_writable(slot);
    connections_[slot].fd.reset(-1);
    return error;
  }

  void receive_stop(uint32_t slot) override {
    Connection& connection = connections_[slot];
    connection.receiving = false;
    forget_stranger(slot);
    hot_.cool(slot);
    if (connection.receive_armed) cancel(Tag::make(Op::Receive, connection.life, slot));
  }

  int64_t send(uint32_t slot, const IoSlice* slices, uint32_t count) override {
    const ssize_t taken = send_slices(connections_[slot].fd.get(), slices, count);
    return sent(slot, taken < 0 ? -errno : taken, total_of(slices, count));
  }

  uint32_t sends_per_batch() const override { return kSendsPerBatchMax; }
  void send_batch(IoSend* sends, uint32_t count) override {
    uint32_t submitted = 0;
    for (uint32_t i = 0; i < count; ++i) {
      if (sends[i].count > 1) {
        sends[i].taken = send(sends[i].slot, sends[i].slices, sends[i].count);
        continue;
      }
      Sqe& sqe = queue_->next_sqe();
      sqe.opcode = uring::kSend;
      sqe.fd = connections_[sends[i].slot].fd.get();
      sqe.address = reinterpret_cast<uint64_t>(sends[i].slices[0].data);
      sqe.length = static_cast<uint32_t>(sends[i].slices[0].size);
      // With MSG_DONTWAIT a send is over when the submit is, and the ring bytes are JavaScript's again.
      sqe.operation_flags = MSG_NOSIGNAL | MSG_DONTWAIT;
      sqe.user_data = Tag::make(Op::Send, 0, i);
      sends[i].taken = kUnanswered;
      ++submitted;
    }
    if (submitted == 0) return;
    for (int error = submit(false);;) {
      queue_->pick([&](const Cqe& cqe) {
        if (Tag::op(cqe.user_data) != Op::Send) return false;
        IoSend& one = sends[Tag::index(cqe.user_data)];
        one.taken = sent(one.slot, cqe.result, one.slices[0].size);
        --submitted;
        return true;
      });
      if (submitted == 0) return;
      if (error != 0) return fail_unanswered(sends, count, error);
      // The rest has overflowed the completion queue.
      queue_->spill();
      error = submit(true);
      if (queue_->lost()) error = ENOBUFS;
    }
  }

  bool close(uint32_t slot, bool reset) override {
    Connection& connection = connections_[slot];
    if (reset && connection.fd.open()) set_reset_on_close(connection.fd.get());
    connection.receiving = false;
    forget_stranger(slot);
    hot_.cool(slot);
    if (connection.receive_armed) cancel(Tag::make(Op::Receive, connection.life, slot));
    unwatch_writable(slot);
    // What is in flight holds the socket: only its cancellation ends the connection, and nobody may poll any more.
    if (broken_ != 0 && connection.fd.open()) shutdown_both(connection.fd.get());
    connection.fd.reset(-1);
    ++connection.life;
    finish();
    return true;
  }

  void poll(IoSink& sink, bool spinning) override {
    sink_ = &sink;
    spinning_ = spinning;
    buffers_.give_back();
    quiet();
    if (!spinning) {
      hot_.cool_all();
    } else if (!hot_.empty()) {
      hot_.receive_soon();
    }
    share_.renew();
    // First those that found no buffer, in the order in which they came, so that nobody who is busy keeps them waiting.
    for (const uint32_t slot : starved_) arm_receive(slot);
    starved_.clear();
    if (queue_->unsubmitted() > 0 || queue_->kernel_has_work()) (void)submit(queue_->kernel_has_work());
    if (broken_ == 0 && queue_->lost()) broken_ = ENOBUFS;
    if (broken_ != 0) return tell_that_it_broke();
    Cqe cqe = {};
    // No more than there are now: what completes meanwhile is for the next poll, after the engine's timers.
    for (uint32_t left = queue_->completions(); left > 0 && sink.has_room() && queue_->take(cqe); --left) complete(cqe);
    if (strangers_ready_) attend_strangers();
    if (queue_->unsubmitted() > 0) (void)submit(false);
    if (!spinning) queue_->hear();
  }

  bool has_news() const override {
    if (broken_ != 0) return told_listeners_ < listeners_.size() || told_connections_ < connections_.size();
    return queue_->completions() > 0 || queue_->kernel_has_work() || queue_->unsubmitted() > 0 || !starved_.empty() ||
           strangers_ready_;
  }

  int wait_handle() const override { return queue_->wait_fd(); }

  // For the hot list.

  Received receive_directly(uint32_t slot) { return connections_[slot].direct ? receive_into(*sink_, slot) : Received::Nothing; }

  // Two receives at once would take the stream apart: it is left when the cancelled one has completed.
  bool leave(uint32_t slot) {
    Connection& connection = connections_[slot];
    if (connection.receive_armed && !connection.leaving) {
      connection.leaving = true;
      cancel(Tag::make(Op::Receive, connection.life, slot));
    }
    return false;
  }

  void come_back(uint32_t slot) {
    connections_[slot].direct = false;
    arm_receive(slot);
  }

 private:
  static bool is_last(const Cqe& cqe) {
    const Op op = Tag::op(cqe.user_data);
    return op != Op::Send && op != Op::Cancel && (cqe.flags & uring::kCqeMore) == 0;
  }

  // ---- Operations

  // Returns 0, or the errno value of a ring that does not work any more.
  int submit(bool get_events) {
    const int error = queue_->enter(get_events);
    if (error != 0 && broken_ == 0) broken_ = error;
    return error;
  }

  // What was cancelled has ended when this returns, unless the kernel has more than that to do.
  void finish() {
    int error = submit(true);
    for (uint32_t more = 0; error == 0 && queue_->kernel_has_more() && more < kFinishMax; ++more) error = submit(true);
  }

  // While a poll is under way, and between those of a thread that spins, the kernel signals no eventfd. One that was signalled is
  // read together with what this poll submits; a signal that comes late finds a poll that has nothing else to do.
  void quiet() {
    const bool signalled = queue_->mute();
    // Nothing is submitted any more, and what stays signalled would wake the loop for ever.
    if (broken_ != 0) return queue_->quiet();
    if (!signalled) {
      if (!spinning_ && !has_news()) queue_->quiet();
      return;
    }
    Sqe& sqe = queue_->next_sqe();
    sqe.opcode = uring::kRead;
    sqe.fd = queue_->wait_fd();
    sqe.address = reinterpret_cast<uint64_t>(&signals_);
    sqe.length = sizeof signals_;
    // Over when the submit is, also when there is nothing to read.
    sqe.operation_flags = RWF_NOWAIT;
    sqe.flags = uring::kSqeSkipSuccess;
    sqe.user_data = Tag::make(Op::Cancel, 0, 0);
    queue_->expect_quiet();
  }

  // Nothing completes any more, and what has completed cannot be trusted: each connection and each listener hears of it, once.
  void tell_that_it_broke() {
    for (; told_listeners_ < listeners_.size() && sink_->has_room(); ++told_listeners_) {
      if (listeners_[told_listeners_].fd.open()) sink_->on_accept_error(told_listeners_, broken_);
    }
    for (; told_connections_ < connections_.size() && sink_->has_room(); ++told_connections_) {
      Connection& connection = connections_[told_connections_];
      if (!connection.fd.open()) continue;
      if (std::exchange(connection.connecting, false)) {
        sink_->on_connected(told_connections_, broken_);
      } else if (connection.receiving) {
        sink_->on_received(told_connections_, nullptr, 0, broken_);
      }
    }
  }

  void arm_receive(uint32_t slot) {
    Connection& connection = connections_[slot];
    // The slot of one that starved may be a stranger's meanwhile.
    if (!connection.fd.open() || !connection.is_peer || !connection.receiving) return;
    if (connection.receive_armed || connection.direct) return;
    Sqe& sqe = queue_->next_sqe();
    sqe.opcode = uring::kReceive;
    sqe.fd = connection.fd.get();
    sqe.flags = uring::kSqeBufferSelect;
    sqe.buffer_group = ProvidedBuffers::kGroup;
    // While several connections receive, those that bring much, and those of whom nothing is known yet, are asked one receive at
    // a time, so that nobody has all buffers.
    const uint32_t most = sink_->receive_bytes_max();
    if (connection.modest < kModestReceives && most < IoSink::kNoLimit) {
      sqe.length = most;
    } else {
      sqe.ioprio = receive_flags_;
    }
    sqe.user_data = Tag::make(Op::Receive, connection.life, slot);
    connection.receive_armed = true;
    ++in_flight_;
  }

  // Reports when the socket can be written to, or is connected, or broken: through an epoll set that the ring polls. The ring's
  // own poll of a socket ends at once when the other side has stopped to send (it always asks for POLLRDHUP), whether there is
  // room or not.
  int watch_writable(uint32_t slot) {
    Connection& connection = connections_[slot];
    if (connection.watched) return 0;
    const uint64_t tag = Tag::make(Op::Poll, connection.life, slot);
    const int error = change_epoll(writable_.get(), EPOLL_CTL_ADD, connection.fd.get(), EPOLLOUT, tag);
    if (error != 0) return error;
    connection.watched = true;
    ++watched_;
    arm_poll(Watch::Writable);
    return 0;
  }

  void unwatch_writable(uint32_t slot) {
    Connection& connection = connections_[slot];
    if (!connection.watched) return;
    (void)::epoll_ctl(writable_.get(), EPOLL_CTL_DEL, connection.fd.get(), nullptr);
    connection.watched = false;
    --watched_;
  }

  void forget_stranger(uint32_t slot) {
    const Connection& connection = connections_[slot];
    if (connection.is_peer || !connection.fd.open()) return;
    (void)::epoll_ctl(strangers_.get(), EPOLL_CTL_DEL, connection.fd.get(), nullptr);
  }

  // The ring tells when an epoll set has something.
  void arm_poll(Watch watch) {
    const auto index = static_cast<uint32_t>(watch);
    if (poll_armed_[index]) return;
    Sqe& sqe = queue_->next_sqe();
    sqe.opcode = uring::kPollAdd;
    sqe.fd = watch == Watch::Writable ? writable_.get() : strangers_.get();
    sqe.operation_flags = POLLIN;
    sqe.user_data = Tag::make(Op::Poll, 0, index);
    poll_armed_[index] = true;
    ++in_flight_;
  }

  void cancel_all() {
    Sqe& sqe = queue_->next_sqe();
    sqe.opcode = uring::kAsyncCancel;
    sqe.fd = -1;
    sqe.operation_flags = uring::kCancelAll | uring::kCancelAny;
    sqe.user_data = Tag::make(Op::Cancel, 0, 0);
  }

  void cancel(uint64_t tag) {
    Sqe& sqe = queue_->next_sqe();
    sqe.opcode = uring::kAsyncCancel;
    sqe.fd = -1;
    sqe.address = tag;
    sqe.flags = uring::kSqeSkipSuccess;
    sqe.user_data = Tag::make(Op::Cancel, 0, 0);
  }

  // ---- Completions

  void complete(const Cqe& cqe) {
    if (is_last(cqe)) --in_flight_;
    switch (Tag::op(cqe.user_data)) {
      case Op::Receive:
        received(cqe);
        return;
      case Op::Poll:
        poll_armed_[Tag::index(cqe.user_data)] = false;
        if (static_cast<Watch>(Tag::index(cqe.user_data)) == Watch::Writable) {
          report_writable();
        } else {
          strangers_ready_ = true;
        }
        return;
      case Op::Send:
      case Op::Cancel:
        return;
    }
  }

  // Handles the strangers' events while there is time for them. The set is level-triggered: what is left in it is news of the
  // next poll.
  void attend_strangers() {
    epoll_event event = {};
    while (sink_->has_room()) {
      if (!share_.has_time()) {
        if (is_readable(strangers_.get())) share_.keep_waiting();
        return;
      }
      strangers_ready_ = ::epoll_wait(strangers_.get(), &event, 1, 0) > 0;
      if (!strangers_ready_) return arm_poll(Watch::Strangers);
      const uint64_t tag = event.data.u64;
      if (ListenerTag::is_one(tag)) {
        if (!accept(*sink_, tag)) return;
      } else if (receive_into(*sink_, Tag::index(tag)) == Received::Full) {
        return;
      }
    }
  }

  void received(const Cqe& cqe) {
    const uint32_t slot = Tag::index(cqe.user_data);
    Connection& connection = connections_[slot];
    const uint32_t life = connection.life;
    bool alive = Tag::is_life(cqe.user_data, life) && connection.fd.open();
    if (alive && (cqe.flags & uring::kCqeMore) == 0) connection.receive_armed = false;
    if ((cqe.flags & uring::kCqeBuffer) != 0) {
      uint8_t* const data = buffers_.take(cqe);
      if (alive && connection.receiving && cqe.result > 0) sink_->on_received(slot, data, static_cast<size_t>(cqe.result), 0);
      alive = alive && connection.life == life && connection.fd.open();
    }
    if (!alive) return;
    if (cqe.result > 0 && spinning_ && connection.receiving) hot_.warm(slot);
    const bool failed = cqe.result < 0 && cqe.result != -ENOBUFS && cqe.result != -ECANCELED && !passes(-cqe.result);
    if ((cqe.result == 0 || failed) && connection.receiving) {
      sink_->on_received(slot, nullptr, 0, -cqe.result);
      return;
    }
    if (cqe.result > 0) notice_greed(slot, cqe);
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

  // A receive without end cannot be limited: it is cancelled, and the next one is.
  void notice_greed(uint32_t slot, const Cqe& cqe) {
    Connection& connection = connections_[slot];
    const uint32_t most = sink_->receive_bytes_max();
    const bool was_modest = connection.modest == kModestReceives;
    // A buffer's end may have cut the receive short.
    const bool has_more = !was_modest && (cqe.flags & uring::kCqeSocketHasMore) != 0;
    if (most == IoSink::kNoLimit || (static_cast<uint32_t>(cqe.result) < most && !has_more)) {
      if (!was_modest) ++connection.modest;
      return;
    }
    if (was_modest && connection.receive_armed) cancel(Tag::make(Op::Receive, connection.life, slot));
    connection.modest = 0;
  }

  void report_writable() {
    std::array<epoll_event, kWritablePerPollMax> ready = {};
    const int count = ::epoll_wait(writable_.get(), ready.data(), kWritablePerPollMax, 0);
    for (int i = 0; i < count; ++i) {
      const uint64_t tag = ready[static_cast<size_t>(i)].data.u64;
      const uint32_t slot = Tag::index(tag);
      Connection& connection = connections_[slot];
      if (!Tag::is_life(tag, connection.life) || !connection.watched) continue;
      const bool failed = (ready[static_cast<size_t>(i)].events & (EPOLLERR | EPOLLHUP)) != 0;
      // A broken connection tells its error once: while it receives, the receive shall have it.
      if (failed && connection.receiving && !connection.connecting) continue;
      unwatch_writable(slot);
      if (!connection.connecting) {
        sink_->on_sent(slot, 0, 0);
        continue;
      }
      const int error = pending_error(connection.fd.get());
      connection.connecting = false;
      if (error == 0) arm_receive(slot);
      sink_->on_connected(slot, error);
    }
    if (watched_ > 0) arm_poll(Watch::Writable);
  }

  // What a send has brought: a count, or a negative errno value. Returns what send() is to return.
  int64_t sent(uint32_t slot, int64_t result, size_t total) {
    const int64_t taken = taken_by_send(result);
    const int error = taken >= 0 && static_cast<size_t>(taken) < total ? watch_writable(slot) : 0;
    return error != 0 ? -error : taken;
  }

  // The ring does not work any more: nobody knows what it has sent.
  static void fail_unanswered(IoSend* sends, uint32_t count, int error) {
    for (uint32_t i = 0; i < count; ++i) {
      if (sends[i].taken == kUnanswered) sends[i].taken = -error;
    }
  }

  [[nodiscard]] bool supports(uring::Operation operation) const {
    uring::Probe probe = {};
    constexpr uint16_t kSupported = 1;
    return queue_->control(uring::kRegisterProbe, &probe, 256) == 0 && operation <= probe.last_operation &&
           (probe.operations[operation].flags & kSupported) != 0;
  }

  std::unique_ptr<UringQueue> queue_;
  Descriptor writable_;  // an epoll set
  uint32_t watched_ = 0;
  std::array<bool, 2> poll_armed_ = {};
  ProvidedBuffers buffers_;
  uint16_t receive_flags_ = 0;
  std::vector<uint32_t> starved_;
  int broken_ = 0;  // the errno value of a ring that does not work any more
  uint32_t told_listeners_ = 0;
  uint32_t told_connections_ = 0;
  uint64_t signals_ = 0;          // what was read from the eventfd
  bool strangers_ready_ = false;  // the set of the strangers may have something
  uint64_t in_flight_ = 0;        // operations of which the kernel has not reported the end
  HotList<IoUring> hot_{*this};
  IoSink* sink_ = nullptr;  // of the present poll
  bool spinning_ = false;
};

}  // namespace

// A comma-separated list of features that shall not be used, for tests of what older kernels and full queues need:
// defer, incremental, multishot, and queues, which are tiny then.
constexpr const char* kWithoutVariable = "ZERIO_IO_URING_WITHOUT";

std::unique_ptr<Io> make_io_uring(int& error) {
  const char* const variable = std::getenv(kWithoutVariable);
  const std::string_view without = variable == nullptr ? "" : variable;
  const auto allows = [&](std::string_view feature) { return without.find(feature) == std::string_view::npos; };
  const bool tiny = !allows("queues");
  std::unique_ptr<UringQueue> queue =
      UringQueue::create(tiny ? kTinySqEntries : kSqEntries, tiny ? kTinyCqEntries : kCqEntries, allows("defer"), error);
  if (queue == nullptr) return nullptr;
  Descriptor writable(::epoll_create1(EPOLL_CLOEXEC));
  Descriptor strangers(::epoll_create1(EPOLL_CLOEXEC));
  if (!writable.open() || !strangers.open()) {
    error = errno;
    return nullptr;
  }
  auto io = std::make_unique<IoUring>(std::move(queue), std::move(writable), std::move(strangers));
  error = io->set_up(allows);
  if (error != 0) return nullptr;
  return io;
}

}  // namespace zerio
