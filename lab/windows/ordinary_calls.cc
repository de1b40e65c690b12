// What sockets of Registered I/O do not take, and what sockets of AcceptEx and ConnectEx do not know before they are asked to.
#include <algorithm>

#include "real.h"
#include "rio_system.h"
#include "socket_facts.h"
#include "socket_rules.h"

namespace zerio::emulator {
namespace {

// Ordinary transfers are for ordinary sockets. Returns false, with WSAENOTSOCK.
[[nodiscard]] bool is_ordinary(SOCKET socket) {
  const std::lock_guard lock(mutex);
  if (!registered_sockets.contains(socket)) return true;
  violation("an ordinary call for a socket of Registered I/O");
  return WSASetLastError(WSAENOTSOCK), false;
}

}  // namespace

int WSAAPI ruled_receive(SOCKET socket, WSABUF* spaces, DWORD count, DWORD* bytes, DWORD* flags, WSAOVERLAPPED* overlapped,
                         LPWSAOVERLAPPED_COMPLETION_ROUTINE routine) {
  if (!is_ordinary(socket)) return SOCKET_ERROR;
  {
    const std::lock_guard lock(facts_mutex);
    facts[socket].receive = overlapped;
  }
  return real.receive(socket, spaces, count, bytes, flags, overlapped, routine);
}

int WSAAPI ruled_send(SOCKET socket, WSABUF* slices, DWORD count, DWORD* bytes, DWORD flags, WSAOVERLAPPED* overlapped,
                      LPWSAOVERLAPPED_COMPLETION_ROUTINE routine) {
  return is_ordinary(socket) ? real.send(socket, slices, count, bytes, flags, overlapped, routine) : SOCKET_ERROR;
}

int WSAAPI ruled_plain_receive(SOCKET socket, char* space, int bytes, int flags) {
  return is_ordinary(socket) ? real.plain_receive(socket, space, bytes, flags) : SOCKET_ERROR;
}

int WSAAPI ruled_plain_send(SOCKET socket, const char* slice, int bytes, int flags) {
  return is_ordinary(socket) ? real.plain_send(socket, slice, bytes, flags) : SOCKET_ERROR;
}

int WSAAPI ruled_control(SOCKET socket, long command, u_long* argument) {
  return is_ordinary(socket) ? real.control(socket, command, argument) : SOCKET_ERROR;
}

int WSAAPI ruled_peer_name(SOCKET socket, sockaddr* name, int* bytes) {
  {
    const std::lock_guard lock(facts_mutex);
    if (!facts[socket].knows_peer) return WSASetLastError(WSAENOTCONN), SOCKET_ERROR;
  }
  return real.peer_name(socket, name, bytes);
}

BOOL PASCAL ruled_accept(SOCKET listener, SOCKET socket, void* names, DWORD data_bytes, DWORD local_bytes, DWORD remote_bytes,
                         DWORD* bytes, OVERLAPPED* overlapped) {
  {
    const std::lock_guard lock(mutex);
    const bool registered = registered_sockets.contains(socket);
    if (registered && !registered_sockets.contains(listener)) violation("AcceptEx on a listener without WSA_FLAG_REGISTERED_IO");
  }
  {
    const std::lock_guard lock(facts_mutex);
    facts[socket].joins = true;
    facts[socket].knows_peer = false;
  }
  return real.accept(listener, socket, names, data_bytes, local_bytes, remote_bytes, bytes, overlapped);
}

}  // namespace zerio::emulator
