// The engine's backend in a simulation. It may do everything that the rules of io.h allow a system, as the seed decides.
//
// With Shape::Readiness a send takes at once what it takes, as with epoll. With Shape::Completion the rest of a send, a close and
// an accept may complete late, and the memory of a send must not change until then.
#pragma once

#include <cerrno>
#include <memory>
#include <vector>

#include "../../addon/io/io.h"
#include "check.h"
#include "faults.h"
#include "network.h"

namespace zerio::simulation {

enum class Shape : uint8_t { Readiness, Completion };

// Counts what has happened, for comparison with the engine's counters.
struct IoCounts {
  uint64_t accepted = 0;
  uint64_t discarded = 0;
  uint64_t attach_failed = 0;
  uint64_t connects = 0;
  uint64_t receives = 0;
  uint64_t bytes_received = 0;
  uint64_t sends = 0;
  uint64_t sends_blocked = 0;
  uint64_t bytes_sent = 0;
  uint64_t reports = 0;  // of anything
};

class SimulatedIo final : public Io {
 public:
  SimulatedIo(uint32_t number, Shape shape, Network& network, Random& random, Trace& trace, const Faults& faults,
              Torture& torture)
      : number_(number), shape_(shape), network_(network), random_(random), trace_(trace), faults_(faults), torture_(torture) {}

  // Whether the wait handle of io.h shows that a poll has something to report.
  [[nodiscard]] bool readable();
  // Whether a poll has something to report, also when the wait handle does not show it because the last poll was a spinning one.
  [[nodiscard]] bool has_ready();

  [[nodiscard]] const IoCounts& counts() const { return counts_; }
  // The connection behind a slot that lives, and which side of it this is.
  [[nodiscard]] uint32_t link_of(uint32_t slot) const { return slots_[slot].link; }
  [[nodiscard]] int side_of(uint32_t slot) const { return slots_[slot].side; }
  // When a slot that lives received last, or began.
  [[nodiscard]] uint64_t heard_ns(uint32_t slot) const { return slots_[slot].heard_ns; }
  // Whether it is broken, so that a paused one is read to its end.
  [[nodiscard]] bool has_broken(uint32_t slot) const;
  [[nodiscard]] bool closing(uint32_t slot) const { return slots_[slot].closing; }
  [[nodiscard]] uint16_t port_of(uint32_t server) const { return listeners_[server].port; }
  // The process dies: the system closes what it had.
  void die();
  // The event Released was dispatched: the slot may be used again.
  void slot_released(uint32_t slot);

  [[nodiscard]] const char* name() const override { return "simulated"; }
  void reserve(uint32_t count) override;
  void remove_slots(uint32_t first) override;
  [[nodiscard]] uint32_t keep_ahead(uint8_t* arena, uint32_t bytes) override;
  [[nodiscard]] bool has_news() const override { return left_over_; }
  int listen(uint32_t server, const Address& address, const ListenOptions& options, Address& bound) override;
  int connect(uint32_t slot, const Address& address, const SocketOptions& options) override;
  void accept_pause(uint32_t server, bool paused) override;
  void unlisten(uint32_t server) override;
  int attach(uint32_t slot, AcceptedSocket socket, const SocketOptions& options) override;
  void discard(AcceptedSocket socket) override;
  void receive_stop(uint32_t slot) override;
  void receive_pause(uint32_t slot, bool paused) override;
  [[nodiscard]] int64_t send(uint32_t slot, const IoSlice* slices, uint32_t count) override;
  [[nodiscard]] bool copies_at_once() const override { return shape_ == Shape::Readiness; }
  [[nodiscard]] uint32_t sends_per_batch() const override { return shape_ == Shape::Completion ? kSendsPerBatchMax : 1; }
  bool is_broken_pipe(int error) const override { return error == EPIPE; }
  void shutdown(uint32_t slot) override;
  [[nodiscard]] bool close(uint32_t slot, bool reset) override;
  void addresses(uint32_t slot, Address& local, Address& remote) const override;
  void poll(IoSink& sink, bool spinning) override;
  [[nodiscard]] int wait_handle() const override { return -1; }
  [[nodiscard]] uint64_t now_ns() const override { return network_.now_ns(); }

 private:
  struct Slot {
    uint32_t link = 0xffffffff;
    int side = kClientSide;
    bool alive = false;  // from connect or attach until the event Released was dispatched
    bool open = false;
    bool connecting = false;
    bool receiving = false;
    bool paused = false;
    bool under_way = false;  // while it is paused: one more receive was made before
    bool blocked = false;    // a send took less than all, and on_sent() was not called since
    bool told_late = false;  // the system has taken so many bytes of it, and has not said so
    size_t taken = 0;
    bool closing = false;  // close() returned false, and on_closed() was not called since
    bool finished = false;
    bool end_reported = false;
    uint64_t heard_ns = 0;
    std::vector<IoSlice> rest;   // of a send that completes late
    std::vector<uint8_t> bytes;  // its content when the send was made
  };
  struct Listening {
    bool open = false;
    bool paused = false;
    uint16_t port = 0;
  };
  enum class Ready : uint8_t { Listener, Closing, Connecting, Blocked, Readable, Failed };
  struct Item {
    Ready ready;
    uint32_t index;
  };

  bool fails(Call call, uint32_t per_mille, uint32_t link, int& error);
  void begin(uint32_t slot, uint32_t link, int side);
  [[nodiscard]] bool connect_done(const Slot& slot) const;
  [[nodiscard]] bool can_take(const Slot& slot) const;
  [[nodiscard]] bool has_input(const Slot& slot) const;
  [[nodiscard]] bool reads(const Slot& slot) const;
  [[nodiscard]] bool has_failed(const Slot& slot) const;
  void collect();
  void report(IoSink& sink, const Item& item);
  void accept(IoSink& sink, uint32_t server);
  void finish_connect(IoSink& sink, uint32_t slot);
  void go_on_sending(IoSink& sink, uint32_t slot);
  bool receive(IoSink& sink, uint32_t slot);
  void check_unchanged(const Slot& slot) const;
  size_t take(Slot& slot, const IoSlice* slices, uint32_t count, size_t most);

  uint32_t number_;
  Shape shape_;
  Network& network_;
  Random& random_;
  Trace& trace_;
  const Faults& faults_;
  Torture& torture_;
  IoCounts counts_;
  std::vector<Slot> slots_;
  std::vector<Listening> listeners_;
  std::vector<Item> ready_;
  IoSpace ahead_ = {nullptr, 0};  // the part of the arena that is kept for receives that are made ahead
  size_t ahead_used_ = 0;         // since the last poll
  bool all_ahead_ = false;        // every receive until the next poll
  bool left_over_ = false;        // by the last poll, which the wait handle does not show
  bool deaf_ = false;             // the last poll was a spinning one, and what is ready now does not show
};

}  // namespace zerio::simulation
