// Accepting, connecting and closing on Windows.
#include "windows_io.h"

#include <mstcpip.h>
#include <uv.h>

#include <algorithm>

#include "../clock.h"
#include "target.h"

namespace zerio {
namespace {

// Not in every SDK: ws2ipdef.h of Windows 10.
constexpr int kTcpKeepIdle = 3;
constexpr int kTcpMaxRetransmission = 5;
constexpr int kTcpKeepCount = 16;
constexpr int kTcpKeepInterval = 17;

// Returns whether the system knows the option.
bool set_flag(SOCKET socket, int level, int name, int value) {
  return setsockopt(socket, level, name, reinterpret_cast<const char*>(&value), sizeof value) == 0;
}

void keep_alive(SOCKET socket, uint32_t milliseconds) {
  const KeepAlive wanted(milliseconds);
  set_flag(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  const bool known = set_flag(socket, IPPROTO_TCP, kTcpKeepIdle, static_cast<int>(wanted.idle_s)) &&
                     set_flag(socket, IPPROTO_TCP, kTcpKeepInterval, static_cast<int>(wanted.interval_s)) &&
                     set_flag(socket, IPPROTO_TCP, kTcpKeepCount, KeepAlive::kProbes);
  if (known) return;
  // Windows before version 1709 always probes ten times.
  constexpr ULONG kProbesFixed = 10;
  const ULONG idle_ms = wanted.idle_s * 1000;
  tcp_keepalive values = {1, idle_ms, wanted.interval_s * 1000 * KeepAlive::kProbes / kProbesFixed};
  DWORD bytes = 0;
  (void)WSAIoctl(socket, SIO_KEEPALIVE_VALS, &values, sizeof values, nullptr, 0, &bytes, nullptr, nullptr);
}

void user_timeout(SOCKET socket, uint32_t milliseconds) {
  set_flag(socket, IPPROTO_TCP, kTcpMaxRetransmission, static_cast<int>(KeepAlive::seconds(milliseconds)));
}

// A system that refuses one of these still provides a working connection, so errors are ignored.
void apply(SOCKET socket, const SocketOptions& options) {
  if (options.no_delay) set_flag(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  if (options.send_buffer_bytes > 0) set_flag(socket, SOL_SOCKET, SO_SNDBUF, static_cast<int>(options.send_buffer_bytes));
  if (options.receive_buffer_bytes > 0) set_flag(socket, SOL_SOCKET, SO_RCVBUF, static_cast<int>(options.receive_buffer_bytes));
  if (options.keep_alive_ms > 0) keep_alive(socket, options.keep_alive_ms);
  if (options.user_timeout_ms > 0) user_timeout(socket, options.user_timeout_ms);
}

// A plain number above 200 counts as 200. A negative one is what SOMAXCONN_HINT makes of a backlog up to 65535.
[[nodiscard]] int backlog_hint(uint32_t backlog) {
  constexpr uint32_t kMost = 65535;
  return -static_cast<int>(std::min(backlog, kMost));
}

[[nodiscard]] const sockaddr* as_sockaddr(const Address& address) { return reinterpret_cast<const sockaddr*>(address.data()); }

template <class Call>
void read_name(Call call, SOCKET socket, Address& out) {
  int size = Address::kBytesMax;
  const bool known = socket != INVALID_SOCKET && call(socket, reinterpret_cast<sockaddr*>(out.data()), &size) == 0;
  out.set_size(known ? static_cast<uint32_t>(size) : 0);
}

template <class Function>
[[nodiscard]] bool find_extension(SOCKET socket, GUID id, Function& function) {
  DWORD bytes = 0;
  return WSAIoctl(socket, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof id, &function, sizeof function, &bytes, nullptr,
                  nullptr) == 0;
}

}  // namespace

int error_number(int winsock_error) {
  if (winsock_error == 0) return 0;
  // libuv has no number for this one.
  return winsock_error == WSAEOPNOTSUPP ? -UV_ENOTSUP : -uv_translate_sys_error(winsock_error);
}

bool is_shortage(int winsock_error) {
  return winsock_error == WSAEMFILE || winsock_error == WSAENOBUFS || winsock_error == ERROR_NOT_ENOUGH_MEMORY ||
         winsock_error == ERROR_NO_SYSTEM_RESOURCES || winsock_error == ERROR_WORKING_SET_QUOTA;
}

int WindowsIo::open() {
  if (port_.handle() == nullptr) return error_number(static_cast<int>(GetLastError()));
  Socket probe(WSASocketW(AF_INET, SOCK_STREAM, IPPROTO_TCP, nullptr, 0, WSA_FLAG_OVERLAPPED));
  if (!probe.open()) return last_error_number();
  const bool found =
      find_extension(probe.get(), WSAID_ACCEPTEX, accept_ex_) && find_extension(probe.get(), WSAID_CONNECTEX, connect_ex_);
  return found ? 0 : last_error_number();
}

bool WindowsIo::close_all() {
  constexpr uint64_t kWaitNs = 5'000'000'000;
  constexpr DWORD kStepMs = 10;
  port_.wake_by(nullptr, nullptr);
  for (uint32_t server = 0; server < listeners_.size(); ++server) unlisten(server);
  for (uint32_t slot = 0; slot < connections_.size(); ++slot) {
    if (connections_[slot].socket.open()) (void)close(slot, false);
  }
  const uint64_t until = monotonic_ns() + kWaitNs;
  for (;;) {
    port_.begin();
    for (const OVERLAPPED* done = nullptr; (done = port_.front()) != nullptr; port_.pop()) {
      // What this class does not count, drop_more() of the derived class does.
      if (reinterpret_cast<const Operation*>(done)->kind == Kind::Other) {
        notification_came();
      } else {
        --unsettled_;
      }
    }
    drop_more();
    if (unsettled_ == 0) return true;
    if (monotonic_ns() >= until) break;
    if (!arm_more()) port_.wait(kStepMs);
  }
  abandon();
  return false;
}

// The system may still write into these: they are never freed.
void WindowsIo::abandon() {
  (void)std::make_unique<std::deque<Connection>>(std::move(connections_)).release();
  (void)std::make_unique<std::vector<std::unique_ptr<Listener>>>(std::move(closed_listeners_)).release();
}

void WindowsIo::process_ends() {
  for (const Connection& connection : connections_) {
    if (connection.socket.open()) (void)::shutdown(connection.socket.get(), SD_SEND);
  }
}

void WindowsIo::reserve(uint32_t count) {
  while (connections_.size() < count) {
    const auto slot = static_cast<uint32_t>(connections_.size());
    Connection& connection = connections_.emplace_back();
    connection.receive.kind = Kind::Receive;
    connection.send.kind = Kind::Send;
    connection.receive.slot = connection.send.slot = slot;
  }
}

void WindowsIo::remove_slots(uint32_t first) { connections_.resize(first); }

// Sockets are overlapped, and child processes do not inherit them.
Socket WindowsIo::make_socket(int family) const {
  return Socket(WSASocketW(family, SOCK_STREAM, IPPROTO_TCP, nullptr, 0, socket_flags_ | WSA_FLAG_NO_HANDLE_INHERIT));
}

// ---- Listening

int WindowsIo::listen(uint32_t server, const Address& address, const ListenOptions& options, Address& bound) {
  if (options.reuse_port || options.descriptor >= 0) return -UV_ENOTSUP;
  // All memory that the listener needs is allocated here: its room among the closed ones, too.
  if (server >= listeners_.size()) listeners_.resize(server + 1);
  closed_listeners_.reserve(closed_listeners_.size() + listeners_.size());
  auto listener = std::make_unique<Listener>();
  listener->idle.reserve(Listener::kAccepts);
  listener->ready.reserve(Listener::kAccepts);
  listener->server = server;
  listener->family = address.is_ipv6() ? AF_INET6 : AF_INET;
  listener->socket = make_socket(listener->family);
  const SOCKET socket = listener->socket.get();
  if (!listener->socket.open()) return last_error_number();
  // Without SO_EXCLUSIVEADDRUSE, which would refuse the port as long as connections of an earlier server are in TIME_WAIT.
  if (address.is_ipv6()) set_flag(socket, IPPROTO_IPV6, IPV6_V6ONLY, options.ipv6_only ? 1 : 0);
  apply(socket, options.socket);
  if (bind(socket, as_sockaddr(address), static_cast<int>(address.size())) != 0) return last_error_number();
  if (::listen(socket, backlog_hint(options.backlog)) != 0 || !port_.associate(socket)) return last_error_number();
  read_name(getsockname, socket, bound);
  for (Accept& accept : listener->accepts) {
    accept.kind = Kind::Accept;
    accept.listener = listener.get();
    listener->idle.push_back(&accept);
  }
  listeners_[server] = std::move(listener);
  post_accepts(*listeners_[server]);
  return 0;
}

void WindowsIo::post_accepts(Listener& listener) {
  while (!listener.paused && listener.error == 0 && !listener.idle.empty()) {
    Accept& accept = *listener.idle.back();
    accept.clear();
    accept.socket = make_socket(listener.family);
    DWORD bytes = 0;
    const bool posted =
        accept.socket.open() && (accept_ex_(listener.socket.get(), accept.socket.get(), accept.addresses, 0,
                                            Accept::kAddressBytes, Accept::kAddressBytes, &bytes, &accept.overlapped) != 0 ||
                                 WSAGetLastError() == WSA_IO_PENDING);
    if (!posted) {
      const int error = WSAGetLastError();
      accept.socket.reset();
      // With at least one accept under way, its completion makes the next try.
      if (listener.pending > 0 && is_shortage(error)) return;
      // This one connection ended in the queue; the next one can succeed.
      if (error == WSAECONNRESET) continue;
      listener.error = error_number(error);
      port_.wake_now();
      return;
    }
    listener.idle.pop_back();
    ++listener.pending;
    ++unsettled_;
  }
}

void WindowsIo::accept_pause(uint32_t server, bool paused) {
  if (server >= listeners_.size() || listeners_[server] == nullptr) return;
  Listener& listener = *listeners_[server];
  listener.paused = paused;
  if (paused) return;
  post_accepts(listener);
  if (!listener.ready.empty()) port_.wake_now();
}

void WindowsIo::unlisten(uint32_t server) {
  if (server >= listeners_.size() || listeners_[server] == nullptr) return;
  std::unique_ptr<Listener> listener = std::move(listeners_[server]);
  listener->socket.reset();
  listener->ready.clear();
  // Accepts that are under way keep their sockets until they complete. Those that have completed may be connected, and no poll()
  // may follow that would close them: they are closed here, so that the other side learns of it.
  for (Accept& accept : listener->accepts) {
    if (HasOverlappedIoCompleted(&accept.overlapped)) accept.socket.reset();
  }
  if (listener->pending > 0) closed_listeners_.push_back(std::move(listener));
}

void WindowsIo::forget_closed_listeners() {
  std::erase_if(closed_listeners_, [](const auto& listener) { return listener->pending == 0; });
}

void WindowsIo::accepted(Accept& accept) {
  Listener& listener = *accept.listener;
  --unsettled_;
  --listener.pending;
  if (!listener.socket.open()) {
    forget_closed_listeners();
    return;
  }
  DWORD bytes = 0;
  DWORD flags = 0;
  const SOCKET socket = listener.socket.get();
  const bool good = WSAGetOverlappedResult(socket, &accept.overlapped, &bytes, FALSE, &flags) != 0 &&
                    setsockopt(accept.socket.get(), SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, reinterpret_cast<const char*>(&socket),
                               sizeof socket) == 0;
  if (good) {
    listener.ready.push_back(&accept);
    return;
  }
  accept.socket.reset();
  listener.idle.push_back(&accept);
  post_accepts(listener);
}

void WindowsIo::report_accepted(IoSink& sink, Listener& listener) {
  const uint32_t server = listener.server;
  if (listener.error != 0 && !listener.paused) sink.on_accept_error(server, std::exchange(listener.error, 0));
  while (!listener.ready.empty() && !listener.paused && newcomer_share_.has_time() && sink.can_accept(server)) {
    Accept& accept = *listener.ready.front();
    listener.ready.erase(listener.ready.begin());
    listener.idle.push_back(&accept);
    sink.on_accepted(server, static_cast<AcceptedSocket>(accept.socket.release()));
  }
  if (!listener.ready.empty()) newcomer_share_.keep_waiting();
  post_accepts(listener);
}

// Returns whether connections are left for the next poll.
bool WindowsIo::report_accepts(IoSink& sink) {
  bool left = false;
  newcomer_share_.renew();
  // Only accepts have a share here, and the pool does not know who of the others is silent.
  newcomer_share_.peer_spoke();
  for (const auto& listener : listeners_) {
    if (listener == nullptr) continue;
    report_accepted(sink, *listener);
    left = left || (!listener->paused && !listener->ready.empty());
  }
  return left;
}

int WindowsIo::attach(uint32_t slot, AcceptedSocket socket, const SocketOptions& options) {
  const int error = take(slot, Socket(static_cast<SOCKET>(socket)), options);
  if (error == 0) begin(slot);
  return error;
}

int WindowsIo::take(uint32_t slot, Socket socket, const SocketOptions& options) {
  if (!port_.associate(socket.get())) return error_number(static_cast<int>(GetLastError()));
  apply(socket.get(), options);
  Connection& connection = connections_[slot];
  connection.socket = std::move(socket);
  connection.receiving = true;
  connection.paused = connection.closing = connection.has_bytes = false;
  return 0;
}

// What is posted already completes as without a pause.
void WindowsIo::receive_pause(uint32_t slot, bool paused) {
  Connection& connection = connections_[slot];
  if (paused ? !connection.receiving : !connection.paused) return;
  connection.receiving = !paused;
  connection.paused = paused;
  if (!paused) read_on(slot);
}

void WindowsIo::configure(uint32_t slot, SocketSetting setting, uint32_t value) {
  const SOCKET socket = connections_[slot].socket.get();
  switch (setting) {
    case SocketSetting::NoDelay:
      set_flag(socket, IPPROTO_TCP, TCP_NODELAY, value != 0 ? 1 : 0);
      return;
    case SocketSetting::KeepAliveMs:
      if (value > 0) return keep_alive(socket, value);
      set_flag(socket, SOL_SOCKET, SO_KEEPALIVE, 0);
      return;
    case SocketSetting::UserTimeoutMs:
      // There is no number that means the system's own limit.
      if (value > 0) user_timeout(socket, value);
      return;
  }
}

// ---- Connecting

int WindowsIo::connect(uint32_t slot, const Address& address, const SocketOptions& options) {
  const Target target(address);
  Socket socket = make_socket(target.family());
  if (!socket.open()) return last_error_number();
  int error = target.prepare(socket.get(), options.source);
  if (error == 0) error = take(slot, std::move(socket), options);
  if (error != 0) return error;
  Connection& connection = connections_[slot];
  connection.send.clear();
  connection.send.kind = Kind::Connect;
  if (connect_ex_(connection.socket.get(), target.name(), target.size(), nullptr, 0, nullptr, &connection.send.overlapped) == 0 &&
      WSAGetLastError() != WSA_IO_PENDING) {
    const int refused = last_error_number();
    connection.socket.reset();
    connection.send.kind = Kind::Send;
    return refused;
  }
  begin_operation(slot);
  return 0;
}

void WindowsIo::connected(IoSink& sink, uint32_t slot) {
  Connection& connection = connections_[slot];
  connection.send.kind = Kind::Send;
  if (!settle(sink, slot)) return;
  DWORD bytes = 0;
  int error = result_of(connection, connection.send, bytes);
  if (error == 0 && setsockopt(connection.socket.get(), SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, nullptr, 0) != 0) {
    error = last_error_number();
  }
  if (error == 0) begin(slot);
  sink.on_connected(slot, error);
}

// ---- Closing

bool WindowsIo::close(uint32_t slot, bool reset) {
  Connection& connection = connections_[slot];
  const SOCKET socket = connection.socket.get();
  if (reset && connection.socket.open()) {
    const linger now = {1, 0};
    (void)setsockopt(socket, SOL_SOCKET, SO_LINGER, reinterpret_cast<const char*>(&now), sizeof now);
  } else if (connection.socket.open()) {
    // Closing a socket with a receive under way resets the connection, unless its end was sent before.
    (void)::shutdown(socket, SD_SEND);
  }
  receive_stop(slot);
  // Overlapped operations complete now, with an error. (Under Wine some sends end only when their socket is closed.) Those of
  // Registered I/O complete some time after the socket is closed.
  if (connection.pending > 0) CancelIoEx(reinterpret_cast<HANDLE>(socket), nullptr);
  connection.socket.reset();
  connection.closing = connection.pending > 0;
  if (!connection.closing) released(slot);
  return !connection.closing;
}

bool WindowsIo::end_operation(uint32_t slot) {
  Connection& connection = connections_[slot];
  --unsettled_;
  --connection.pending;
  if (!connection.closing || connection.pending > 0) return false;
  connection.closing = false;
  released(slot);
  return true;
}

bool WindowsIo::settle(IoSink& sink, uint32_t slot) {
  if (end_operation(slot)) sink.on_closed(slot);
  return connections_[slot].socket.open();
}

int WindowsIo::result_of(const Connection& connection, Operation& operation, DWORD& bytes) {
  if (operation.error != 0) return operation.error;
  DWORD flags = 0;
  const bool good = WSAGetOverlappedResult(connection.socket.get(), &operation.overlapped, &bytes, FALSE, &flags) != 0;
  return good ? 0 : last_error_number();
}

void WindowsIo::addresses(uint32_t slot, Address& local, Address& remote) const {
  const SOCKET socket = connections_[slot].socket.get();
  read_name(getsockname, socket, local);
  read_name(getpeername, socket, remote);
}

// ---- The batch

// Asking the port is a system call. Where only new connections come by it, a spinning poll() asks it only now and then.
bool WindowsIo::asks_port(bool spinning) {
  constexpr uint64_t kAskNs = 50'000;
  if (!spinning || bytes_come_by_port() || !port_.empty()) return true;
  const uint64_t now = monotonic_ns();
  if (now - asked_ns_ < kAskNs) return false;
  asked_ns_ = now;
  return true;
}

void WindowsIo::poll(IoSink& sink, bool spinning) {
  constexpr DWORD kLookMs = 10;
  polling_ = true;
  if (asks_port(spinning)) {
    port_.begin();
    for (OVERLAPPED* done = nullptr; sink.has_room() && (done = port_.front()) != nullptr; port_.pop()) {
      if (!handle(sink, *reinterpret_cast<Operation*>(done))) break;
    }
  }
  left_ = report_accepts(sink);
  left_ = poll_more(sink) || left_ || !port_.empty();
  polling_ = false;
  if (spinning || left_) return;
  if (arm_more()) {
    port_.wake_now();
  } else {
    port_.arm(wants_look() ? kLookMs : CompletionPort::kForEver);
  }
}

bool WindowsIo::handle(IoSink& sink, Operation& operation) {
  switch (operation.kind) {
    case Kind::Accept:
      accepted(static_cast<Accept&>(operation));
      return true;
    case Kind::Connect:
      connected(sink, operation.slot);
      return true;
    case Kind::Other:
      notification_came();
      return true;
    default:
      return complete(sink, operation);
  }
}

uint64_t WindowsIo::now_ns() const { return monotonic_ns(); }

}  // namespace zerio
