// The rules of binding, listening and closing.
#include "socket_rules.h"

// After winsock2.h.
#include <mstcpip.h>
#include <ws2tcpip.h>

#include "real.h"
#include "rio_system.h"
#include "socket_facts.h"

namespace zerio::emulator {

std::recursive_mutex facts_mutex;
std::map<SOCKET, SocketFacts> facts;

namespace {

constexpr int kPlainBacklogMax = 200;
constexpr uint64_t kTimeWaitNs = 120'000'000'000;

struct Port {
  uint32_t connections = 0;
  uint64_t left_ns = 0;  // when the last one was closed
};
std::map<uint16_t, Port> accepted;

[[nodiscard]] uint16_t port_of(const sockaddr* name) {
  const bool ipv6 = name->sa_family == AF_INET6;
  return ntohs(ipv6 ? reinterpret_cast<const sockaddr_in6*>(name)->sin6_port
                    : reinterpret_cast<const sockaddr_in*>(name)->sin_port);
}

[[nodiscard]] uint16_t local_port(SOCKET socket) {
  sockaddr_storage name = {};
  int bytes = sizeof name;
  return getsockname(socket, reinterpret_cast<sockaddr*>(&name), &bytes) == 0 ? port_of(reinterpret_cast<sockaddr*>(&name)) : 0;
}

}  // namespace

SOCKET WSAAPI ruled_socket(int family, int type, int protocol, WSAPROTOCOL_INFOW* info, GROUP group, DWORD flags) {
  const SOCKET socket = real.socket(family, type, protocol, info, group, flags & ~kSocketFlag);
  if (socket == INVALID_SOCKET) return socket;
  {
    const std::lock_guard lock(facts_mutex);
    facts[socket] = {.family = family};
  }
  const std::lock_guard lock(mutex);
  if ((flags & kSocketFlag) != 0) registered_sockets.insert(socket);
  return socket;
}

int WSAAPI ruled_close(SOCKET socket) {
  bool reset = false;
  {
    const std::lock_guard lock(facts_mutex);
    cancel_slow_connect(socket);
    const SocketFacts it = facts[socket];
    reset = it.receive != nullptr && !HasOverlappedIoCompleted(it.receive) && !it.shut;
    if (it.accepted_on != 0) {
      Port& port = accepted[it.accepted_on];
      --port.connections;
      port.left_ns = now_ns();
    }
    facts.erase(socket);
  }
  const std::lock_guard lock(mutex);
  registered_sockets.erase(socket);
  reset = close_requests(socket) || reset;
  const linger now = {1, 0};
  if (reset) (void)real.set_option(socket, SOL_SOCKET, SO_LINGER, reinterpret_cast<const char*>(&now), sizeof now);
  return real.close(socket);
}

int WSAAPI ruled_set_option(SOCKET socket, int level, int name, const char* value, int bytes) {
  {
    const std::lock_guard lock(facts_mutex);
    const bool on = value != nullptr && bytes >= static_cast<int>(sizeof(int)) && *reinterpret_cast<const int*>(value) != 0;
    SocketFacts& it = facts[socket];
    if (level == SOL_SOCKET && name == SO_EXCLUSIVEADDRUSE) it.exclusive = on;
    if (level == SOL_SOCKET && name == SO_REUSEADDR && on) violation("SO_REUSEADDR lets two programs have one port");
    if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY) it.v6_only = on;
    if (level == SOL_SOCKET && name == SO_UPDATE_CONNECT_CONTEXT) it.knows_peer = true;
    if (level == SOL_SOCKET && name == SO_UPDATE_ACCEPT_CONTEXT) {
      it.knows_peer = true;
      it.accepted_on = local_port(*reinterpret_cast<const SOCKET*>(value));
      ++accepted[it.accepted_on].connections;
    }
  }
  return real.set_option(socket, level, name, value, bytes);
}

int WSAAPI ruled_bind(SOCKET socket, const sockaddr* name, int bytes) {
  {
    const std::lock_guard lock(facts_mutex);
    const auto found = accepted.find(port_of(name));
    const bool used =
        found != accepted.end() && (found->second.connections > 0 || now_ns() - found->second.left_ns < kTimeWaitNs);
    if (facts[socket].exclusive && port_of(name) != 0 && used) return WSASetLastError(WSAEADDRINUSE), SOCKET_ERROR;
  }
  return real.bind(socket, name, bytes);
}

// A negative number is a hint: SOMAXCONN_HINT(n).
int WSAAPI ruled_listen(SOCKET socket, int backlog) {
  if (backlog > kPlainBacklogMax && backlog != SOMAXCONN) {
    violation("a backlog above 200 that is not SOMAXCONN_HINT");
    backlog = kPlainBacklogMax;
  }
  return real.listen(socket, backlog < 0 ? -backlog : backlog);
}

int WSAAPI ruled_shutdown(SOCKET socket, int how) {
  {
    const std::lock_guard lock(facts_mutex);
    SocketFacts& it = facts[socket];
    if (!it.knows_peer) return WSASetLastError(WSAENOTCONN), SOCKET_ERROR;
    if (how != SD_RECEIVE) it.shut = true;
  }
  return how == SD_SEND && end_stream(socket) ? 0 : real.shutdown(socket, how);
}

// Registered I/O has no way to cancel its requests.
BOOL WINAPI ruled_cancel(HANDLE handle, OVERLAPPED* overlapped) {
  const auto socket = reinterpret_cast<SOCKET>(handle);
  {
    const std::lock_guard lock(mutex);
    if (by_socket.contains(socket)) return SetLastError(ERROR_NOT_FOUND), FALSE;
  }
  const std::lock_guard lock(facts_mutex);
  cancel_slow_connect(socket);
  return real.cancel(handle, overlapped);
}

HANDLE WINAPI ruled_create_port(HANDLE file, HANDLE port, ULONG_PTR key, DWORD threads) {
  if (file != INVALID_HANDLE_VALUE) {
    const std::lock_guard lock(facts_mutex);
    SocketFacts& it = facts[reinterpret_cast<SOCKET>(file)];
    it.port = port;
    it.key = key;
  }
  return real.create_port(file, port, key, threads);
}

int set_initial_rto(SOCKET socket, const void* parameters, DWORD bytes) {
  const auto* const rto = static_cast<const TCP_INITIAL_RTO_PARAMETERS*>(parameters);
  if (rto == nullptr || bytes < sizeof *rto) return WSASetLastError(WSAEFAULT), SOCKET_ERROR;
  const std::lock_guard lock(facts_mutex);
  facts[socket].fails_fast = rto->MaxSynRetransmissions == TCP_INITIAL_RTO_NO_SYN_RETRANSMISSIONS;
  return 0;
}

}  // namespace zerio::emulator
