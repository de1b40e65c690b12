// What both Windows backends share: listening with AcceptEx, connecting with ConnectEx, closing, and the completion port. The
// derived classes receive and send.
//
// Every operation that the system has not completed yet counts for its connection, and a slot is released only when none is left:
// so a completion always finds the connection that it is for, and the system never writes into memory of another one.
#pragma once

#include <winsock2.h>
#include <ws2tcpip.h>
// After winsock2.h.
#include <mswsock.h>

#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "../io.h"
#include "../newcomer_share.h"
#include "completion_port.h"
#include "process_end.h"
#include "tcp_status.h"

namespace zerio {

// The backends of Windows. Each has a function that makes it, or returns nullptr with the error number that prevents it.
[[nodiscard]] std::unique_ptr<Io> make_rio(int& error);
[[nodiscard]] std::unique_ptr<Io> make_winsock(int& error);

// libuv's number for a Winsock error.
[[nodiscard]] int error_number(int winsock_error);
[[nodiscard]] inline int last_error_number() { return error_number(WSAGetLastError()); }
// Whether the system lacks memory, handles or room in a queue, so that a later try may succeed.
[[nodiscard]] bool is_shortage(int winsock_error);

class Socket {
 public:
  Socket() = default;
  explicit Socket(SOCKET socket) : socket_(socket) {}
  Socket(Socket&& other) noexcept : socket_(std::exchange(other.socket_, INVALID_SOCKET)) {}
  Socket& operator=(Socket&& other) noexcept {
    if (this != &other) reset(std::exchange(other.socket_, INVALID_SOCKET));
    return *this;
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() { reset(); }

  void reset(SOCKET socket = INVALID_SOCKET) {
    if (open()) closesocket(socket_);
    socket_ = socket;
  }
  [[nodiscard]] SOCKET release() { return std::exchange(socket_, INVALID_SOCKET); }
  [[nodiscard]] SOCKET get() const { return socket_; }
  [[nodiscard]] bool open() const { return socket_ != INVALID_SOCKET; }

 private:
  SOCKET socket_ = INVALID_SOCKET;
};

class WindowsIo : public Io, private AtProcessEnd {
 public:
  void reserve(uint32_t count) override;
  void remove_slots(uint32_t first) override;
  uint32_t keep_ahead(uint8_t* /*arena*/, uint32_t /*bytes*/) override { return 0; }
  int listen(uint32_t server, const Address& address, const ListenOptions& options, Address& bound) override;
  int connect(uint32_t slot, const Address& address, const SocketOptions& options) override;
  void accept_pause(uint32_t server, bool paused) override;
  void unlisten(uint32_t server) override;
  int attach(uint32_t slot, AcceptedSocket socket, const SocketOptions& options) override;
  void discard(AcceptedSocket socket) override { closesocket(static_cast<SOCKET>(socket)); }
  void receive_stop(uint32_t slot) override { connections_[slot].receiving = connections_[slot].paused = false; }
  void receive_pause(uint32_t slot, bool paused) override;
  bool is_broken_pipe(int error) const override { return error == error_number(WSAESHUTDOWN); }
  void configure(uint32_t slot, SocketSetting setting, uint32_t value) override;
  void shutdown(uint32_t slot) override { (void)::shutdown(connections_[slot].socket.get(), SD_SEND); }
  bool close(uint32_t slot, bool reset) override;
  void addresses(uint32_t slot, Address& local, Address& remote) const override;
  void tcp_status(uint32_t slot, TcpStatus& status) const override { read_tcp_status(connections_[slot].socket.get(), status); }
  void poll(IoSink& sink, bool spinning) override;
  bool has_news() const override { return left_; }
  int wait_handle() const override { return -1; }
  void wake_by(void (*wake)(void* context), void* context) override { port_.wake_by(wake, context); }
  [[nodiscard]] uint64_t now_ns() const override;

 protected:
  enum class Kind : uint8_t { Accept, Connect, Receive, Send, Other };
  struct Operation {
    OVERLAPPED overlapped = {};  // first, so that a completion's OVERLAPPED is its Operation
    Kind kind = Kind::Other;
    uint32_t slot = 0;
    int error = 0;  // of an operation that failed when it was begun: it is reported as one that completes
    void clear() {
      overlapped = {};
      error = 0;
    }
  };
  struct Connection {
    Socket socket;
    Operation receive;
    Operation send;
    uint32_t pending = 0;  // operations that the system has not completed
    bool receiving = false;
    bool paused = false;     // it posts no receive, for a while
    bool closing = false;    // on_closed() is owed
    bool has_bytes = false;  // found while it was paused (winsock.cc)
    // Whether what a receive brings is reported.
    [[nodiscard]] bool takes() const { return receiving || paused; }
  };

  explicit WindowsIo(DWORD socket_flags) : socket_flags_(socket_flags | WSA_FLAG_OVERLAPPED) {}

  // Closes all sockets and waits until the system has completed their operations. For the destructors of derived classes. False
  // when some are not complete after seconds: then their memory must stay as it is for ever.
  [[nodiscard]] bool close_all();

  // 0 or the error number that prevents this backend.
  [[nodiscard]] int open();
  [[nodiscard]] CompletionPort& port() { return port_; }
  [[nodiscard]] Connection& connection(uint32_t slot) { return connections_[slot]; }
  [[nodiscard]] uint32_t connection_count() const { return static_cast<uint32_t>(connections_.size()); }
  void begin_operation(uint32_t slot) {
    ++connections_[slot].pending;
    ++unsettled_;
  }
  // One operation of this connection has completed. Returns true when on_closed() is due.
  [[nodiscard]] bool end_operation(uint32_t slot);
  // As end_operation(), with the report. Returns false when the connection is closed, and the completion has no meaning.
  [[nodiscard]] bool settle(IoSink& sink, uint32_t slot);
  // The result of a completed operation.
  [[nodiscard]] static int result_of(const Connection& connection, Operation& operation, DWORD& bytes);

  // The socket of a slot is connected: start to receive. An error ends the connection in a poll(): it is none of its listener.
  virtual void begin(uint32_t slot) = 0;
  // A pause is over: post what receives are missing.
  virtual void read_on(uint32_t slot) = 0;
  // A completion of kind Receive or Send. Returns false when the sink has no room, so that it must be handled again.
  virtual bool complete(IoSink&, Operation&) { return true; }
  // Whether receives and sends complete at the completion port, so that each poll() must ask it.
  [[nodiscard]] virtual bool bytes_come_by_port() const { return true; }
  // Reports what does not come by the completion port. Returns whether something is left for the next poll().
  virtual bool poll_more(IoSink&) { return false; }
  // Before the thread sleeps: what completes from now on must reach the completion port. Returns whether something has completed
  // already.
  virtual bool arm_more() { return false; }
  // Whether poll() must be called within milliseconds although nothing may complete.
  [[nodiscard]] virtual bool wants_look() const { return false; }
  // Has wants_look() looked at again, when the loop may sleep.
  void look_soon() {
    if (!polling_ && wants_look()) port_.wake_now();
  }
  // As poll_more(), when nothing is reported any more: drops the completions.
  virtual void drop_more() {}
  // A completion of kind Other, which arm_more() has asked for.
  virtual void notification_came() {}
  // A closed connection has no operation any more.
  virtual void released(uint32_t slot) { (void)slot; }

  uint32_t unsettled_ = 0;  // sum of all `pending`, listeners' too

 private:
  struct Listener;
  struct Accept : Operation {
    static constexpr uint32_t kAddressBytes = sizeof(sockaddr_storage) + 16;
    Listener* listener = nullptr;
    Socket socket;
    uint8_t addresses[2 * kAddressBytes] = {};
  };
  struct Listener {
    static constexpr uint32_t kAccepts = 32;
    Socket socket;
    uint32_t server = 0;
    int family = AF_INET;
    uint32_t pending = 0;
    bool paused = false;
    int error = 0;  // for the next poll() to report
    std::vector<Accept*> idle;
    std::vector<Accept*> ready;  // connections that the sink has not taken
    Accept accepts[kAccepts];
  };

  [[nodiscard]] Socket make_socket(int family) const;
  void post_accepts(Listener& listener);
  void accepted(Accept& accept);
  void report_accepted(IoSink& sink, Listener& listener);
  bool report_accepts(IoSink& sink);
  void connected(IoSink& sink, uint32_t slot);
  bool handle(IoSink& sink, Operation& operation);
  [[nodiscard]] bool asks_port(bool spinning);
  void forget_closed_listeners();
  int take(uint32_t slot, Socket socket, const SocketOptions& options);
  void abandon();
  // Sends the end of each stream.
  void process_ends() override;

  DWORD socket_flags_;
  bool polling_ = false;
  bool left_ = false;      // the last poll() had no room for all
  uint64_t asked_ns_ = 0;  // when a spinning poll() asked the completion port last
  LPFN_ACCEPTEX accept_ex_ = nullptr;
  LPFN_CONNECTEX connect_ex_ = nullptr;
  NewcomerShare newcomer_share_;
  CompletionPort port_;
  std::deque<Connection> connections_;  // their addresses never change
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::unique_ptr<Listener>> closed_listeners_;  // until the system has completed their operations
};

}  // namespace zerio
