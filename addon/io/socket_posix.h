// Sockets as the Linux backends need them: an owner for descriptors, and the calls that both make the same way.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "address.h"
#include "io.h"

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
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// Neither blocks; each returns a count, or -1 with errno and never EINTR.
ssize_t receive_bytes(int fd, uint8_t* data, size_t size);
ssize_t send_slices(int fd, const IoSlice* slices, uint32_t count);

// Whether a send or receive that failed with this errno may succeed later: out of kernel memory passes like a full buffer.
[[nodiscard]] bool passes(int error);

// Each returns 0 or an errno value.
int open_listener(const Address& address, const ListenOptions& options, Descriptor& out, Address& bound);
int open_connecting(const Address& address, const SocketOptions& options, Descriptor& out);

void set_no_delay(int fd, bool no_delay);
// close() will discard what is not sent yet and tell the other side with a reset.
void set_reset_on_close(int fd);
// The error that ended a connection attempt, 0 for success.
[[nodiscard]] int pending_error(int fd);
void read_addresses(int fd, Address& local, Address& remote);

// Whether accept() failed because the machine is short of something. Otherwise this connection died in the queue (accept(2) lists
// the network errors that mean this), and the next one may be well.
[[nodiscard]] bool is_shortage(int error);

}  // namespace zerio
