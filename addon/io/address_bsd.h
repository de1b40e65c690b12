// The functions of Address on systems with BSD sockets: included once, behind the system's own headers.
#pragma once

#include <cstring>

#include "address.h"

namespace zerio {

static_assert(sizeof(sockaddr_storage) <= Address::kBytesMax);

bool Address::parse(const std::string& host, uint16_t port, Address& out) {
  if (host.starts_with(kPathPrefix)) return parse_path(host.substr(sizeof kPathPrefix - 1), out);
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return false;
  const bool fits = found->ai_addrlen <= kBytesMax;
  if (fits) {
    std::memcpy(out.bytes_, found->ai_addr, found->ai_addrlen);
    out.size_ = static_cast<uint32_t>(found->ai_addrlen);
  }
  freeaddrinfo(found);
  return fits;
}

// Empty when there is none.
Address::Host Address::host() const {
  if (is_path()) return path_text();
  Host host;
  static_assert(sizeof host.text > INET6_ADDRSTRLEN);
  const bool named = size_ != 0 && getnameinfo(reinterpret_cast<const sockaddr*>(bytes_), size_, host.text, sizeof host.text,
                                               nullptr, 0, NI_NUMERICHOST) == 0;
  return named ? host : Host{};
}

uint16_t Address::port() const {
  sockaddr_storage storage = {};
  std::memcpy(&storage, bytes_, sizeof storage);
  if (storage.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
  if (storage.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port);
  return 0;
}

bool Address::is_ipv4() const { return reinterpret_cast<const sockaddr*>(bytes_)->sa_family == AF_INET; }

bool Address::is_ipv6() const { return reinterpret_cast<const sockaddr*>(bytes_)->sa_family == AF_INET6; }

bool Address::is_path() const { return size_ != 0 && reinterpret_cast<const sockaddr*>(bytes_)->sa_family == AF_UNIX; }

}  // namespace zerio
