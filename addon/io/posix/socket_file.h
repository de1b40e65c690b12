// The file of a Unix domain socket that listens: it goes when the listener goes, and one that a dead listener left goes before.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <string>

#include "../address.h"

namespace zerio {

// Removes its file at the end, unless another one has taken its place meanwhile.
class SocketFile {
 public:
  SocketFile() = default;
  // The file that bind() has made for this address. An address without a file gives an owner of nothing.
  [[nodiscard]] static SocketFile made_for(const Address& address);
  SocketFile(SocketFile&& other) noexcept;
  SocketFile& operator=(SocketFile&& other) noexcept;
  SocketFile(const SocketFile&) = delete;
  SocketFile& operator=(const SocketFile&) = delete;
  ~SocketFile() { remove(); }

  void remove();

 private:
  std::string path_;  // absolute: the process may change its directory; empty for no file
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

// bind() has found something at the address. Removes it when it is a socket on which nothing listens. 0, or why the path stays
// taken: EADDRINUSE when something may listen, ENOTSOCK for what is no socket, or the error of the removal.
int remove_stale_socket(const Address& address);

}  // namespace zerio
