#include "spin_window.h"

#include <algorithm>

namespace zerio {

void LearnedGaps::add(uint64_t gap_ns, bool is_known, bool was_caught, const Terms& terms) {
  ++events_;
  switch (mode_) {
    case Mode::Learning:
      if (is_known || gap_ns > longest_ns(terms)) note(gap_ns, terms);
      if (noted_ == kGaps) {
        decide(terms);
      } else if (events_ == kLearningMax) {
        rest();
      }
      return;
    case Mode::Following:
      if (is_known) note(gap_ns, terms);
      if (!was_caught) ++misses_;
      if (misses_ > kMissesMax) return learn();
      if (events_ % kGaps == 0) misses_ = 0;
      if (events_ % kLearnEach == 0) decide(terms);
      return;
    case Mode::Resting:
      if (events_ >= rest_) learn();
  }
}

LearnedGaps::Window LearnedGaps::window(const Terms& terms) const {
  switch (mode_) {
    case Mode::Learning:
      return {0, longest_ns(terms)};
    case Mode::Following:
      return window_;
    case Mode::Resting:
      break;
  }
  return {0, 0};
}

void LearnedGaps::learn() {
  mode_ = Mode::Learning;
  events_ = noted_ = misses_ = 0;
}

void LearnedGaps::rest() {
  mode_ = Mode::Resting;
  events_ = 0;
  rest_ = std::min(2 * rest_, kRestMax);
}

void LearnedGaps::note(uint64_t gap_ns, const Terms& terms) {
  gaps_[noted_ % kGaps] = gap_ns > longest_ns(terms) ? kNothing : static_cast<uint32_t>(gap_ns);
  // It stays in the same place of the next round, so that it never wraps into one that looks new.
  noted_ = noted_ + 1 < 2 * kGaps ? noted_ + 1 : kGaps;
}

// Looks for the window that gains most.
void LearnedGaps::decide(const Terms& terms) {
  Sorted sorted;
  std::copy(gaps_.begin(), gaps_.end(), sorted.begin());
  std::sort(sorted.begin(), sorted.end());
  const auto worth = static_cast<int64_t>(terms.worth_ns);
  Choice best = best_from(sorted, 0, 0, worth);
  for (uint32_t i = 0; terms.sleeps && i < kGaps; ++i) {
    const int64_t from = sorted[i] - static_cast<int64_t>(terms.wake_ns) - kColdNs;
    if (from < kSleepMinNs || sorted[i] == kNothing) continue;
    const Choice choice = best_from(sorted, from, static_cast<int64_t>(terms.late_ns), worth);
    if (choice.gain > best.gain) best = choice;
  }
  if (best.gain <= 0) return rest();
  if (mode_ != Mode::Following) {
    mode_ = Mode::Following;
    events_ = misses_ = 0;
    rest_ = kRestFirst;
  }
  // Longer by a part, because the next gap may be the longest one so far.
  const auto length = static_cast<uint64_t>(best.until - best.from);
  window_.from_ns = static_cast<uint64_t>(best.from);
  window_.until_ns = window_.from_ns + length + length / 4 + 1'000;
}

// The best window that begins here. A loop that sleeps until then is late, and does not spin before.
LearnedGaps::Choice LearnedGaps::best_from(const Sorted& sorted, int64_t from, int64_t late, int64_t worth) {
  Choice best = {0, from, from};
  const auto first = static_cast<uint32_t>(std::lower_bound(sorted.begin(), sorted.end(), from) - sorted.begin());
  // What has not come before the window begins pays for the sleep.
  const int64_t sleeps = from > 0 ? kSleepCostNs * (kGaps - first) : 0;
  int64_t spun = 0;  // for those that come inside of the window
  for (uint32_t last = first; last < kGaps && sorted[last] != kNothing; ++last) {
    const int64_t length = std::max(sorted[last] - from - late, int64_t{0});
    spun += length;
    const int64_t caught = last - first + 1;
    const int64_t gain = worth * caught - spun - length * (kGaps - 1 - last) - sleeps;
    if (gain > best.gain) best = {gain, from, sorted[last]};
  }
  return best;
}

void SpinWindow::on_event(uint64_t now_ns, bool was_caught) {
  if (learns_ && beginning_ns_ != 0) {
    LearnedGaps& gaps = has_sent_ ? after_sent_ : after_event_;
    const bool rested = gaps.rests();
    gaps.add(now_ns - beginning_ns_, is_known_ && was_caught, was_caught, terms_);
    // An hour of late wake-ups shall not decide for ever.
    if (!rested && gaps.rests()) {
      terms_.wake_ns = kWakeFirstNs;
      terms_.late_ns = kLateFirstNs;
    }
  }
  has_sent_ = false;
  is_known_ = was_caught;
  open(after_event_, now_ns);
}

void SpinWindow::on_sent(uint64_t now_ns) {
  if (learns_ && beginning_ns_ != 0) {
    // A program that sends all the time, and gets no answer, must not open the window again each time.
    const bool is_soon = now_ns - beginning_ns_ <= terms_.worth_ns;
    if (is_soon && has_sent_) return;
    if (!is_soon) (has_sent_ ? after_sent_ : after_event_).add_nothing(terms_);
  }
  has_sent_ = is_known_ = true;
  open(after_sent_, now_ns);
}

void SpinWindow::open(const LearnedGaps& gaps, uint64_t now_ns) {
  beginning_ns_ = begin_ns_ = now_ns;
  length_ns_ = terms_.worth_ns;
  if (!learns_) return;
  const LearnedGaps::Window window = gaps.window(terms_);
  // The beginning was up to a wake-up earlier when the loop was asleep.
  const uint64_t early_ns = is_known_ ? 0 : std::min(terms_.wake_ns, window.from_ns);
  begin_ns_ += window.from_ns - early_ns;
  length_ns_ = window.until_ns - window.from_ns + early_ns;
}

void SpinWindow::on_woken(uint64_t late_ns) {
  terms_.late_ns = (7 * terms_.late_ns + std::min(late_ns, kWakeMaxNs)) / 8;
  if (late_ns > terms_.wake_ns) {
    terms_.wake_ns = std::min(terms_.wake_ns + 15 * kWakeStepNs, kWakeMaxNs);
  } else {
    terms_.wake_ns = std::max(terms_.wake_ns - kWakeStepNs, kWakeStepNs);
  }
}

}  // namespace zerio
