// The status of a completed request: now a number of Winsock, now one of the kernel, because Windows gives both.
#pragma once

#include <winsock2.h>

namespace zerio::emulator {

[[nodiscard]] inline LONG status_of(int winsock_error) {
  static bool kernel = false;
  if (winsock_error == 0) return 0;
  kernel = !kernel;
  if (!kernel) return winsock_error;
  switch (winsock_error) {
    case WSAECONNRESET:
      return static_cast<LONG>(0xC000020DU);  // STATUS_CONNECTION_RESET
    case WSA_OPERATION_ABORTED:
      return static_cast<LONG>(0xC0000120U);  // STATUS_CANCELLED
    case WSAECONNABORTED:
      return static_cast<LONG>(0xC0000241U);  // STATUS_CONNECTION_ABORTED
    case WSAETIMEDOUT:
      return static_cast<LONG>(0xC00000B5U);  // STATUS_IO_TIMEOUT
    case WSAESHUTDOWN:
      return static_cast<LONG>(0xC000013BU);  // STATUS_LOCAL_DISCONNECT
    default:
      return winsock_error;
  }
}

}  // namespace zerio::emulator
