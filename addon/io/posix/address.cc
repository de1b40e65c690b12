// Address on POSIX systems.
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "../address_bsd.h"

namespace zerio {
namespace {

constexpr size_t kPathOffset = offsetof(sockaddr_un, sun_path);
constexpr size_t kPathBytes = sizeof(sockaddr_un::sun_path);

#ifdef __linux__
constexpr bool kHasAbstractNames = true;
#else
constexpr bool kHasAbstractNames = false;
#endif

}  // namespace

bool Address::parse_path(const std::string& path, Address& out) {
  const bool is_abstract = !path.empty() && path.front() == '\0';
  if (path.size() <= (is_abstract ? 1 : 0) || path.size() >= kPathBytes || (is_abstract && !kHasAbstractNames)) return false;
  if (path.find('\0', 1) != std::string::npos) return false;
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.data(), path.size());
  out = Address();
  std::memcpy(out.bytes_, &name, sizeof name);
  // An abstract name ends where the address does; a path has its zero byte.
  out.size_ = static_cast<uint32_t>(kPathOffset + path.size() + (is_abstract ? 0 : 1));
  return true;
}

Address::Host Address::path_text() const {
  Host host;
  constexpr size_t kPrefixBytes = sizeof kPathPrefix - 1;
  static_assert(kPrefixBytes + kPathBytes < sizeof host.text);
  std::memcpy(host.text, kPathPrefix, kPrefixBytes);
  const size_t size = std::min<size_t>(size_, kPathOffset + kPathBytes);
  if (size <= kPathOffset) return host;
  const auto* const path = reinterpret_cast<const char*>(bytes_ + kPathOffset);
  std::memcpy(host.text + kPrefixBytes, path, size - kPathOffset);
  // macOS gives a socket without a name a path of zeros.
  if (path[0] == '\0' && kHasAbstractNames) host.text[kPrefixBytes] = '@';
  return host;
}

}  // namespace zerio
