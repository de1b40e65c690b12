// What a program reads of one connection at once: an array of float64, of which each reading begins with the one before.
#pragma once

#include <cstdint>
#include <span>

#include "../io/tcp_status.h"
#include "layout.h"

namespace zerio {

// Places in the array. src/engine/layout.ts mirrors them, and src/diagnostics.ts explains each.
enum class StatusField : uint32_t {
  Connection = 0,
  AtNs = 1,
  PingUs = 2,
  MessagesIn = 3,
  MessagesOut = 4,
  BytesIn = 5,
  BytesOut = 6,
  MessagesInPerSecond = 7,
  MessagesOutPerSecond = 8,
  BytesInPerSecond = 9,
  BytesOutPerSecond = 10,
  PendingBytes = 11,
  UnacknowledgedBytes = 12,
  KernelRttUs = 13,
  KernelRttDeviationUs = 14,
  KernelRttMinUs = 15,
  Retransmits = 16,
  RetransmittedBytes = 17,
  CongestionWindowBytes = 18,
  Count = 19,  // of the places
};

class StatusArray {
 public:
  static constexpr size_t kCount = static_cast<size_t>(StatusField::Count);

  explicit StatusArray(std::span<double, kCount> values) : values_(values) {}

  // Writes what JavaScript has counted and what the engine has. Rates are means since the reading that the array holds, when that
  // is one of the same connection.
  void write(uint32_t connection, std::span<const double, layout::kSlotCounters> counters, double pending_bytes, double now_ns) {
    constexpr double kNsPerSecond = 1e9;
    const double seconds = at(StatusField::Connection) == connection ? (now_ns - at(StatusField::AtNs)) / kNsPerSecond : 0;
    count(StatusField::MessagesIn, StatusField::MessagesInPerSecond, counters[layout::kSlotCounterMessagesReceived], seconds);
    count(StatusField::MessagesOut, StatusField::MessagesOutPerSecond, counters[layout::kSlotCounterMessagesSent], seconds);
    count(StatusField::BytesIn, StatusField::BytesInPerSecond, counters[layout::kSlotCounterBytesReceived], seconds);
    count(StatusField::BytesOut, StatusField::BytesOutPerSecond, counters[layout::kSlotCounterBytesSent], seconds);
    at(StatusField::Connection) = connection;
    at(StatusField::AtNs) = now_ns;
    const double ping_us = counters[layout::kSlotPingUs];
    at(StatusField::PingUs) = ping_us > 0 ? ping_us : TcpStatus::kUnknown;
    at(StatusField::PendingBytes) = pending_bytes;
  }

  void write(const TcpStatus& tcp) {
    at(StatusField::UnacknowledgedBytes) = tcp.unacknowledged_bytes;
    at(StatusField::KernelRttUs) = tcp.rtt_us;
    at(StatusField::KernelRttDeviationUs) = tcp.rtt_deviation_us;
    at(StatusField::KernelRttMinUs) = tcp.rtt_min_us;
    at(StatusField::Retransmits) = tcp.retransmits;
    at(StatusField::RetransmittedBytes) = tcp.retransmitted_bytes;
    at(StatusField::CongestionWindowBytes) = tcp.congestion_window_bytes;
  }

 private:
  [[nodiscard]] double& at(StatusField field) { return values_[static_cast<size_t>(field)]; }

  void count(StatusField total, StatusField rate, double now, double seconds) {
    at(rate) = seconds > 0 ? (now - at(total)) / seconds : TcpStatus::kUnknown;
    at(total) = now;
  }

  std::span<double, kCount> values_;
};

}  // namespace zerio
