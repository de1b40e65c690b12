// What macOS and FreeBSD know of a TCP connection. Each is asked for by what only it has; elsewhere, where the tests run this
// file, nothing is known.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#ifdef __FreeBSD__
#include <sys/filio.h>
#endif

#include "../posix/socket_calls.h"

namespace zerio {

#if defined(TCP_CONNECTION_INFO)

// macOS measures round trips in whole milliseconds.
void read_tcp_status(int fd, TcpStatus& status) {
  constexpr double kMicrosecondsPerMillisecond = 1000;
  tcp_connection_info info = {};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_CONNECTION_INFO, &info, &size) != 0 || size < sizeof info) return;
  status.unacknowledged_bytes = info.tcpi_snd_sbbytes;
  status.rtt_us = info.tcpi_srtt * kMicrosecondsPerMillisecond;
  status.rtt_deviation_us = info.tcpi_rttvar * kMicrosecondsPerMillisecond;
  status.retransmits = static_cast<double>(info.tcpi_txretransmitpackets);
  status.retransmitted_bytes = static_cast<double>(info.tcpi_txretransmitbytes);
  status.congestion_window_bytes = info.tcpi_snd_cwnd;
}

#elif defined(__FreeBSD__)

void read_tcp_status(int fd, TcpStatus& status) {
  tcp_info info = {};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return;
  status.rtt_us = info.tcpi_rtt;
  status.rtt_deviation_us = info.tcpi_rttvar;
  status.retransmits = info.tcpi_snd_rexmitpack;
  status.congestion_window_bytes = info.tcpi_snd_cwnd;
  int queued = 0;
  if (::ioctl(fd, FIONWRITE, &queued) == 0) status.unacknowledged_bytes = queued;
}

#else

void read_tcp_status(int /*fd*/, TcpStatus& /*status*/) {}

#endif

}  // namespace zerio
