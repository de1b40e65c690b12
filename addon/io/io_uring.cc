// The Linux completion backend: multishot accepts and receives into provided buffers, and all sends of a flush in one submit.
//
// A send is a system call of its own when it is alone, because the ring has nothing to save then, and hot connections receive
// directly for the same reason (hot_list.h). So only accepts, receives and waits are ever in flight: no send outlives its call.
// docs/io_uring.md has the figures, and why each kernel feature is asked for.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <deque>
#include <string_view>
#include <vector>

#include "clock.h"
#include "hot_list.h"
#include "io.h"
#include "linux.h"
#include "socket_posix.h"
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
constexpr uint32_t kFilesMax = 65536;
constexpr uint32_t kDirectTries = 4;
// Half of the arena is for direct receives, half for those that the kernel makes ahead.
constexpr uint32_t kAheadShare = 2;
// As many events as the sink always has room for.
constexpr int kWritablePerPollMax = 32;
constexpr uint32_t kTearDownWaitsMax = 1000;
constexpr int kTearDownWaitMs = 10;

enum class Op : uint64_t { Accept = 1, Receive = 2, Poll = 3, Send = 4, Cancel = 5 };

// What a completion is of: the operation, a life of a listener or connection, and its number.
struct Tag {
  static constexpr uint32_t kLifeMask = 0x0fffffff;
  static uint64_t make(Op op, uint32_t life, uint32_t index) {
    return static_cast<uint64_t>(op) << 60 | (uint64_t{life & kLifeMask} << 32) | index;
  }
  static Op op(uint64_t tag) { return static_cast<Op>(tag >> 60); }
  static bool is_life(uint64_t tag, uint32_t life) { return ((tag >> 32) & kLifeMask) == (life & kLifeMask); }
  static uint32_t index(uint64_t tag) { return static_cast<uint32_t>(tag); }
};

class IoUring final : public Io {
 public:
  IoUring(std::unique_ptr<UringQueue> queue, Descriptor writable) : queue_(std::move(queue)), writable_(std::move(writable)) {}
  IoUring(const IoUring&) = delete;
  IoUring& operator=(const IoUring&) = delete;

  ~IoUring() override {
    // The kernel may receive into the pools until its last operation is over, and they go away behind us.
    cancel_all();
    Cqe cqe = {};
    for (uint32_t waits = 0; in_flight_ > 0 && waits < kTearDownWaitsMax; ++waits) {
      queue_->enter(true);
      while (queue_->take(cqe)) {
        if (is_last(cqe)) --in_flight_;
        if (Tag::op(cqe.user_data) == Op::Accept && cqe.result >= 0) Descriptor(cqe.result).reset(-1);
      }
      pollfd ring = {queue_->fd(), POLLIN, 0};
      if (in_flight_ > 0) (void)::poll(&ring, 1, kTearDownWaitMs);
    }
    for (const Accepted& accepted : accepted_) Descriptor(accepted.fd).reset(-1);
  }

  // 0 or an errno value. `allows(feature)` says whether the kernel's newer features may be used.
  template <class Allows>
  int set_up(Allows allows) {
    const int error = buffers_.set_up(*queue_, allows("incremental"));
    if (error != 0) return error;
    // No flag tells of multishot receives; they came with SEND_ZC, in 6.0. Without them each receive is asked for.
    if (allows("multishot") && supports(uring::kSendZeroCopy)) receive_flags_ = uring::kReceiveMultishot;
    if (allows("files")) register_files();
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
    if (server >= listeners_.size()) listeners_.resize(server + 1);
    Descriptor fd;
    const int error = open_listener(address, options, fd, bound);
    if (error != 0) return error;
    Listener& listener = listeners_[server];
    ++listener.life;
    listener.fd = std::move(fd);
    listener.paused = listener.armed = false;
    arm_accept(server);
    queue_->enter(false);
    return 0;
  }

  void accept_pause(uint32_t server, bool paused) override {
    Listener& listener = listeners_[server];
    listener.paused = paused;
    if (!listener.fd.open()) return;
    if (!paused) {
      arm_accept(server);
    } else if (listener.armed) {
      cancel(Tag::make(Op::Accept, listener.life, server));
    }
    queue_->enter(false);
  }

  void unlisten(uint32_t server) override {
    Listener& listener = listeners_[server];
    if (listener.armed) cancel(Tag::make(Op::Accept, listener.life, server));
    queue_->enter(true);
    ++listener.life;
    listener.armed = false;
    listener.fd.reset(-1);
  }

  int attach(uint32_t slot, AcceptedSocket socket, const SocketOptions& options) override {
    Descriptor fd(static_cast<int>(socket));
    set_no_delay(fd.get(), options.no_delay);
    open(slot, std::move(fd));
    arm_receive(slot);
    return 0;
  }

  void discard(AcceptedSocket socket, IoSlice farewell) override {
    const Descriptor fd(static_cast<int>(socket));
    if (farewell.size > 0) (void)send_slices(fd.get(), &farewell, 1);
  }

  int connect(uint32_t slot, const Address& address, const SocketOptions& options) override {
    Descriptor fd;
    const int error = open_connecting(address, options, fd);
    if (error != 0) return error;
    open(slot, std::move(fd));
    connections_[slot].connecting = true;
    watch_writable(slot);
    queue_->enter(false);
    return 0;
  }

  void receive_stop(uint32_t slot) override {
    Connection& connection = connections_[slot];
    connection.receiving = false;
    hot_.cool(slot);
    if (connection.receive_armed) cancel(Tag::make(Op::Receive, connection.life, slot));
  }

  int64_t send(uint32_t slot, const IoSlice* slices, uint32_t count) override {
    size_t total = 0;
    for (uint32_t i = 0; i < count; ++i) total += slices[i].size;
    const ssize_t taken = send_slices(connections_[slot].fd.get(), slices, count);
    return sent(slot, taken < 0 ? -errno : taken, total);
  }

  void send_batch(IoSend* sends, uint32_t count) override {
    uint32_t submitted = 0;
    for (uint32_t i = 0; i < count; ++i) {
      if (sends[i].count > 1) {
        sends[i].taken = send(sends[i].slot, sends[i].slices, sends[i].count);
        continue;
      }
      Sqe& sqe = sqe_for(sends[i].slot);
      sqe.opcode = uring::kSend;
      sqe.address = reinterpret_cast<uint64_t>(sends[i].slices[0].data);
      sqe.length = static_cast<uint32_t>(sends[i].slices[0].size);
      // With MSG_DONTWAIT a send is over when the submit is, and the ring bytes are JavaScript's again.
      sqe.operation_flags = MSG_NOSIGNAL | MSG_DONTWAIT;
      sqe.user_data = Tag::make(Op::Send, 0, i);
      ++submitted;
    }
    if (submitted == 0) return;
    queue_->enter(false);
    for (;;) {
      queue_->pick([&](const Cqe& cqe) {
        if (Tag::op(cqe.user_data) != Op::Send) return false;
        IoSend& one = sends[Tag::index(cqe.user_data)];
        one.taken = sent(one.slot, cqe.result, one.slices[0].size);
        --submitted;
        return true;
      });
      if (submitted == 0) return;
      // The rest has overflowed the completion queue.
      queue_->spill();
      queue_->enter(true);
    }
  }

  void shutdown(uint32_t slot) override { (void)::shutdown(connections_[slot].fd.get(), SHUT_WR); }

  bool close(uint32_t slot, bool reset) override {
    Connection& connection = connections_[slot];
    if (reset && connection.fd.open()) set_reset_on_close(connection.fd.get());
    connection.receiving = false;
    hot_.cool(slot);
    if (connection.receive_armed) cancel(Tag::make(Op::Receive, connection.life, slot));
    unwatch_writable(slot);
    if (connection.registered) update_file(slot, -1);
    connection.fd.reset(-1);
    ++connection.life;
    // What is in flight holds the socket: only its cancellation ends the connection, and nobody may poll any more.
    queue_->enter(true);
    return true;
  }

  void addresses(uint32_t slot, Address& local, Address& remote) const override {
    read_addresses(connections_[slot].fd.get(), local, remote);
  }

  void poll(IoSink& sink, bool spinning) override {
    sink_ = &sink;
    spinning_ = spinning;
    buffers_.give_back();
    if (!spinning) {
      hot_.cool_all();
    } else if (!hot_.empty()) {
      for (uint32_t i = 0; i < kDirectTries && !hot_.receive(); ++i) {
      }
    }
    take_accepted();
    // First those that found no buffer, in the order in which they came, so that nobody who is busy keeps them waiting.
    for (const uint32_t slot : starved_) arm_receive(slot);
    starved_.clear();
    if (queue_->unsubmitted() > 0 || queue_->kernel_has_work()) queue_->enter(queue_->kernel_has_work());
    Cqe cqe = {};
    // No more than there are now: what completes meanwhile is for the next poll, after the engine's timers.
    for (uint32_t left = queue_->completions(); left > 0 && sink.has_room() && queue_->take(cqe); --left) complete(cqe);
    if (queue_->unsubmitted() > 0) queue_->enter(false);
  }

  bool has_news() const override {
    return queue_->completions() > 0 || queue_->kernel_has_work() || queue_->unsubmitted() > 0 || !starved_.empty() ||
           std::ranges::any_of(accepted_, [this](const Accepted& one) { return !listeners_[one.server].paused; });
  }

  int wait_handle() const override { return queue_->fd(); }

  uint64_t now_ns() const override { return monotonic_ns(); }

  // For the hot list.

  Received receive_directly(uint32_t slot) {
    if (!connections_[slot].direct) return Received::Nothing;
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
  struct Connection {
    Descriptor fd;
    uint32_t life = 0;
    bool registered = false;  // in the ring's table of files, at the slot's place
    bool connecting = false;
    bool receiving = true;
    bool receive_armed = false;
    bool watched = false;  // for becoming writable
    bool leaving = false;  // the ring's receive is being cancelled
    bool direct = false;   // the ring has no receive; the hot list has
  };
  struct Listener {
    Descriptor fd;
    uint32_t life = 0;
    bool armed = false;
    bool paused = false;
  };
  // A connection that came when it could not be taken.
  struct Accepted {
    uint32_t server;
    uint32_t life;
    int fd;
  };

  static bool is_last(const Cqe& cqe) {
    const Op op = Tag::op(cqe.user_data);
    return op != Op::Send && op != Op::Cancel && (cqe.flags & uring::kCqeMore) == 0;
  }

  // ---- Operations

  Sqe& sqe_for(uint32_t slot) {
    Sqe& sqe = queue_->next_sqe();
    const Connection& connection = connections_[slot];
    sqe.fd = connection.registered ? static_cast<int32_t>(slot) : connection.fd.get();
    sqe.flags = connection.registered ? uring::kSqeFixedFile : 0;
    return sqe;
  }

  void arm_accept(uint32_t server) {
    Listener& listener = listeners_[server];
    if (listener.armed) return;
    Sqe& sqe = queue_->next_sqe();
    sqe.opcode = uring::kAccept;
    sqe.fd = listener.fd.get();
    sqe.ioprio = uring::kAcceptMultishot;
    sqe.operation_flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
    sqe.user_data = Tag::make(Op::Accept, listener.life, server);
    listener.armed = true;
    ++in_flight_;
  }

  void arm_receive(uint32_t slot) {
    Connection& connection = connections_[slot];
    if (!connection.fd.open() || !connection.receiving || connection.receive_armed || connection.direct) return;
    Sqe& sqe = sqe_for(slot);
    sqe.opcode = uring::kReceive;
    sqe.flags |= uring::kSqeBufferSelect;
    sqe.buffer_group = ProvidedBuffers::kGroup;
    sqe.ioprio = receive_flags_;
    sqe.user_data = Tag::make(Op::Receive, connection.life, slot);
    connection.receive_armed = true;
    ++in_flight_;
  }

  // Reports when the socket can be written to, or is connected, or broken: through an epoll set that the ring polls. The ring's
  // own poll of a socket ends at once when the other side has stopped to send (it always asks for POLLRDHUP), whether there is
  // room or not.
  void watch_writable(uint32_t slot) {
    Connection& connection = connections_[slot];
    if (connection.watched) return;
    epoll_event event = {EPOLLOUT, {.u64 = Tag::make(Op::Poll, connection.life, slot)}};
    while (::epoll_ctl(writable_.get(), EPOLL_CTL_ADD, connection.fd.get(), &event) != 0 && errno == ENOMEM) {
    }
    connection.watched = true;
    ++watched_;
    arm_poll();
  }

  void unwatch_writable(uint32_t slot) {
    Connection& connection = connections_[slot];
    if (!connection.watched) return;
    (void)::epoll_ctl(writable_.get(), EPOLL_CTL_DEL, connection.fd.get(), nullptr);
    connection.watched = false;
    --watched_;
  }

  void arm_poll() {
    if (poll_armed_ || watched_ == 0) return;
    Sqe& sqe = queue_->next_sqe();
    sqe.opcode = uring::kPollAdd;
    sqe.fd = writable_.get();
    sqe.operation_flags = POLLIN;
    sqe.user_data = Tag::make(Op::Poll, 0, 0);
    poll_armed_ = true;
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
      case Op::Accept:
        accepted(cqe);
        return;
      case Op::Receive:
        received(cqe);
        return;
      case Op::Poll:
        polled();
        return;
      case Op::Send:
      case Op::Cancel:
        return;
    }
  }

  void accepted(const Cqe& cqe) {
    const uint32_t server = Tag::index(cqe.user_data);
    Listener& listener = listeners_[server];
    if (!Tag::is_life(cqe.user_data, listener.life) || !listener.fd.open()) {
      if (cqe.result >= 0) Descriptor(cqe.result).reset(-1);
      return;
    }
    if ((cqe.flags & uring::kCqeMore) == 0) listener.armed = false;
    if (cqe.result >= 0) {
      accepted_.push_back({server, listener.life, cqe.result});
      take_accepted();
    } else if (is_shortage(-cqe.result)) {
      sink_->on_accept_error(server, -cqe.result);
    }
    if (accepted_.empty() && !listener.paused) arm_accept(server);
  }

  // A connection that cannot be taken waits here, and those that follow in the listen queue.
  void take_accepted() {
    const size_t waiting = accepted_.size();
    for (size_t i = 0; i < waiting; ++i) {
      const Accepted one = accepted_.front();
      accepted_.pop_front();
      Listener& listener = listeners_[one.server];
      if (!listener.fd.open() || one.life != listener.life) {
        Descriptor(one.fd).reset(-1);
      } else if (!listener.paused && sink_->can_accept(one.server)) {
        sink_->on_accepted(one.server, one.fd);
      } else {
        accepted_.push_back(one);
        if (listener.armed) cancel(Tag::make(Op::Accept, listener.life, one.server));
      }
    }
    if (waiting == 0 || !accepted_.empty()) return;
    for (uint32_t server = 0; server < listeners_.size(); ++server) {
      if (listeners_[server].fd.open() && !listeners_[server].paused) arm_accept(server);
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

  void polled() {
    poll_armed_ = false;
    std::array<epoll_event, kWritablePerPollMax> ready = {};
    const int count = ::epoll_wait(writable_.get(), ready.data(), kWritablePerPollMax, 0);
    for (int i = 0; i < count; ++i) {
      const uint64_t tag = ready[static_cast<size_t>(i)].data.u64;
      const uint32_t slot = Tag::index(tag);
      Connection& connection = connections_[slot];
      if (!Tag::is_life(tag, connection.life) || !connection.watched) continue;
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
    arm_poll();
  }

  // What a send has brought: a count, or a negative errno value. Returns what send() is to return.
  int64_t sent(uint32_t slot, int64_t result, size_t total) {
    if (result < 0 && !passes(static_cast<int>(-result))) return result;
    const int64_t taken = std::max<int64_t>(result, 0);
    if (static_cast<size_t>(taken) < total) watch_writable(slot);
    return taken;
  }

  // ---- Files

  void open(uint32_t slot, Descriptor fd) {
    Connection& connection = connections_[slot];
    const uint32_t life = connection.life;
    connection = Connection{};
    connection.life = life;
    connection.fd = std::move(fd);
    connection.registered = slot < files_ && update_file(slot, connection.fd.get());
  }

  // A look-up of the descriptor for each operation is a tenth of a fan-out.
  void register_files() {
    rlimit limit = {};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    // Since 5.19; without it everything works as well.
    uring::ResourceRegistration table = {};
    table.count = static_cast<uint32_t>(std::min<rlim_t>(limit.rlim_cur, kFilesMax));
    table.flags = uring::kRegisterSparse;
    if (queue_->control(uring::kRegisterFiles2, &table, sizeof table) == 0) files_ = table.count;
  }

  [[nodiscard]] bool supports(uring::Operation operation) const {
    uring::Probe probe = {};
    constexpr uint16_t kSupported = 1;
    return queue_->control(uring::kRegisterProbe, &probe, 256) == 0 && operation <= probe.last_operation &&
           (probe.operations[operation].flags & kSupported) != 0;
  }

  bool update_file(uint32_t slot, int fd) {
    const int32_t files[1] = {fd};
    uring::ResourceUpdate update = {slot, 0, reinterpret_cast<uint64_t>(files)};
    return queue_->control(uring::kRegisterFilesUpdate, &update, 1) == 1;
  }

  std::unique_ptr<UringQueue> queue_;
  Descriptor writable_;  // an epoll set
  uint32_t watched_ = 0;
  bool poll_armed_ = false;
  ProvidedBuffers buffers_;
  uint16_t receive_flags_ = 0;
  uint32_t files_ = 0;
  std::vector<Connection> connections_;
  std::vector<Listener> listeners_;
  std::deque<Accepted> accepted_;
  std::vector<uint32_t> starved_;
  uint64_t in_flight_ = 0;  // operations of which the kernel has not reported the end
  HotList<IoUring> hot_{*this};
  IoSink* sink_ = nullptr;  // of the present poll
  bool spinning_ = false;
};

}  // namespace

// A comma-separated list of features that shall not be used, for tests of what older kernels and full queues need:
// incremental, multishot, files, and queues, which are tiny then.
constexpr const char* kWithoutVariable = "ZERIO_IO_URING_WITHOUT";

std::unique_ptr<Io> make_io_uring(int& error) {
  const char* const variable = std::getenv(kWithoutVariable);
  const std::string_view without = variable == nullptr ? "" : variable;
  const auto allows = [&](std::string_view feature) { return without.find(feature) == std::string_view::npos; };
  std::unique_ptr<UringQueue> queue = allows("queues") ? UringQueue::create(kSqEntries, kCqEntries, error)
                                                       : UringQueue::create(kTinySqEntries, kTinyCqEntries, error);
  if (queue == nullptr) return nullptr;
  Descriptor writable(::epoll_create1(EPOLL_CLOEXEC));
  if (!writable.open()) {
    error = errno;
    return nullptr;
  }
  auto io = std::make_unique<IoUring>(std::move(queue), std::move(writable));
  error = io->set_up(allows);
  if (error != 0) return nullptr;
  return io;
}

}  // namespace zerio
