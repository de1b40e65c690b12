// What Windows knows of a TCP connection: SIO_TCP_INFO, from Windows 10 version 1703 on.
#include "tcp_status.h"

namespace zerio {
namespace {

// Not in every SDK: TCP_INFO_v0 of mstcpip.h.
constexpr DWORD kSioTcpInfo = _WSAIORW(IOC_VENDOR, 39);
struct TcpInfo {
  int32_t state;
  ULONG mss;
  ULONG64 connection_time_ms;
  BOOLEAN timestamps_enabled;
  ULONG rtt_us;
  ULONG min_rtt_us;  // all ones while there is none
  ULONG bytes_in_flight;
  ULONG cwnd;
  ULONG windows[3];
  ULONG64 bytes_out;
  ULONG64 bytes_in;
  ULONG bytes_reordered;
  ULONG bytes_retrans;
  ULONG events[3];
  UCHAR syn_retrans;
};
static_assert(sizeof(TcpInfo) == 88);

}  // namespace

void read_tcp_status(SOCKET socket, TcpStatus& status) {
  DWORD version = 0;
  TcpInfo info = {};
  DWORD bytes = 0;
  if (WSAIoctl(socket, kSioTcpInfo, &version, sizeof version, &info, sizeof info, &bytes, nullptr, nullptr) != 0) return;
  if (bytes < sizeof info) return;
  constexpr ULONG kNoMinimum = 0xffffffff;
  status.unacknowledged_bytes = info.bytes_in_flight;
  status.rtt_us = info.rtt_us;
  if (info.min_rtt_us != kNoMinimum) status.rtt_min_us = info.min_rtt_us;
  status.retransmitted_bytes = info.bytes_retrans;
  status.congestion_window_bytes = info.cwnd;
}

}  // namespace zerio
