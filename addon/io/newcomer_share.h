// How much of a poll newcomers get. Listeners count among them, because what they bring is newcomers.
//
// An accept takes some 20 microseconds, a handshake and an end as much each, and all peers wait meanwhile. So a poll takes one
// event of newcomers, and more only in proportion to the time that newcomers have waited: a program that polls every 10
// milliseconds shall not need a second for a hundred peers. Time in which no newcomer waited does not count, because otherwise
// the first connections after a pause would all be taken at once. The bytes that newcomers bring are limited, too: a peer still
// is a newcomer when it sends its first messages, and the time of their handlers comes on top.
//
// When no peer has sent anything for a while, newcomers get a short time in each poll nevertheless. One at a time would cost both
// sides a wait and a wake-up for each step: half of the processor was idle then.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "clock.h"

namespace zerio {

class NewcomerShare {
 public:
  // A new poll.
  void renew() {
    begun_ = false;
    bytes_ = 0;
  }

  // Whether there is time for one event more.
  [[nodiscard]] bool has_time() {
    if (begun_ && (left_ns_ == 0 || bytes_ >= kBytesMax)) return false;
    const uint64_t now = monotonic_ns();
    if (begun_) return now - began_ns_ < left_ns_;
    begun_ = true;
    const uint64_t since_ns = now - began_ns_;
    if (spoken_) spoken_ns_ = now;
    spoken_ = false;
    left_ns_ = waited_ && since_ns > kSeldomNs ? std::min(since_ns / kShare, kTimeMaxNs) : 0;
    if (now - spoken_ns_ > kQuietNs) left_ns_ = std::max(left_ns_, kQuietTimeNs);
    waited_ = false;
    began_ns_ = now;
    return true;
  }

  // A newcomer has sent so many bytes.
  void add(size_t bytes) { bytes_ += bytes; }

  // A peer has sent something.
  void peer_spoke() { spoken_ = true; }

  // An event of newcomers is left for the next poll.
  void keep_waiting() { waited_ = true; }

 private:
  // Newcomers that had to wait get one part in so many of the time since the last poll, if that was longer ago than kSeldomNs.
  static constexpr uint64_t kShare = 4;
  static constexpr uint64_t kSeldomNs = 1'000'000;
  static constexpr uint64_t kTimeMaxNs = 1'000'000;
  // Peers that were silent for so long wait so much at most.
  static constexpr uint64_t kQuietNs = 1'000'000;
  static constexpr uint64_t kQuietTimeNs = 250'000;
  // A hundred HELLOs, or a thousand empty messages.
  static constexpr size_t kBytesMax = 4096;

  bool begun_ = false;
  bool spoken_ = false;
  uint64_t spoken_ns_ = 0;
  bool waited_ = false;
  uint64_t began_ns_ = 0;
  uint64_t left_ns_ = 0;
  size_t bytes_ = 0;
};

}  // namespace zerio
