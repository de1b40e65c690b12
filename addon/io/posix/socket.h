// Sockets as the backends of POSIX systems need them: an owner for descriptors, and the calls that all make the same way.
#pragma once

#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "../address.h"
#include "../io.h"
#include "socket_calls.h"
#include "socket_file.h"

namespace zerio {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { reset(-1); }

  void reset(int fd);
  // From now on the caller owns it.
  void release() { fd_ = -1; }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// Neither blocks; each returns a count, or -1 with errno and never EINTR.
ssize_t receive_bytes(int fd, uint8_t* data, size_t size);
ssize_t send_slices(int fd, const IoSlice* slices, uint32_t count);

// Whether a send or receive that failed with this errno can succeed later. A shortage of kernel memory passes, as a full buffer
// does.
[[nodiscard]] bool passes(int error);
// Turns the result of a send, a count or a negative errno value, into what Io::send() returns.
[[nodiscard]] inline int64_t taken_by_send(int64_t result) {
  return result >= 0 ? result : passes(static_cast<int>(-result)) ? 0 : result;
}
[[nodiscard]] inline size_t total_of(const IoSlice* slices, uint32_t count) {
  size_t total = 0;
  for (uint32_t i = 0; i < count; ++i) total += slices[i].size;
  return total;
}
void shutdown_sending(int fd);
void shutdown_both(int fd);
[[nodiscard]] bool is_readable(int fd);
// Whether a receive would bring bytes, and not a farewell alone, the end of the stream or an error.
[[nodiscard]] bool bytes_wait(int fd, uint32_t slot, const IoSink& sink);

// Calls `attempt()`, which returns 0 or an errno value, until the kernel is not short of memory or watches any more, but not for
// ever. Returns what it returned last.
template <class Attempt>
int repeat_while_short(Attempt attempt) {
  constexpr uint32_t kRetriesMax = 10000;
  int error = 0;
  for (uint32_t i = 0; i < kRetriesMax; ++i) {
    error = attempt();
    if (error != ENOMEM && error != ENOSPC) break;
  }
  return error;
}

// Keeps a descriptor that was adopted from being adopted a second time by this process: both would close it, and the second close
// would hit whatever has the number then.
class Adoption {
 public:
  Adoption() = default;
  // EEXIST when the descriptor is adopted already.
  int begin(int fd);
  Adoption(Adoption&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Adoption& operator=(Adoption&& other) noexcept {
    end();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  Adoption(const Adoption&) = delete;
  Adoption& operator=(const Adoption&) = delete;
  ~Adoption() { end(); }

  void end();

 private:
  int fd_ = -1;
};

// A socket that listens, and the file that it has when its address is a path.
struct Listening {
  Descriptor fd;
  Adoption adoption;
  SocketFile file;

  // The file goes first, so that no client finds a path on which nothing listens.
  void close() {
    file.remove();
    adoption.end();
    fd.reset(-1);
  }
};

// Each returns 0 or an errno value.
// Adopts `options.descriptor`, and leaves it alone when it returns an error: EBADF, ENOTSOCK, EAFNOSUPPORT, EEXIST for one that
// is adopted already, or EINVAL for a socket that does not listen, or has no streams.
int adopt_listener(const ListenOptions& options, Listening& out, Address& bound);
int open_listener(const Address& address, const ListenOptions& options, Listening& out, Address& bound);
int open_connecting(const Address& address, const SocketOptions& options, Descriptor& out);

void set_no_delay(int fd, bool no_delay);
void change_setting(int fd, SocketSetting setting, uint32_t value);
// From now on close() discards what is not sent yet, and resets the connection.
void set_reset_on_close(int fd);
// The error that ended a connection attempt, 0 for success.
[[nodiscard]] int pending_error(int fd);
void read_addresses(int fd, Address& local, Address& remote);

// Whether accept() failed because the machine is short of something. Otherwise this one connection ended in the queue (accept(2)
// lists the network errors that mean so), and the next one can succeed.
[[nodiscard]] bool is_shortage(int error);
// Whether accept() failed because nothing listens any more: another process that has the socket, too, has shut it down.
[[nodiscard]] bool is_end_of_listener(int error);

}  // namespace zerio
