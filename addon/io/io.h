// The one interface between the engine and an operating system: accept, connect, receive, send, close, wait.
//
// It is completion-shaped, as io_uring and Windows Registered I/O are. A readiness backend imitates completion by doing the
// system call itself: receives when poll() finds a socket readable, sends at once when send() is called.
// Connections are named by the engine's slot numbers, so that a backend needs no tables of its own but plain arrays.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "address.h"
#include "tcp_status.h"

namespace zerio {

struct IoSlice {
  const uint8_t* data;
  size_t size;
};

struct IoSpace {
  uint8_t* data;
  size_t size;
};

// One of several sends that are made together.
struct IoSend {
  uint32_t slot = 0;
  uint32_t count = 0;
  IoSlice slices[3] = {};
  int64_t taken = 0;  // as send() returns it
};

struct SocketOptions {
  bool no_delay = true;
  uint32_t send_buffer_bytes = 0;     // 0: the system's default
  uint32_t receive_buffer_bytes = 0;  // likewise
  uint32_t keep_alive_ms = 0;    // silence after which the system probes the other side; after three times of it, it gives up
  uint32_t user_timeout_ms = 0;  // how long sent bytes may stay unacknowledged; 0: the system's default
  Address source;                // what a connection comes from; of size 0: the system decides

  // What of it there is at this address.
  [[nodiscard]] SocketOptions at(const Address& address) const { return address.is_path() ? of_path() : *this; }
  // A Unix domain socket has nothing of TCP.
  [[nodiscard]] SocketOptions of_path() const { return {false, send_buffer_bytes, receive_buffer_bytes, 0, 0, {}}; }
};

// What of it can change while there is a connection.
enum class SocketSetting : uint8_t { NoDelay, KeepAliveMs, UserTimeoutMs };

// Keep-alive in the units of the systems: whole seconds are the finest that all of them accept.
struct KeepAlive {
  static constexpr uint32_t kProbes = 3;

  explicit KeepAlive(uint32_t milliseconds)
      : idle_s(seconds(milliseconds)), interval_s(std::max(1U, seconds(milliseconds) * 2 / kProbes)) {}
  static uint32_t seconds(uint32_t milliseconds) { return (milliseconds + 999) / 1000; }

  uint32_t idle_s;
  uint32_t interval_s;  // from an unanswered probe to the next one, or to the end
};

struct ListenOptions {
  uint32_t backlog = 1024;
  bool ipv6_only = false;
  bool reuse_port = false;
  int descriptor = -1;  // a socket that listens already, which the backend adopts and closes; -1: it makes one for the address
  SocketOptions socket;
};

// A connection that the system accepted and that has no slot yet.
using AcceptedSocket = intptr_t;

// What a backend reports to the engine, always from inside Io::poll(). Errors are positive errno values, 0 is success; on Windows
// they are libuv's numbers for the same names, because Node.js uses those there.
class IoSink {
 public:
  // The sink either gives the socket to Io::attach() or to Io::discard().
  virtual void on_accepted(uint32_t listener, AcceptedSocket socket) = 0;
  virtual void on_accept_error(uint32_t listener, int error) = 0;
  virtual void on_connected(uint32_t slot, int error) = 0;
  // Memory for one receive; size 0 when the batch is full and the backend must leave the rest for the next poll(). With the slot
  // of the connection that receives, it may be the rest of a long message, which then needs no copy.
  virtual IoSpace receive_space(uint32_t slot = kAnySlot) = 0;
  static constexpr uint32_t kAnySlot = 0xffffffff;
  // Whether the connection that has just received is in the middle of a long message, and may receive more of it at once.
  [[nodiscard]] virtual bool wants_more(uint32_t slot) const {
    (void)slot;
    return false;
  }
  // How much one receive may bring now. receive_space() keeps to it; a backend that receives into other memory asks for it.
  static constexpr uint32_t kNoLimit = 0xffffffff;
  [[nodiscard]] virtual uint32_t receive_bytes_max() const = 0;
  // `size` 0 with error 0 is the other side's end of stream.
  virtual void on_received(uint32_t slot, uint8_t* data, size_t size, int error) = 0;
  // Whether these bytes, which come next from a paused connection, are control frames alone, and one of them ends it.
  [[nodiscard]] virtual bool is_farewell(uint32_t slot, const uint8_t* data, size_t size) const = 0;
  // How many bytes are looked at for that. More are taken for messages.
  static constexpr size_t kLookBytes = 512;
  // Once after each send() that took less than all: how much more of it the system has taken since. A readiness backend reports
  // 0, which means that the rest can be sent now.
  virtual void on_sent(uint32_t slot, size_t size, int error) = 0;
  // After a close() that could not end at once: the system has let go of all memory of this connection.
  virtual void on_closed(uint32_t slot) = 0;
  // Whether one more event of a connection can be reported; when not, the backend leaves it for the next poll().
  [[nodiscard]] virtual bool has_room() const = 0;
  // Whether one more connection can be taken now; when not, the backend leaves it in the listen queue.
  [[nodiscard]] virtual bool can_accept(uint32_t listener) = 0;
  // When poll() has something to report though the wait handle is quiet; kNothingDue takes that back. No system's backend has
  // that.
  static constexpr uint64_t kNothingDue = ~uint64_t{0};
  virtual void on_due(uint64_t due_ns) { (void)due_ns; }

 protected:
  ~IoSink() = default;
};

class Io {
 public:
  virtual ~Io() = default;

  [[nodiscard]] virtual const char* name() const = 0;

  // The slots from `first` on go. They have no operation under way. reserve() may put others in their place.
  virtual void remove_slots(uint32_t first) { (void)first; }
  // Makes room for slots 0 to count - 1. The only call, with listen(), that may allocate.
  virtual void reserve(uint32_t count) = 0;
  // Offers the receive arena, once, before anything else. Returns how many bytes at its end the backend keeps for receives that
  // it makes ahead; what on_received() shows of them stays as it is until the next poll().
  [[nodiscard]] virtual uint32_t keep_ahead(uint8_t* arena, uint32_t bytes) = 0;

  // Each returns 0 or an errno value. A listener is one socket that listens: a server has one for each of its addresses.
  virtual int listen(uint32_t listener, const Address& address, const ListenOptions& options, Address& bound) = 0;
  virtual int connect(uint32_t slot, const Address& address, const SocketOptions& options) = 0;

  virtual void accept_pause(uint32_t listener, bool paused) = 0;
  virtual void unlisten(uint32_t listener) = 0;

  // Gives an accepted socket its slot and starts to receive. 0 or an errno value; on error the socket is closed.
  virtual int attach(uint32_t slot, AcceptedSocket socket, const SocketOptions& options) = 0;
  // An attached connection is no newcomer any more. From now on its events come with those of all other connections, without the
  // limits that newcomers have (newcomer_share.h). 0 or an errno value.
  virtual int promote(uint32_t slot) {
    (void)slot;
    return 0;
  }
  // Changes an option of a connection; of one over a Unix domain socket, which has none of these, nothing.
  virtual void configure(uint32_t slot, SocketSetting setting, uint32_t value) {
    (void)slot;
    (void)setting;
    (void)value;
  }
  // Closes an accepted socket.
  virtual void discard(AcceptedSocket socket) = 0;

  // Stops receiving for good: nothing more is read from this connection.
  virtual void receive_stop(uint32_t slot) = 0;
  // Stops receiving, or goes on with it. What a receive that is under way brings is reported all the same; that is bounded by the
  // memory of such receives. Meanwhile a connection that breaks is reported where the system tells it, and so is the end of a
  // stream with nothing in front of it but a farewell. Nothing happens behind receive_stop().
  virtual void receive_pause(uint32_t slot, bool paused) = 0;

  // Returns how many bytes the system took now, or a negative errno value. When it took fewer than all, on_sent() follows; until
  // then it may read the rest, and the engine makes no other send() for this slot.
  [[nodiscard]] virtual int64_t send(uint32_t slot, const IoSlice* slices, uint32_t count) = 0;

  // Whether send() has copied what it took when it returns, and reads nothing of the rest: then many connections may be sent from
  // the same memory, which changes afterwards.
  [[nodiscard]] virtual bool copies_at_once() const { return false; }

  // Whether all that send() took has left this process' memory. If not, on_sent() follows when it has.
  [[nodiscard]] virtual bool sent_all(uint32_t slot) {
    (void)slot;
    return true;
  }
  // send() for several connections at once, and for how many: more than one where that saves system calls.
  static constexpr uint32_t kSendsPerBatchMax = 128;
  [[nodiscard]] virtual uint32_t sends_per_batch() const { return 1; }
  virtual void send_batch(IoSend* sends, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) sends[i].taken = send(sends[i].slot, sends[i].slices, sends[i].count);
  }

  // At the end of the process, when nothing is reported any more: waits until a send that took less than all can be tried again,
  // or until more of what was sent has left this process. Returns how many bytes of that send the system has taken since, or -1
  // when it cannot, or when the time is over.
  [[nodiscard]] virtual int64_t wait_writable(uint32_t slot, uint32_t timeout_ms) {
    (void)slot;
    (void)timeout_ms;
    return -1;
  }
  // How much physical memory the system has locked for this backend.
  [[nodiscard]] virtual uint64_t locked_bytes() const { return 0; }

  // Whether this error of a send says no more than that the other side had left before.
  [[nodiscard]] virtual bool is_broken_pipe(int error) const = 0;

  // Sends the end of the stream. Only when all is sent.
  virtual void shutdown(uint32_t slot) = 0;
  // Closes; `reset` discards what the system has not sent yet. Returns false when the system still holds memory of the
  // connection: then on_closed() follows. The backend reports nothing else for this slot afterwards.
  [[nodiscard]] virtual bool close(uint32_t slot, bool reset) = 0;

  // The addresses of a connection; empty ones when the system has forgotten them.
  virtual void addresses(uint32_t slot, Address& local, Address& remote) const = 0;
  // Fills in what the system's TCP knows of a connection. Does not wait.
  virtual void tcp_status(uint32_t slot, TcpStatus& status) const {
    (void)slot;
    (void)status;
  }

  // Reports what is complete. Never blocks. `spinning` says that the caller polls again at once, without waiting for the wait
  // handle.
  virtual void poll(IoSink& sink, bool spinning) = 0;
  // Whether poll() has something to report already. Makes no system call.
  [[nodiscard]] virtual bool has_news() const = 0;
  // A descriptor that is readable when poll() has something to report, provided that the last poll() was not a spinning one.
  // -1 where the system has no such descriptor: then wake_by() is used.
  [[nodiscard]] virtual int wait_handle() const = 0;
  // From now on the backend calls `wake(context)`, on any thread, when poll() has something to report, under the same condition.
  // When wake_by(nullptr, nullptr) returns, no such call is under way any more.
  virtual void wake_by(void (*wake)(void* context), void* context) {
    (void)wake;
    (void)context;
  }

  // Monotonic nanoseconds.
  [[nodiscard]] virtual uint64_t now_ns() const = 0;
};

// The backends that this build has for its system, the best first; and a function that makes one, or returns nullptr with the
// errno value that prevents it.
[[nodiscard]] std::span<const std::string_view> backend_names();
[[nodiscard]] std::unique_ptr<Io> make_io(std::string_view backend, int& error);

}  // namespace zerio
