// The system's functions that the emulator stands in front of, as the product's import table had them.
#pragma once

#include <winsock2.h>
// After winsock2.h.
#include <mswsock.h>
#include <windows.h>

namespace zerio::emulator {

struct Real {
  decltype(&WSAIoctl) ioctl = nullptr;
  decltype(&closesocket) close = nullptr;
  decltype(&WSASocketW) socket = nullptr;
  decltype(&WSARecv) receive = nullptr;
  decltype(&WSASend) send = nullptr;
  decltype(&::recv) plain_receive = nullptr;
  decltype(&::send) plain_send = nullptr;
  decltype(&ioctlsocket) control = nullptr;
  decltype(&::getpeername) peer_name = nullptr;
  decltype(&::setsockopt) set_option = nullptr;
  decltype(&::bind) bind = nullptr;
  decltype(&::listen) listen = nullptr;
  decltype(&::shutdown) shutdown = nullptr;
  decltype(&CancelIoEx) cancel = nullptr;
  decltype(&CreateIoCompletionPort) create_port = nullptr;
  LPFN_ACCEPTEX accept = nullptr;
  LPFN_CONNECTEX connect = nullptr;
};

extern Real real;

}  // namespace zerio::emulator
