// Limits the reports of what outsiders can cause again and again: a hundred at once, and a hundred in a second. What happens
// beyond that is counted, and the next report carries the count.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

namespace zerio {

class ReportRate {
 public:
  static constexpr uint64_t kAtOnce = 100;
  static constexpr uint64_t kIntervalNs = 10'000'000;

  void add() { ++unreported_; }
  [[nodiscard]] uint32_t unreported() const { return unreported_; }

  // How many a report made now stands for; 0 when there is nothing to report, or no report is due.
  [[nodiscard]] uint32_t take(uint64_t now_ns) {
    if (unreported_ == 0 || full_ns_ > now_ns + (kAtOnce - 1) * kIntervalNs) return 0;
    full_ns_ = std::max(full_ns_, now_ns) + kIntervalNs;
    return std::exchange(unreported_, 0U);
  }
  // The same for a report that is the last one, due or not.
  [[nodiscard]] uint32_t take_all() { return std::exchange(unreported_, 0U); }

 private:
  uint64_t full_ns_ = 0;  // when a hundred reports may be made at once again
  uint32_t unreported_ = 0;
};

}  // namespace zerio
