// What the system's TCP knows of a connection. NaN stands for what the system does not say.
#pragma once

#include <limits>

namespace zerio {

struct TcpStatus {
  static constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

  double unacknowledged_bytes = kUnknown;  // that the system took and the other side's has not acknowledged
  double rtt_us = kUnknown;                // smoothed
  double rtt_deviation_us = kUnknown;
  double rtt_min_us = kUnknown;
  double retransmits = kUnknown;  // segments
  double retransmitted_bytes = kUnknown;
  double congestion_window_bytes = kUnknown;
};

}  // namespace zerio
