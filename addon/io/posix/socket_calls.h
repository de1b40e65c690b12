// The calls on sockets that POSIX systems make in different ways.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "../io.h"
#include "../tcp_status.h"

namespace zerio {

void set_flag(int fd, int level, int name, int value);

// The descriptors neither block nor are inherited by other programs. Each returns one, or -1 with errno.
int make_socket(int family);
int accept_socket(int listener);

// The option for the silence before the first question of keep-alive, in seconds.
extern const int kKeepIdleOption;

// For sendmsg(): do not block, and send no signal when the other side has left.
extern const int kSendFlags;
// Neither blocks. Each returns a count, or -1 with errno, which may be EINTR.
ssize_t receive_call(int fd, uint8_t* data, size_t size);
ssize_t send_call(int fd, const uint8_t* data, size_t size);

// A system that refuses one of these, or has not got it, still provides a working connection.
void set_user_timeout(int fd, uint32_t milliseconds);

// bind() shall leave the port of a connecting socket to connect(), which can choose one that other connections have to other
// addresses. Only Linux can.
void choose_port_at_connect(int fd);

// Several listeners may have the same address; where the system can, it deals connections out among them.
void set_reuse_port(int fd);

// Fills in what the system knows of a connection.
void read_tcp_status(int fd, TcpStatus& status);

}  // namespace zerio
