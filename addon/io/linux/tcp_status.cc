// What Linux knows of a TCP connection: TCP_INFO, and the socket's send queue.
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstddef>

#include "../posix/socket_calls.h"

namespace zerio {
namespace {

// struct tcp_info of <linux/tcp.h>, which cannot be included beside <netinet/tcp.h>, whose own ends with total_retrans in old C
// libraries. The kernel only adds fields at the end, and says how many bytes it has written.
struct KernelTcpInfo {
  uint8_t states[8];
  uint32_t timeouts[2];
  uint32_t snd_mss;
  uint32_t rcv_mss;
  uint32_t segments[5];
  uint32_t times[4];
  uint32_t pmtu;
  uint32_t rcv_ssthresh;
  uint32_t rtt;
  uint32_t rttvar;
  uint32_t snd_ssthresh;
  uint32_t snd_cwnd;  // segments
  uint32_t advmss;
  uint32_t reordering;
  uint32_t rcv_rtt;
  uint32_t rcv_space;
  uint32_t total_retrans;
  uint64_t rates_and_bytes[4];
  uint32_t segments_out_and_in[2];
  uint32_t notsent_bytes;
  uint32_t min_rtt;  // Linux 4.6; all ones while there is none
  uint32_t data_segments[2];
  uint64_t delivery_rate;
  uint64_t times_busy[3];
  uint32_t delivered[2];
  uint64_t bytes_sent;
  uint64_t bytes_retrans;  // Linux 4.19
};
static_assert(offsetof(KernelTcpInfo, snd_mss) == 16 && offsetof(KernelTcpInfo, rtt) == 68);
static_assert(offsetof(KernelTcpInfo, snd_cwnd) == 80 && offsetof(KernelTcpInfo, total_retrans) == 100);
static_assert(offsetof(KernelTcpInfo, min_rtt) == 148 && offsetof(KernelTcpInfo, bytes_retrans) == 208);

}  // namespace

void read_tcp_status(int fd, TcpStatus& status) {
  KernelTcpInfo info = {};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return;
  const auto has = [size](size_t end) { return size >= end; };
  if (has(offsetof(KernelTcpInfo, total_retrans) + sizeof info.total_retrans)) {
    status.rtt_us = info.rtt;
    status.rtt_deviation_us = info.rttvar;
    status.retransmits = info.total_retrans;
    status.congestion_window_bytes = static_cast<double>(info.snd_cwnd) * info.snd_mss;
  }
  constexpr uint32_t kNoMinimum = 0xffffffff;
  if (has(offsetof(KernelTcpInfo, min_rtt) + sizeof info.min_rtt) && info.min_rtt != kNoMinimum) status.rtt_min_us = info.min_rtt;
  if (has(sizeof info)) status.retransmitted_bytes = static_cast<double>(info.bytes_retrans);
  int queued = 0;
  if (::ioctl(fd, SIOCOUTQ, &queued) == 0) status.unacknowledged_bytes = queued;
}

}  // namespace zerio
