// How much of the time strangers get: listeners, and connections that have not shown yet that they are peers.
//
// To accept costs some 20 microseconds, a handshake and an end as much each, and all peers wait for them. So a poll takes one
// event of strangers, and more only where they have waited so long for it that it is worth more: a program that polls every 10
// milliseconds shall not need a second for a hundred peers. Time in which nobody waited is worth nothing, or the first
// connections after a rest would be taken all at once. And what they bring is limited: a peer is still among the strangers when
// it sends its first messages, and the time that its handlers will need comes on top.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "clock.h"

namespace zerio {

class StrangersShare {
 public:
  // A new poll.
  void renew() {
    begun_ = false;
    bytes_ = 0;
  }

  // Whether there is time for one event more.
  [[nodiscard]] bool has_time() {
    if (begun_ && (left_ns_ == 0 || bytes_ >= kBytesMost)) return false;
    const uint64_t now = monotonic_ns();
    if (begun_) return now - began_ns_ < left_ns_;
    begun_ = true;
    const uint64_t since_ns = now - began_ns_;
    left_ns_ = waited_ && since_ns > kSeldomNs ? std::min(since_ns / kShare, kMostNs) : 0;
    waited_ = false;
    began_ns_ = now;
    return true;
  }

  // One of them has sent so much.
  void add(size_t bytes) { bytes_ += bytes; }

  // Somebody is left for the next poll.
  void keep_waiting() { waited_ = true; }

 private:
  static constexpr uint64_t kShare = 4;
  static constexpr uint64_t kSeldomNs = 1'000'000;
  static constexpr uint64_t kMostNs = 1'000'000;
  // A hundred HELLOs, or a thousand empty messages.
  static constexpr size_t kBytesMost = 4096;

  bool begun_ = false;
  bool waited_ = false;
  uint64_t began_ns_ = 0;
  uint64_t left_ns_ = 0;
  size_t bytes_ = 0;
};

}  // namespace zerio
