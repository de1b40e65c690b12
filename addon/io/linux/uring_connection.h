// What the io_uring backend knows of one connection.
#pragma once

#include <cstdint>

#include "../interest.h"
#include "../posix/socket.h"

namespace zerio {

// Whether a connection's receives bring little. A single large one refutes it; many small ones in a row are needed to show it,
// because a peer that sends without end, too, has nothing to send now and then.
class SmallReceives {
 public:
  [[nodiscard]] bool shown() const { return in_a_row_ == kNeeded; }
  void add() {
    if (in_a_row_ < kNeeded) ++in_a_row_;
  }
  void refute() { in_a_row_ = 0; }

 private:
  static constexpr uint8_t kNeeded = 8;
  uint8_t in_a_row_ = 0;
};

struct UringConnection {
  Descriptor fd;
  uint32_t life = 0;
  bool is_newcomer = true;  // and so in the newcomers' set, and without a receive of the ring
  bool connecting = false;
  bool receiving = true;
  bool paused = false;         // it does not receive, for a while
  bool receive_armed = false;  // the ring has a receive
  Interest watched;            // for room in the socket's buffer, and while it is paused for its end
  bool leaving = false;        // the ring's receive is being cancelled
  bool direct = false;         // the ring has no receive, because the hot list receives
  SmallReceives small_receives;

  // Whether what a receive brings is reported.
  [[nodiscard]] bool takes() const { return receiving || paused; }
};

}  // namespace zerio
