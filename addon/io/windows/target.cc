// What libuv does before it connects, too.
#include "target.h"

#include <mstcpip.h>

#include <cstring>

#include "windows_io.h"

namespace zerio {
namespace {

constexpr uint8_t kLoopbackNetwork = 127;
constexpr size_t kIpv4At = 12;  // in an IPv4-mapped address

template <class Name>
[[nodiscard]] Name& as(Address& address) {
  return *reinterpret_cast<Name*>(address.data());
}
template <class Name>
[[nodiscard]] const Name& as(const Address& address) {
  return *reinterpret_cast<const Name*>(address.data());
}

// The first byte of an IPv4 address, which is in network order.
[[nodiscard]] uint8_t network_of(const void* ipv4) { return *static_cast<const uint8_t*>(ipv4); }

void replace_unspecified(void* ipv4) {
  uint32_t host = 0;
  std::memcpy(&host, ipv4, sizeof host);
  if (host != htonl(INADDR_ANY)) return;
  host = htonl(INADDR_LOOPBACK);
  std::memcpy(ipv4, &host, sizeof host);
}

}  // namespace

Target::Target(const Address& address) : address_(address) {
  if (address.is_ipv6()) {
    in6_addr& host = as<sockaddr_in6>(address_).sin6_addr;
    if (IN6_IS_ADDR_UNSPECIFIED(&host)) host = in6addr_loopback;
    if (IN6_IS_ADDR_V4MAPPED(&host)) replace_unspecified(host.s6_addr + kIpv4At);
  } else {
    replace_unspecified(&as<sockaddr_in>(address_).sin_addr);
  }
}

bool Target::is_loopback() const {
  if (!address_.is_ipv6()) return network_of(&as<sockaddr_in>(address_).sin_addr) == kLoopbackNetwork;
  const in6_addr& host = as<sockaddr_in6>(address_).sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&host) || (IN6_IS_ADDR_V4MAPPED(&host) && network_of(host.s6_addr + kIpv4At) == kLoopbackNetwork);
}

int Target::prepare(SOCKET socket, const Address& source) const {
  if (address_.is_ipv6()) {
    // Without it a socket reaches no IPv4-mapped address. Systems without IPv4 refuse it, and need it not.
    const DWORD no = 0;
    (void)setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, reinterpret_cast<const char*>(&no), sizeof no);
  }
  if (is_loopback()) {
    // Windows sends SYN again after a refusal, for two seconds. On loopback nothing is lost, so one SYN is enough. Before build
    // 16299 (version 1709) the system does not know it; then a refusal takes its time.
    TCP_INITIAL_RTO_PARAMETERS once = {TCP_INITIAL_RTO_UNSPECIFIED_RTT, TCP_INITIAL_RTO_NO_SYN_RETRANSMISSIONS};
    DWORD bytes = 0;
    (void)WSAIoctl(socket, SIO_TCP_INITIAL_RTO, &once, sizeof once, nullptr, 0, &bytes, nullptr, nullptr);
  }
  // ConnectEx needs a bound socket.
  sockaddr_storage any = {};
  any.ss_family = static_cast<decltype(any.ss_family)>(family());
  const int any_size = address_.is_ipv6() ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  const bool is_given = source.size() > 0;
  const auto* const name = is_given ? reinterpret_cast<const sockaddr*>(source.data()) : reinterpret_cast<const sockaddr*>(&any);
  return bind(socket, name, is_given ? static_cast<int>(source.size()) : any_size) == 0 ? 0 : last_error_number();
}

}  // namespace zerio
