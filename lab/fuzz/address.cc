// Address parsing: a host is either refused, or gives an address whose text parses to the same address again.
#include "../../addon/io/address.h"

#include <cstdint>
#include <string>

#include "fuzz.h"

// Input: two bytes of the port, then the host.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const auto port = static_cast<uint16_t>(data[0] | data[1] << 8);
  const std::string host(reinterpret_cast<const char*>(data + 2), size - 2);
  zerio::Address address;
  if (!zerio::Address::parse(host, port, address)) return 0;
  zerio::fuzz::require(address.port() == (address.is_path() ? 0 : port));
  zerio::fuzz::require(address.size() > 0 && address.size() <= zerio::Address::kBytesMax);
  zerio::Address again;
  zerio::fuzz::require(zerio::Address::parse(address.host().text, port, again));
  zerio::fuzz::require(std::string_view(again.host().text) == address.host().text && again.is_ipv6() == address.is_ipv6());
  return 0;
}
