// The rules of connecting: targets that Windows does not take, and a refusal on this machine that takes two seconds.
#include <ws2tcpip.h>

#include <array>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>

#include "real.h"
#include "report.h"
#include "socket_facts.h"
#include "socket_rules.h"

namespace zerio::emulator {
namespace {

constexpr uint64_t kRefusalNs = 2'000'000'000;
constexpr ULONG_PTR kRefused = 0xC0000236;    // STATUS_CONNECTION_REFUSED
constexpr ULONG_PTR kCancelled = 0xC0000120;  // STATUS_CANCELLED
constexpr ULONG_PTR kPending = 0x103;         // STATUS_PENDING

struct Target {
  bool any = false;
  bool loopback = false;
  bool mapped = false;
};

[[nodiscard]] Target target_of(const sockaddr* name) {
  const auto look_at = [](const unsigned char* ipv4) {
    return Target{.any = ipv4[0] == 0 && ipv4[1] == 0 && ipv4[2] == 0 && ipv4[3] == 0, .loopback = ipv4[0] == 127};
  };
  if (name->sa_family == AF_INET) {
    return look_at(reinterpret_cast<const unsigned char*>(&reinterpret_cast<const sockaddr_in*>(name)->sin_addr));
  }
  const in6_addr& address = reinterpret_cast<const sockaddr_in6*>(name)->sin6_addr;
  if (!IN6_IS_ADDR_V4MAPPED(&address)) {
    return {.any = IN6_IS_ADDR_UNSPECIFIED(&address) != 0, .loopback = IN6_IS_ADDR_LOOPBACK(&address) != 0};
  }
  Target target = look_at(address.s6_addr + 12);
  target.mapped = true;
  return target;
}

// The product's operation completes when `own` has, and not before its time.
struct SlowConnect {
  OVERLAPPED own = {};
  OVERLAPPED* product = nullptr;
  HANDLE port = nullptr;
  ULONG_PTR key = 0;
  bool cancelled = false;
};
std::map<SOCKET, std::shared_ptr<SlowConnect>> slow_connects;

void finish(SOCKET socket, const std::shared_ptr<SlowConnect>& connect) {
  const uint64_t began = now_ns();
  for (;;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const std::lock_guard lock(facts_mutex);
    const bool over = HasOverlappedIoCompleted(&connect->own);
    if (!over) continue;
    const bool refused = connect->own.Internal == kRefused;
    if (refused && !connect->cancelled && now_ns() - began < kRefusalNs) continue;
    connect->product->Internal = connect->cancelled ? kCancelled : connect->own.Internal;
    connect->product->InternalHigh = 0;
    PostQueuedCompletionStatus(connect->port, 0, connect->key, connect->product);
    CloseHandle(reinterpret_cast<HANDLE>(reinterpret_cast<uintptr_t>(connect->own.hEvent) & ~uintptr_t{1}));
    const auto found = slow_connects.find(socket);
    if (found != slow_connects.end() && found->second == connect) slow_connects.erase(found);
    return;
  }
}

}  // namespace

void cancel_slow_connect(SOCKET socket) {
  const auto found = slow_connects.find(socket);
  if (found == slow_connects.end()) return;
  found->second->cancelled = true;
  (void)real.cancel(reinterpret_cast<HANDLE>(socket), nullptr);
}

BOOL PASCAL ruled_connect(SOCKET socket, const sockaddr* name, int bytes, void* data, DWORD data_bytes, DWORD* sent,
                          OVERLAPPED* overlapped) {
  const Target target = target_of(name);
  std::unique_lock lock(facts_mutex);
  facts[socket].joins = true;
  facts[socket].knows_peer = false;
  const SocketFacts it = facts[socket];
  if (target.any) return WSASetLastError(WSAEADDRNOTAVAIL), FALSE;
  if (target.mapped && it.v6_only) return WSASetLastError(WSAENETUNREACH), FALSE;
  if (!target.loopback || it.fails_fast || it.port == nullptr) {
    lock.unlock();
    return real.connect(socket, name, bytes, data, data_bytes, sent, overlapped);
  }
  auto connect = std::make_shared<SlowConnect>();
  connect->product = overlapped;
  connect->port = it.port;
  connect->key = it.key;
  connect->own.hEvent = reinterpret_cast<HANDLE>(reinterpret_cast<uintptr_t>(CreateEventW(nullptr, TRUE, FALSE, nullptr)) | 1);
  overlapped->Internal = kPending;
  if (real.connect(socket, name, bytes, data, data_bytes, sent, &connect->own) == FALSE && WSAGetLastError() != WSA_IO_PENDING) {
    if (WSAGetLastError() != WSAECONNREFUSED) return FALSE;
    connect->own.Internal = kRefused;
  }
  slow_connects[socket] = connect;
  std::thread(finish, socket, connect).detach();
  return WSASetLastError(WSA_IO_PENDING), FALSE;
}

}  // namespace zerio::emulator
