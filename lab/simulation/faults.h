// What can go wrong in a simulation, and how often. Each seed has faults of its own.
#pragma once

#include <cstdint>

#include "random.h"

namespace zerio::simulation {

// Chances in a thousand, at each occasion.
struct Faults {
  bool on = false;
  uint32_t short_receive = 0;
  uint32_t short_send = 0;
  uint32_t no_buffers = 0;    // a send that takes nothing although there is room
  uint32_t late = 0;          // something that is ready is reported in a later poll
  bool twice = false;         // a connection that is writable again is reported again in the same poll
  uint32_t accept_error = 0;  // EMFILE and its like
  uint32_t attach_error = 0;
  uint32_t listen_error = 0;
  uint32_t connect_error = 0;  // at once, or after a while
  uint32_t send_error = 0;
  uint32_t receive_error = 0;
  uint32_t reset = 0;  // of a connection in the network
  uint32_t stuck = 0;  // a connection over which nothing moves for a while
  uint32_t clock_jump = 0;
  uint32_t slab_refused = 0;
  uint32_t handler_throws = 0;
  uint32_t scribble = 0;  // the program overwrites the control words of a connection

  // Not all of them in one seed, because a frequent fault hides what a rarer one would find.
  static Faults of(Random& random) {
    const auto some = [&random](uint32_t most) -> uint32_t {
      return random.chance(500) ? 0 : static_cast<uint32_t>(random.between(1, most));
    };
    Faults faults;
    faults.on = true;
    faults.short_receive = some(900);
    faults.short_send = some(700);
    faults.no_buffers = some(200);
    faults.late = some(600);
    faults.accept_error = some(200);
    faults.attach_error = some(100);
    faults.listen_error = some(300);
    faults.connect_error = some(200);
    faults.send_error = some(3);
    faults.receive_error = some(3);
    faults.reset = some(20);
    faults.stuck = some(20);
    faults.clock_jump = some(20);
    faults.slab_refused = some(300);
    faults.handler_throws = some(50);
    faults.scribble = random.chance(900) ? 0 : some(20);
    return faults;
  }
};

// The calls of an operating system that can fail. Torture lets one of them fail.
enum class Call : uint8_t { Listen, Connect, ConnectLater, Accept, Attach, Send, Receive };

struct Torture {
  uint64_t fail_at = 0;  // which call fails, counted from 1; 0: none
  uint64_t choice = 0;   // which of its errors
  uint64_t calls = 0;
  bool failed = false;
  Call call = Call::Listen;
  int error = 0;
  uint32_t link = 0xffffffff;

  bool strikes() { return ++calls == fail_at; }
};

// How many errors each call has to choose from, and which.
inline constexpr uint32_t kErrorsOfCall = 3;
[[nodiscard]] int error_of(Call call, uint64_t choice);

}  // namespace zerio::simulation
