// Sockets of the backends of POSIX systems.
#include "socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <vector>

namespace zerio {
namespace {

std::mutex adopted_mutex;
std::vector<int> adopted;

// macOS does not tell whether a socket listens. There, a second listen() is harmless, and fails for one that is connected; and a
// socket without an address would get one.
bool is_listening(int fd, const ListenOptions& options, const Address& bound) {
  int listens = 0;
  socklen_t size = sizeof listens;
  if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0) return listens != 0;
  const bool has_address = bound.is_path() || bound.port() != 0;
  return errno == ENOPROTOOPT && has_address && ::listen(fd, static_cast<int>(options.backlog)) == 0;
}

void set_keep_alive(int fd, const KeepAlive& keep_alive) {
  set_flag(fd, IPPROTO_TCP, kKeepIdleOption, static_cast<int>(keep_alive.idle_s));
  set_flag(fd, IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(keep_alive.interval_s));
  set_flag(fd, IPPROTO_TCP, TCP_KEEPCNT, KeepAlive::kProbes);
  set_flag(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

// A system that refuses one of these still provides a working connection, so errors are ignored.
void apply(int fd, const SocketOptions& options) {
  set_no_delay(fd, options.no_delay);
  if (options.send_buffer_bytes > 0) set_flag(fd, SOL_SOCKET, SO_SNDBUF, static_cast<int>(options.send_buffer_bytes));
  if (options.receive_buffer_bytes > 0) set_flag(fd, SOL_SOCKET, SO_RCVBUF, static_cast<int>(options.receive_buffer_bytes));
  if (options.keep_alive_ms > 0) set_keep_alive(fd, KeepAlive(options.keep_alive_ms));
  if (options.user_timeout_ms > 0) set_user_timeout(fd, options.user_timeout_ms);
}

[[nodiscard]] const sockaddr* as_sockaddr(const Address& address) { return reinterpret_cast<const sockaddr*>(address.data()); }

template <class Call>
void read_name(Call call, int fd, Address& out) {
  socklen_t size = Address::kBytesMax;
  out.set_size(call(fd, reinterpret_cast<sockaddr*>(out.data()), &size) == 0 ? size : 0);
}

constexpr uint32_t kSlicesMax = 4;

ssize_t send_once(int fd, const IoSlice* slices, uint32_t count) {
  ssize_t sent = 0;
  if (count == 1) {
    do sent = send_call(fd, slices[0].data, slices[0].size);
    while (sent < 0 && errno == EINTR);
    return sent;
  }
  std::array<iovec, kSlicesMax> vectors = {};
  for (uint32_t i = 0; i < count; ++i) vectors[i] = {const_cast<uint8_t*>(slices[i].data), slices[i].size};
  msghdr message = {};
  message.msg_iov = vectors.data();
  message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(count);
  do sent = ::sendmsg(fd, &message, kSendFlags);
  while (sent < 0 && errno == EINTR);
  return sent;
}

// While much is sent the other side receives, and there is room for more: what goes at once need not be kept for later. A part
// that is shorter says that the other side is slower.
constexpr size_t kPartBytesMin = 262144;
// The longest message goes as a whole; what is behind it waits, so that others have their turn.
constexpr size_t kPartsBytesMax = 16777216;

// Returns how many bytes went in all, or -1 with errno when the connection broke: the system says that once.
ssize_t send_more(int fd, const IoSlice* slices, uint32_t count, size_t sent) {
  const size_t total = total_of(slices, count);
  for (size_t part = sent; part >= kPartBytesMin && sent < std::min(total, kPartsBytesMax); sent += part) {
    std::array<IoSlice, kSlicesMax> rest = {};
    uint32_t left = 0;
    size_t behind = sent;
    for (uint32_t i = 0; i < count; ++i) {
      const size_t skipped = std::min(behind, slices[i].size);
      behind -= skipped;
      if (skipped < slices[i].size) rest[left++] = {slices[i].data + skipped, slices[i].size - skipped};
    }
    const ssize_t more = send_once(fd, rest.data(), left);
    if (more < 0 && !passes(errno)) return more;
    if (more <= 0) break;
    part = static_cast<size_t>(more);
  }
  return static_cast<ssize_t>(sent);
}

int open_socket(const Address& address, Descriptor& out) {
  out.reset(make_socket(address.is_path() ? AF_UNIX : address.is_ipv6() ? AF_INET6 : AF_INET));
  return out.open() ? 0 : errno;
}

int bind_to(int fd, const Address& address) {
  const auto attempt = [&] { return ::bind(fd, as_sockaddr(address), address.size()) == 0 ? 0 : errno; };
  const int error = attempt();
  if (error != EADDRINUSE || !address.is_path()) return error;
  const int stays = remove_stale_socket(address);
  return stays == 0 ? attempt() : stays;
}

}  // namespace

void set_flag(int fd, int level, int name, int value) { (void)::setsockopt(fd, level, name, &value, sizeof value); }

void Descriptor::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

ssize_t receive_bytes(int fd, uint8_t* data, size_t size) {
  ssize_t received = 0;
  do received = receive_call(fd, data, size);
  while (received < 0 && errno == EINTR);
  return received;
}

ssize_t send_slices(int fd, const IoSlice* slices, uint32_t count) {
  const ssize_t sent = send_once(fd, slices, count);
  if (sent < static_cast<ssize_t>(kPartBytesMin)) return sent;
  return send_more(fd, slices, count, static_cast<size_t>(sent));
}

bool passes(int error) { return error == EAGAIN || error == ENOMEM || error == ENOBUFS; }

void shutdown_sending(int fd) { (void)::shutdown(fd, SHUT_WR); }

void shutdown_both(int fd) { (void)::shutdown(fd, SHUT_RDWR); }

bool is_readable(int fd) {
  pollfd asked = {fd, POLLIN, 0};
  return ::poll(&asked, 1, 0) > 0;
}

bool bytes_wait(int fd, uint32_t slot, const IoSink& sink) {
  uint8_t bytes[IoSink::kLookBytes];
  ssize_t found = 0;
  do found = ::recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
  while (found < 0 && errno == EINTR);
  if (found <= 0) return false;
  const auto size = static_cast<size_t>(found);
  return size == sizeof bytes || !sink.is_farewell(slot, bytes, size);
}

int Adoption::begin(int fd) {
  const std::lock_guard lock(adopted_mutex);
  if (std::ranges::find(adopted, fd) != adopted.end()) return EEXIST;
  adopted.push_back(fd);
  fd_ = fd;
  return 0;
}

void Adoption::end() {
  if (fd_ < 0) return;
  const std::lock_guard lock(adopted_mutex);
  std::erase(adopted, std::exchange(fd_, -1));
}

int adopt_listener(const ListenOptions& options, Listening& out, Address& bound) {
  const int fd = options.descriptor;
  int type = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) return errno;
  read_name(::getsockname, fd, bound);
  if (bound.size() == 0) return errno;
  if (!bound.is_path() && !bound.is_ipv6() && !bound.is_ipv4()) return EAFNOSUPPORT;
  if (type != SOCK_STREAM || !is_listening(fd, options, bound)) return EINVAL;
  Adoption adoption;
  const int error = adoption.begin(fd);
  if (error != 0) return error;
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return errno;
  apply(fd, options.socket.at(bound));
  out.fd = Descriptor(fd);
  out.adoption = std::move(adoption);
  return 0;
}

int open_listener(const Address& address, const ListenOptions& options, Listening& out, Address& bound) {
  Listening listening;
  const int error = open_socket(address, listening.fd);
  if (error != 0) return error;
  const int fd = listening.fd.get();
  if (!address.is_path()) set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (options.reuse_port) set_reuse_port(fd);
  if (address.is_ipv6()) set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, options.ipv6_only ? 1 : 0);
  // Accepted sockets inherit all of them; and a buffer size can change the TCP window scale only if it is set before the
  // handshake.
  apply(fd, options.socket.at(address));
  const int taken = bind_to(fd, address);
  if (taken != 0) return taken;
  // At once: to another server a file on which nothing listens is stale.
  const int refused = ::listen(fd, static_cast<int>(options.backlog)) == 0 ? 0 : errno;
  listening.file = SocketFile::made_for(address);
  if (refused != 0) return refused;
  read_name(::getsockname, fd, bound);
  if (bound.size() == 0) return errno;
  out = std::move(listening);
  return 0;
}

int open_connecting(const Address& address, const SocketOptions& options, Descriptor& out) {
  Descriptor fd;
  const int error = open_socket(address, fd);
  if (error != 0) return error;
  apply(fd.get(), options.at(address));
  if (options.source.size() > 0) {
    // Connections of the same port to other servers, and those that ended a short while ago, do not stand in the way.
    set_flag(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (options.source.port() == 0) choose_port_at_connect(fd.get());
    if (::bind(fd.get(), as_sockaddr(options.source), options.source.size()) != 0) return errno;
  }
  if (::connect(fd.get(), as_sockaddr(address), address.size()) != 0 && errno != EINPROGRESS) return errno;
  out = std::move(fd);
  return 0;
}

void set_no_delay(int fd, bool no_delay) {
  if (no_delay) set_flag(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

void change_setting(int fd, SocketSetting setting, uint32_t value) {
  switch (setting) {
    case SocketSetting::NoDelay:
      return set_flag(fd, IPPROTO_TCP, TCP_NODELAY, value != 0 ? 1 : 0);
    case SocketSetting::KeepAliveMs:
      return value > 0 ? set_keep_alive(fd, KeepAlive(value)) : set_flag(fd, SOL_SOCKET, SO_KEEPALIVE, 0);
    case SocketSetting::UserTimeoutMs:
      return set_user_timeout(fd, value);
  }
}

void set_reset_on_close(int fd) {
  const linger now = {1, 0};
  (void)::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

int pending_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  if (error != 0) return error;
  // Where no server listens, the system may choose the very port that is connected to, and the socket connects to itself.
  Address local;
  Address remote;
  read_addresses(fd, local, remote);
  const bool itself =
      local.size() > 0 && local.size() == remote.size() && std::memcmp(local.data(), remote.data(), local.size()) == 0;
  return itself ? ECONNREFUSED : 0;
}

void read_addresses(int fd, Address& local, Address& remote) {
  read_name(::getsockname, fd, local);
  read_name(::getpeername, fd, remote);
}

bool is_end_of_listener(int error) { return error == EINVAL || error == EBADF || error == ENOTSOCK; }

bool is_shortage(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

}  // namespace zerio
