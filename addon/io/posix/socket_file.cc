// Files of listening Unix domain sockets.
#include "socket_file.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <utility>

#include "socket.h"

namespace zerio {
namespace {

constexpr int kRetries = 2;
constexpr useconds_t kRetryUs = 2000;

// Empty for a name that is no path.
const char* path_of(const Address& address) {
  return address.is_path() ? reinterpret_cast<const char*>(address.data() + offsetof(sockaddr_un, sun_path)) : "";
}

struct Freed {
  void operator()(char* text) const { std::free(text); }
};

std::string absolute(const char* path) {
  const std::unique_ptr<char, Freed> found(::realpath(path, nullptr));
  return found == nullptr ? path : found.get();
}

// 0, or the error with which a connection to the address fails at once.
int try_to_connect(const Address& address) {
  const Descriptor fd(make_socket(AF_UNIX));
  if (!fd.open()) return errno;
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(address.data()), address.size()) == 0 ? 0 : errno;
}

[[nodiscard]] bool is_same(const struct stat& one, const struct stat& other) {
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino && one.st_ctime == other.st_ctime;
}

}  // namespace

SocketFile SocketFile::made_for(const Address& address) {
  SocketFile file;
  struct stat found = {};
  const char* const path = path_of(address);
  if (path[0] == '\0' || ::lstat(path, &found) != 0) return file;
  file.path_ = absolute(path);
  file.device_ = found.st_dev;
  file.inode_ = found.st_ino;
  return file;
}

SocketFile::SocketFile(SocketFile&& other) noexcept
    : path_(std::exchange(other.path_, {})), device_(other.device_), inode_(other.inode_) {}

SocketFile& SocketFile::operator=(SocketFile&& other) noexcept {
  if (this == &other) return *this;
  remove();
  path_ = std::exchange(other.path_, {});
  device_ = other.device_;
  inode_ = other.inode_;
  return *this;
}

void SocketFile::remove() {
  struct stat found = {};
  const bool is_ours = !path_.empty() && ::lstat(path_.c_str(), &found) == 0 && found.st_dev == device_ && found.st_ino == inode_;
  if (is_ours) (void)::unlink(path_.c_str());
  path_.clear();
}

int remove_stale_socket(const Address& address) {
  const char* const path = path_of(address);
  struct stat before = {};
  struct stat now = {};
  if (path[0] == '\0') return EADDRINUSE;
  if (::lstat(path, &before) != 0) return errno == ENOENT ? 0 : errno;
  if (!S_ISSOCK(before.st_mode)) return ENOTSOCK;
  // A server that listens there sees a connection that ends before it has said anything.
  int error = try_to_connect(address);
  // One that has just made its file may not listen yet.
  for (int i = 0; i < kRetries && error == ECONNREFUSED; ++i) {
    (void)::usleep(kRetryUs);
    error = try_to_connect(address);
  }
  if (error == ENOENT) return 0;
  if (error != ECONNREFUSED) return EADDRINUSE;
  // Another server may have found the same stale file, and have made its own since.
  if (::lstat(path, &now) != 0 || !is_same(before, now)) return EADDRINUSE;
  return ::unlink(path) == 0 || errno == ENOENT ? 0 : errno;
}

}  // namespace zerio
