// Rules of Windows' sockets that Wine does not have, for both backends.
//
// A socket that is closed while a receive is pending, and whose stream was not ended before, resets its connection.
// SO_EXCLUSIVEADDRUSE refuses a port while connections that were accepted on it are there or were a moment ago. A plain backlog
// ends at 200. A connect to this machine that is refused takes two seconds, unless SIO_TCP_INITIAL_RTO says otherwise. 0.0.0.0
// and :: are no targets, and an IPv6 socket reaches IPv4 only after IPV6_V6ONLY=0. A socket of AcceptEx or ConnectEx is not
// connected for shutdown() and getpeername() before its context is updated, and one of Registered I/O takes no ordinary transfers.
#pragma once

#include <winsock2.h>
// After winsock2.h.
#include <mswsock.h>
#include <windows.h>

namespace zerio::emulator {

// Each stands in front of the function of its name.
int WSAAPI ruled_close(SOCKET socket);
SOCKET WSAAPI ruled_socket(int family, int type, int protocol, WSAPROTOCOL_INFOW* info, GROUP group, DWORD flags);
int WSAAPI ruled_receive(SOCKET socket, WSABUF* spaces, DWORD count, DWORD* bytes, DWORD* flags, WSAOVERLAPPED* overlapped,
                         LPWSAOVERLAPPED_COMPLETION_ROUTINE routine);
int WSAAPI ruled_send(SOCKET socket, WSABUF* slices, DWORD count, DWORD* bytes, DWORD flags, WSAOVERLAPPED* overlapped,
                      LPWSAOVERLAPPED_COMPLETION_ROUTINE routine);
int WSAAPI ruled_plain_receive(SOCKET socket, char* space, int bytes, int flags);
int WSAAPI ruled_plain_send(SOCKET socket, const char* slice, int bytes, int flags);
int WSAAPI ruled_control(SOCKET socket, long command, u_long* argument);
int WSAAPI ruled_peer_name(SOCKET socket, sockaddr* name, int* bytes);
int WSAAPI ruled_set_option(SOCKET socket, int level, int name, const char* value, int bytes);
int WSAAPI ruled_bind(SOCKET socket, const sockaddr* name, int bytes);
int WSAAPI ruled_listen(SOCKET socket, int backlog);
int WSAAPI ruled_shutdown(SOCKET socket, int how);
BOOL WINAPI ruled_cancel(HANDLE handle, OVERLAPPED* overlapped);
HANDLE WINAPI ruled_create_port(HANDLE file, HANDLE port, ULONG_PTR key, DWORD threads);
BOOL PASCAL ruled_accept(SOCKET listener, SOCKET socket, void* names, DWORD data_bytes, DWORD local_bytes, DWORD remote_bytes,
                         DWORD* bytes, OVERLAPPED* overlapped);
BOOL PASCAL ruled_connect(SOCKET socket, const sockaddr* name, int bytes, void* data, DWORD data_bytes, DWORD* sent,
                          OVERLAPPED* overlapped);
// SIO_TCP_INITIAL_RTO, which Wine does not know.
int set_initial_rto(SOCKET socket, const void* parameters, DWORD bytes);

}  // namespace zerio::emulator
