// A bad network as a program asks for it, and what it decides for one connection: equal seeds decide equally on every machine.
#pragma once

#include <algorithm>
#include <cstdint>

#include "../clock.h"

namespace zerio {

// src/options/conditions.ts says what each one means and which values it has.
struct Conditions {
  uint32_t lag_ms = 0;
  uint32_t jitter_ms = 0;
  uint32_t stall_every_ms = 0;  // 0: never
  uint32_t stall_ms = 0;
  uint32_t reset_percent = 0;
  uint32_t reset_within_ms = 0;
  uint32_t seed = 0;
};

class Decisions {
 public:
  static constexpr uint64_t kNever = ~uint64_t{0};

  Decisions() = default;
  // Of the connection with this number, which exists since `now_ns`.
  Decisions(const Conditions& conditions, uint64_t number, uint64_t now_ns)
      : conditions_(conditions),
        jitter_(conditions.seed, number * kSeries),
        stalls_(conditions.seed, number * kSeries + 1),
        stall_end_ns_(now_ns) {
    Random resets(conditions.seed, number * kSeries + 2);
    const bool is_reset = resets.below(100) < conditions.reset_percent;
    const uint64_t after_ns = resets.below(conditions.reset_within_ms * kMillisecondNs);
    if (is_reset) reset_ns_ = now_ns + after_ns;
    if (stalls()) next_stall();
  }

  // When the connection is to be reset.
  [[nodiscard]] uint64_t reset_ns() const { return reset_ns_; }

  // When the program gets what arrives now: never before what has arrived earlier.
  [[nodiscard]] uint64_t due_ns(uint64_t now_ns) {
    const uint64_t jitter_ns = jitter_.below(conditions_.jitter_ms * kMillisecondNs + 1);
    const uint64_t due_ns = now_ns + conditions_.lag_ms * kMillisecondNs + jitter_ns;
    last_due_ns_ = std::max(last_due_ns_, behind_stall(due_ns));
    return last_due_ns_;
  }

 private:
  // Each connection has a series of numbers for each purpose, so that none depends on how often another one was asked.
  static constexpr uint64_t kSeries = 3;

  // splitmix64 (Steele, Lea, Flood 2014).
  class Random {
   public:
    Random() = default;
    Random(uint64_t seed, uint64_t series) : state_(mixed(seed) ^ mixed(~series)) {}

    // 0 to bound - 1; 0 when the bound is 0.
    uint64_t below(uint64_t bound) {
      state_ += kStep;
      return bound == 0 ? 0 : mixed(state_) % bound;
    }

   private:
    static constexpr uint64_t kStep = 0x9e3779b97f4a7c15;

    static uint64_t mixed(uint64_t value) {
      value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
      value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
      return value ^ (value >> 31);
    }

    uint64_t state_ = 0;
  };

  [[nodiscard]] bool stalls() const { return conditions_.stall_every_ms > 0 && conditions_.stall_ms > 0; }

  // From the end of one stall to the beginning of the next it takes half to three halves of the interval.
  void next_stall() {
    const uint64_t every_ns = conditions_.stall_every_ms * kMillisecondNs;
    stall_begin_ns_ = stall_end_ns_ + every_ns / 2 + stalls_.below(every_ns + 1);
    stall_end_ns_ = stall_begin_ns_ + conditions_.stall_ms * kMillisecondNs;
  }

  [[nodiscard]] uint64_t behind_stall(uint64_t at_ns) {
    if (!stalls()) return at_ns;
    while (stall_end_ns_ <= at_ns) next_stall();
    return at_ns < stall_begin_ns_ ? at_ns : stall_end_ns_;
  }

  Conditions conditions_;
  Random jitter_;
  Random stalls_;
  uint64_t stall_begin_ns_ = 0;
  uint64_t stall_end_ns_ = 0;
  uint64_t last_due_ns_ = 0;
  uint64_t reset_ns_ = kNever;
};

}  // namespace zerio
