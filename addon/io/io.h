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
  uint32_t send_buffer_bytes = 0;     // 0: what the system thinks best
  uint32_t receive_buffer_bytes = 0;  // likewise
  uint32_t keep_alive_ms = 0;         // silence after which the system asks the other side's; it gives up after three times of it
  uint32_t user_timeout_ms = 0;       // how long what was sent may stay unconfirmed; 0: what the system thinks best
};

// Keep-alive as systems want it. Seconds are the finest that all of them have.
struct KeepAlive {
  static constexpr uint32_t kProbes = 3;

  explicit KeepAlive(uint32_t milliseconds)
      : idle_s(seconds(milliseconds)), interval_s(std::max(1U, seconds(milliseconds) * 2 / kProbes)) {}
  static uint32_t seconds(uint32_t milliseconds) { return (milliseconds + 999) / 1000; }

  uint32_t idle_s;
  uint32_t interval_s;  // from a probe that is not answered to the next, or to the end
};

struct ListenOptions {
  uint32_t backlog = 1024;
  bool ipv6_only = false;
  bool reuse_port = false;
  SocketOptions socket;
};

// A connection that the system accepted and that has no slot yet.
using AcceptedSocket = intptr_t;

// What the engine is told, always from inside Io::poll(). Errors are positive errno values, 0 is success; on Windows they are
// libuv's numbers for the same names, because those are the ones that Node.js knows there.
class IoSink {
 public:
  // The sink either gives the socket to Io::attach() or to Io::discard().
  virtual void on_accepted(uint32_t server, AcceptedSocket socket) = 0;
  virtual void on_accept_error(uint32_t server, int error) = 0;
  virtual void on_connected(uint32_t slot, int error) = 0;
  // Memory for one receive; size 0 when the batch is full and the backend must leave the rest for the next poll().
  virtual IoSpace receive_space() = 0;
  // How much one receive may bring now. receive_space() is within it; backends ask whose receives come into other memory.
  static constexpr uint32_t kNoLimit = 0xffffffff;
  [[nodiscard]] virtual uint32_t receive_bytes_max() const = 0;
  // `size` 0 with error 0 is the other side's end of stream.
  virtual void on_received(uint32_t slot, uint8_t* data, size_t size, int error) = 0;
  // Once after each send() that took less than all: how much more of it was taken since (0 from a readiness backend: try again).
  virtual void on_sent(uint32_t slot, size_t size, int error) = 0;
  // After a close() that could not end at once: the system has let go of all memory of this connection.
  virtual void on_closed(uint32_t slot) = 0;
  // Whether one more event of a connection can be reported; when not, the backend leaves it for the next poll().
  [[nodiscard]] virtual bool has_room() const = 0;
  // Whether one more connection can be taken now; when not, the backend leaves it in the listen queue.
  [[nodiscard]] virtual bool can_accept(uint32_t server) = 0;

 protected:
  ~IoSink() = default;
};

class Io {
 public:
  virtual ~Io() = default;

  [[nodiscard]] virtual const char* name() const = 0;

  // Sends come from here, but for control frames. For a backend that must know: the memory stays until remove_slots().
  virtual void add_memory(uint8_t* at, size_t bytes) {
    (void)at;
    (void)bytes;
  }
  // The slots from `first` on go, and with them the memory that add_memory() named last. Nothing of theirs is under way.
  // reserve() and add_memory() may bring others in their place.
  virtual void remove_slots(uint32_t first, const uint8_t* memory) {
    (void)first;
    (void)memory;
  }
  // Makes room for slots 0 to count - 1. The only call, with listen(), that may allocate.
  virtual void reserve(uint32_t count) = 0;
  // Offers the receive arena, once, before anything else. Returns how many bytes at its end the backend keeps for receives that
  // it makes ahead; what on_received() shows of them stays as it is until the next poll().
  [[nodiscard]] virtual uint32_t keep_ahead(uint8_t* arena, uint32_t bytes) = 0;

  // Each returns 0 or an errno value.
  virtual int listen(uint32_t server, const Address& address, const ListenOptions& options, Address& bound) = 0;
  virtual int connect(uint32_t slot, const Address& address, const SocketOptions& options) = 0;

  virtual void accept_pause(uint32_t server, bool paused) = 0;
  virtual void unlisten(uint32_t server) = 0;

  // Gives an accepted socket its slot and starts to receive. 0 or an errno value; on error the socket is closed.
  virtual int attach(uint32_t slot, AcceptedSocket socket, const SocketOptions& options) = 0;
  // An attached connection has shown that it is a peer that stays: its events come with those of all peers from now on, and no
  // longer with the strangers', who may keep nobody waiting. 0 or an errno value.
  virtual int welcome(uint32_t slot) {
    (void)slot;
    return 0;
  }
  // Tells why, with as much of `farewell` as the system takes at once, and closes.
  virtual void discard(AcceptedSocket socket, IoSlice farewell) = 0;

  // Stops receiving for good: nothing more is read from this connection.
  virtual void receive_stop(uint32_t slot) = 0;

  // Returns how many bytes were taken now, or a negative errno value. When fewer than all, on_sent() follows, and until then the
  // system may read the rest and no other send() is made for this slot.
  [[nodiscard]] virtual int64_t send(uint32_t slot, const IoSlice* slices, uint32_t count) = 0;

  // Whether all that send() took has left this process' memory. If not, on_sent() follows when it has.
  [[nodiscard]] virtual bool sent_all(uint32_t slot) {
    (void)slot;
    return true;
  }
  // The same for several connections at once, and for how many: more than one where it saves calls to the system.
  static constexpr uint32_t kSendsPerBatchMax = 128;
  [[nodiscard]] virtual uint32_t sends_per_batch() const { return 1; }
  virtual void send_batch(IoSend* sends, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) sends[i].taken = send(sends[i].slot, sends[i].slices, sends[i].count);
  }

  // At the end of the process: waits until a send that took less than all may be tried again. False where it cannot be, or when
  // the time is over.
  [[nodiscard]] virtual bool wait_writable(uint32_t slot, uint32_t timeout_ms) {
    (void)slot;
    (void)timeout_ms;
    return false;
  }

  // Whether a send that failed with this error only found that the other side had left before.
  [[nodiscard]] virtual bool is_broken_pipe(int error) const = 0;

  // Tells the other side that nothing follows. Only when all is sent.
  virtual void shutdown(uint32_t slot) = 0;
  // Closes; `reset` discards what the system has not sent yet. Returns whether that is all: if not, on_closed() follows. Nothing
  // else is reported for this slot afterwards.
  [[nodiscard]] virtual bool close(uint32_t slot, bool reset) = 0;

  // The addresses of a connection; empty ones when the system has forgotten them.
  virtual void addresses(uint32_t slot, Address& local, Address& remote) const = 0;

  // Reports what is complete. Never blocks. `spinning` says that the caller comes back at once and does not look at the wait
  // handle.
  virtual void poll(IoSink& sink, bool spinning) = 0;
  // Whether poll() has something to report already. Asks no system.
  [[nodiscard]] virtual bool has_news() const = 0;
  // A descriptor that is readable when poll() has something to report, provided that the last poll() was not a spinning one.
  // -1 where the system has no such thing: then wake_by() is used.
  [[nodiscard]] virtual int wait_handle() const = 0;
  // Has `wake(context)` called, on any thread, when poll() has something to report, provided likewise. No call is under way any
  // more once wake_by(nullptr, nullptr) returns.
  virtual void wake_by(void (*wake)(void* context), void* context) {
    (void)wake;
    (void)context;
  }

  // Monotonic nanoseconds.
  [[nodiscard]] virtual uint64_t now_ns() const = 0;
};

// The backends that this build has for its system, the best first, and how one is made: nullptr with the errno value that forbids
// it.
[[nodiscard]] std::span<const std::string_view> backend_names();
[[nodiscard]] std::unique_ptr<Io> make_io(std::string_view backend, int& error);

}  // namespace zerio
