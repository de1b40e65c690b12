// Address on Windows, where zerio has no Unix domain sockets (docs/windows.md). libuv has called WSAStartup before any addon is
// loaded.
#include <winsock2.h>
#include <ws2tcpip.h>

#include "../address_bsd.h"

namespace zerio {

bool Address::parse_path(const std::string& /*path*/, Address& /*out*/) { return false; }

Address::Host Address::path_text() const { return {}; }

}  // namespace zerio
