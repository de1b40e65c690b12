// What the rules of sockets must know of each socket of the product.
#pragma once

#include <winsock2.h>
// After winsock2.h.
#include <windows.h>

#include <cstdint>
#include <map>
#include <mutex>

namespace zerio::emulator {

struct SocketFacts {
  int family = 0;
  bool shut = false;
  bool exclusive = false;
  bool v6_only = true;
  bool joins = false;       // AcceptEx or ConnectEx was called with it
  bool knows_peer = true;   // false from then to SO_UPDATE_ACCEPT_CONTEXT or SO_UPDATE_CONNECT_CONTEXT
  bool fails_fast = false;  // SIO_TCP_INITIAL_RTO was set
  uint16_t accepted_on = 0;
  const OVERLAPPED* receive = nullptr;
  HANDLE port = nullptr;
  ULONG_PTR key = 0;
};

// Both are used with `facts_mutex` locked.
extern std::recursive_mutex facts_mutex;
extern std::map<SOCKET, SocketFacts> facts;

// A connect that is carried out for the product completes as cancelled.
void cancel_slow_connect(SOCKET socket);

}  // namespace zerio::emulator
