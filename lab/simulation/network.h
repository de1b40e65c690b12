// A network of byte streams in memory: connections, listeners and a clock. Nothing moves by itself, only step() moves bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "faults.h"
#include "random.h"
#include "trace.h"

namespace zerio::simulation {

class ByteQueue {
 public:
  [[nodiscard]] size_t size() const { return bytes_.size() - first_; }
  [[nodiscard]] bool empty() const { return size() == 0; }
  void push(const uint8_t* bytes, size_t count);
  void pop(uint8_t* out, size_t count);
  // Moves bytes to the end of another queue.
  void move_to(ByteQueue& other, size_t count);
  void clear();

 private:
  std::vector<uint8_t> bytes_;
  size_t first_ = 0;
};

// One direction of a connection.
struct Pipe {
  ByteQueue wire;   // taken from the sender, on its way
  ByteQueue inbox;  // arrived, not read yet
  size_t wire_max = 0;
  size_t inbox_max = 0;
  bool end_sent = false;
  bool end_arrived = false;
};

struct End {
  bool open = true;
  int error = 0;  // a read gets it behind the inbox, a write at once
};

inline constexpr int kClientSide = 0;
inline constexpr int kServerSide = 1;

// One connection. Side 0 has connected, side 1 has accepted; pipes[side] carries what that side sends.
struct Link {
  enum class Phase : uint8_t { Asking, Queued, Accepted, Refused };

  uint32_t id = 0;
  uint16_t port = 0;
  Phase phase = Phase::Asking;
  int connect_error = 0;
  bool slow = false;
  bool raw = false;      // one side is no engine
  bool touched = false;  // by a fault: the connection may end, and what was sent need not arrive
  uint64_t stuck_until_ns = 0;
  Pipe pipes[2];
  End ends[2];

  [[nodiscard]] Pipe& from(int side) { return pipes[side]; }
  [[nodiscard]] Pipe& to(int side) { return pipes[1 - side]; }
};

class Network {
 public:
  Network(Random& random, Trace& trace, const Faults& faults, uint64_t& now_ns)
      : random_(random), trace_(trace), faults_(faults), now_ns_(now_ns) {}

  [[nodiscard]] uint64_t now_ns() const { return now_ns_; }
  [[nodiscard]] Link& link(uint32_t id) { return links_[id]; }
  [[nodiscard]] uint32_t link_count() const { return static_cast<uint32_t>(links_.size()); }

  // 0, or EADDRINUSE. Port 0 takes a free one.
  int listen(uint16_t& port, uint32_t backlog);
  void unlisten(uint16_t port);
  [[nodiscard]] bool has_queued(uint16_t port) const;
  uint32_t accept(uint16_t port);

  uint32_t connect(uint16_t port);

  [[nodiscard]] size_t room(uint32_t id, int side);
  void write(uint32_t id, int side, const uint8_t* bytes, size_t count);
  void finish(uint32_t id, int side);
  void close(uint32_t id, int side, bool reset);
  // Both sides lose the connection.
  void cut(uint32_t id, int error);
  void stick(uint32_t id, uint64_t until_ns);

  // Lets one connection make some progress. False when none can.
  bool step();
  // Something random goes wrong, or nothing.
  void strike();

 private:
  struct Listener {
    uint32_t backlog = 0;
    std::deque<uint32_t> queue;
  };

  [[nodiscard]] bool can_move(const Link& link, int side) const;
  void move(Link& link, int side);
  void arrive_at_listener(Link& link);
  void reset_seen_by(Link& link, int side);

  Random& random_;
  Trace& trace_;
  const Faults& faults_;
  uint64_t& now_ns_;
  std::deque<Link> links_;
  std::vector<uint32_t> live_;  // those that can still change
  std::map<uint16_t, Listener> listeners_;
  uint16_t next_port_ = 1000;
};

}  // namespace zerio::simulation
