// When a loop spins: a time after the last event, which is fixed or learned from the gaps between events.
//
// Sleeping costs a wake-up, which is late. Spinning costs the processor. A learned window begins before the next event is
// probably due, so that the loop sleeps first, and ends when one is not to be expected any more. It is the one that gains most
// over the last gaps, if each wake-up that it avoids is worth a fixed time of spinning: so a loop whose events come seldom, and
// at any time, does not spin at all.
//
// Only a loop that spins knows when something has come: one that was asleep finds it late. So it spins through some gaps to learn
// them, and again when too many events come while it sleeps; if no window pays, it waits longer and longer before it tries again.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace zerio {

// The gaps between one kind of beginning and the next event, and the window that they ask for, in nanoseconds after the
// beginning.
class LearnedGaps {
 public:
  // What is the same for all gaps of a loop.
  struct Terms {
    uint64_t worth_ns;  // of a wake-up that is avoided, in time spent spinning
    uint64_t wake_ns;   // how late a sleep ends at most, as a rule
    uint64_t late_ns;   // how late it ends on average
    bool sleeps;        // whether the loop can sleep until a window begins
  };
  struct Window {
    uint64_t from_ns;
    uint64_t until_ns;
  };

  // One more gap. `is_known`: the loop has seen both ends as they happened. `was_caught`: it has seen the event as it came.
  void add(uint64_t gap_ns, bool is_known, bool was_caught, const Terms& terms);
  // Nothing has come for so long, and another beginning follows.
  void add_nothing(const Terms& terms) { add(kNothing, false, false, terms); }
  [[nodiscard]] Window window(const Terms& terms) const;
  // Whether no window pays, as far as is known.
  [[nodiscard]] bool rests() const { return mode_ == Mode::Resting; }

 private:
  enum class Mode : uint8_t {
    Learning,   // spins through all gaps
    Following,  // spins in the window
    Resting,    // does not spin
  };
  static constexpr uint32_t kGaps = 32;
  static constexpr uint32_t kLearnEach = 8;
  // A program that is always busy sees nothing as it comes.
  static constexpr uint32_t kLearningMax = 3 * kGaps;
  static constexpr uint32_t kMissesMax = kGaps / 2;
  static constexpr uint32_t kRestFirst = 64;
  static constexpr uint32_t kRestMax = 16'384;
  // Longer gaps are as good as nothing: so many times what a wake-up is worth.
  static constexpr uint64_t kLongestOfWorth = 40;
  static constexpr uint32_t kNothing = 0xffffffff;
  static uint64_t longest_ns(const Terms& terms) { return std::min(kLongestOfWorth * terms.worth_ns, uint64_t{kNothing} - 1); }
  // What a sleep costs the processor, and the shortest one that is made.
  static constexpr int64_t kSleepCostNs = 5'000;
  static constexpr int64_t kSleepMinNs = 15'000;
  // The window begins so much earlier than the loop has to wake up: what it touches first is cold after a sleep.
  static constexpr int64_t kColdNs = 5'000;

  using Sorted = std::array<int64_t, kGaps>;
  struct Choice {
    int64_t gain;
    int64_t from;
    int64_t until;
  };

  static Choice best_from(const Sorted& sorted, int64_t from, int64_t late, int64_t worth);
  void note(uint64_t gap_ns, const Terms& terms);
  void decide(const Terms& terms);
  void learn();
  void rest();

  std::array<uint32_t, kGaps> gaps_ = {};
  uint32_t noted_ = 0;
  uint32_t events_ = 0;  // in this mode
  uint32_t misses_ = 0;
  uint32_t rest_ = kRestFirst;
  Mode mode_ = Mode::Learning;
  Window window_ = {0, 0};
};

class SpinWindow {
 public:
  static constexpr uint64_t kNever = ~uint64_t{0};

  // 0 for one that is empty.
  static SpinWindow fixed(uint64_t spin_ns) { return {spin_ns, false}; }
  static SpinWindow learned(uint64_t worth_ns) { return {worth_ns, true}; }

  [[nodiscard]] bool learns() const { return learns_; }
  // Whether any time is inside of it.
  [[nodiscard]] bool exists() const { return terms_.worth_ns > 0; }

  // Something has come. `was_caught`: the loop has seen it as it came.
  void on_event(uint64_t now_ns, bool was_caught);
  // The program has sent something, on which an answer may follow.
  void on_sent(uint64_t now_ns);
  // A sleep until begins_ns() has ended.
  void on_woken(uint64_t late_ns);
  // The loop cannot sleep until an exact time.
  void sleep_fails() { terms_.sleeps = false; }

  [[nodiscard]] bool contains(uint64_t now_ns) const { return now_ns - begin_ns_ < length_ns_; }
  // When it begins, if that is still to come; otherwise kNever.
  [[nodiscard]] uint64_t begins_ns(uint64_t now_ns) const { return length_ns_ > 0 && now_ns < begin_ns_ ? begin_ns_ : kNever; }

 private:
  SpinWindow(uint64_t spin_ns, bool learns) : learns_(learns), terms_{spin_ns, kWakeFirstNs, kLateFirstNs, true} {}

  void open(const LearnedGaps& gaps, uint64_t now_ns);

  // A sleep ends at most this late fifteen times in sixteen: each one moves it a step.
  static constexpr uint64_t kWakeFirstNs = 40'000;
  static constexpr uint64_t kLateFirstNs = 20'000;
  static constexpr uint64_t kWakeStepNs = 250;
  static constexpr uint64_t kWakeMaxNs = 200'000;

  bool learns_;
  LearnedGaps::Terms terms_;
  bool has_sent_ = false;  // the present beginning is what the program has sent
  bool is_known_ = false;  // when the present beginning was
  uint64_t beginning_ns_ = 0;
  uint64_t begin_ns_ = 0;
  uint64_t length_ns_ = 0;
  LearnedGaps after_event_;
  LearnedGaps after_sent_;
};

}  // namespace zerio
