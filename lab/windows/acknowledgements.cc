// The two models of acknowledgements.
#include "acknowledgements.h"

#include <atomic>
#include <cstdlib>
#include <string_view>

namespace zerio::emulator {
namespace {

constexpr uint64_t kPairBytes = 2 * 1460;
constexpr uint64_t kDelayNs = 40'000'000;
constexpr uint64_t kLateNs = 1'000'000;
constexpr uint64_t kLateWrite = 4;

std::atomic<bool> is_delayed = false;

}  // namespace

void Acknowledgements::wrote(uint64_t bytes, uint64_t now_ns) {
  const bool waits = acknowledged_ < written_;
  written_ += bytes;
  if (!is_delayed) {
    if (++writes_ % kLateWrite == 0 && !waits)
      due_ns_ = now_ns + kLateNs;
    else if (!waits)
      acknowledged_ = written_;
    return;
  }
  const uint64_t even = (written_ - acknowledged_) / kPairBytes * kPairBytes;
  acknowledged_ += even;
  if (even > 0 || !waits) due_ns_ = now_ns + kDelayNs;
}

uint64_t Acknowledgements::acknowledged(uint64_t now_ns) {
  if (acknowledged_ < written_ && now_ns >= due_ns_) acknowledged_ = written_;
  return acknowledged_;
}

void Acknowledgements::delay(bool delayed) { is_delayed = delayed; }

void Acknowledgements::delay_by_environment() {
  const char* const value = std::getenv("ZERIO_RIO_ACKS");
  is_delayed = value != nullptr && std::string_view(value) == "delayed";
}

}  // namespace zerio::emulator
