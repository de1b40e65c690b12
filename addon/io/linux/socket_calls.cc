// Calls on sockets as Linux has them.
#include "../posix/socket_calls.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace zerio {

int make_socket(int family) { return ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }

int accept_socket(int listener) { return ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC); }

const int kKeepIdleOption = TCP_KEEPIDLE;

const int kSendFlags = MSG_NOSIGNAL | MSG_DONTWAIT;

// System calls without the C library: its functions are cancellation points, which costs two atomic operations in a process with
// threads, as Node.js always is. No thread is cancelled here.
ssize_t receive_call(int fd, uint8_t* data, size_t size) {
  return ::syscall(SYS_recvfrom, fd, data, size, MSG_DONTWAIT, nullptr, nullptr);
}

ssize_t send_call(int fd, const uint8_t* data, size_t size) {
  return ::syscall(SYS_sendto, fd, data, size, kSendFlags, nullptr, 0);
}

void set_user_timeout(int fd, uint32_t milliseconds) {
  set_flag(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(milliseconds));
}

void choose_port_at_connect(int fd) { set_flag(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1); }

void set_reuse_port(int fd) { set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1); }

}  // namespace zerio
