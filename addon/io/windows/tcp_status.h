// The system's own view of a TCP connection, as Windows gives it.
#pragma once

#include <winsock2.h>

#include <cstdint>

#include "../tcp_status.h"

namespace zerio {

// Fills in what the system knows, without waiting.
void read_tcp_status(SOCKET socket, TcpStatus& status);

}  // namespace zerio
