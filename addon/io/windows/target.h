// The address that a connection goes to, as Windows must be given it, and what its socket needs for that.
#pragma once

#include <winsock2.h>
#include <ws2tcpip.h>

#include "../address.h"

namespace zerio {

class Target {
 public:
  // 0.0.0.0 and :: mean this machine, as on other systems.
  explicit Target(const Address& address);

  [[nodiscard]] int family() const { return address_.is_ipv6() ? AF_INET6 : AF_INET; }
  [[nodiscard]] const sockaddr* name() const { return reinterpret_cast<const sockaddr*>(address_.data()); }
  [[nodiscard]] int size() const { return static_cast<int>(address_.size()); }
  // Prepares a new socket for ConnectEx, and binds it to its source, where that has a size. 0 or an error number.
  [[nodiscard]] int prepare(SOCKET socket, const Address& source) const;

 private:
  [[nodiscard]] bool is_loopback() const;

  Address address_;
};

}  // namespace zerio
