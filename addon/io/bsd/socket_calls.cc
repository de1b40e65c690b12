// Calls on sockets as macOS and FreeBSD have them. What only one of them has is asked for by its name, so that this file works
// wherever there are sockets; the tests run it on Linux.
#include "../posix/socket_calls.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace zerio {
namespace {

// macOS can say neither to socket() nor to accept() how the descriptor shall be. Between the two calls a process that is started
// by another thread may inherit the descriptor; Node.js starts none that keeps any.
int prepared(int fd) {
  if (fd < 0) return fd;
  int on = 1;
  (void)::ioctl(fd, FIONBIO, &on);
  (void)::fcntl(fd, F_SETFD, FD_CLOEXEC);
#ifdef SO_NOSIGPIPE
  set_flag(fd, SOL_SOCKET, SO_NOSIGPIPE, 1);
#endif
  return fd;
}

}  // namespace

int make_socket(int family) { return prepared(::socket(family, SOCK_STREAM, 0)); }

int accept_socket(int listener) { return prepared(::accept(listener, nullptr, nullptr)); }

#ifdef TCP_KEEPIDLE
const int kKeepIdleOption = TCP_KEEPIDLE;
#else
const int kKeepIdleOption = TCP_KEEPALIVE;
#endif

#ifdef SO_NOSIGPIPE
const int kSendFlags = MSG_DONTWAIT;
#else
const int kSendFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
#endif

ssize_t receive_call(int fd, uint8_t* data, size_t size) { return ::recv(fd, data, size, MSG_DONTWAIT); }

ssize_t send_call(int fd, const uint8_t* data, size_t size) { return ::send(fd, data, size, kSendFlags); }

void set_user_timeout(int fd, uint32_t milliseconds) {
#if defined(TCP_USER_TIMEOUT)
  set_flag(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(milliseconds));
#elif defined(TCP_RXT_CONNDROPTIME)
  set_flag(fd, IPPROTO_TCP, TCP_RXT_CONNDROPTIME, static_cast<int>(KeepAlive::seconds(milliseconds)));
#elif defined(TCP_MAXUNACKTIME)
  set_flag(fd, IPPROTO_TCP, TCP_MAXUNACKTIME, static_cast<int>(KeepAlive::seconds(milliseconds)));
#endif
}

void choose_port_at_connect(int /*fd*/) {}

void set_reuse_port(int fd) {
#ifdef SO_REUSEPORT_LB
  set_flag(fd, SOL_SOCKET, SO_REUSEPORT_LB, 1);
#else
  set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1);
#endif
}

}  // namespace zerio
