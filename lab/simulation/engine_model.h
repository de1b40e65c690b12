// JavaScript's side of an engine (src/engine/dispatch.ts, server.ts, client.ts) and its place in the event loop
// (addon/binding/loop.cc), in C++. It checks the order of all events, and calls a program that uses the connections at random.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "../../addon/engine/engine.h"
#include "audit.h"
#include "send_ring_model.h"
#include "simulated_io.h"

namespace zerio::simulation {

class EngineModel;

// A message that a paused connection holds back.
struct Held {
  std::vector<uint8_t> bytes;
  uint32_t channel;
};

// A connection as the program sees it: a server's peer, or a client.
struct Connection {
  EngineModel* engine = nullptr;
  uint32_t slot = 0;
  uint32_t server = kNone;  // of a client: kNone
  uint32_t link = 0;        // kNone while a session has no connection
  // The link under which the ledger has what both sides accepted: of a session, that of its first connection.
  uint32_t ledger_link = 0;
  int side = kClientSide;
  bool classic = false;
  uint32_t linger_ms = 0;
  uint32_t idle_timeout_ms = 0;
  uint64_t idle_set_ns = 0;  // when the program changed it
  uint64_t idle_set_in = 0;  // the last poll before that, or before a pause or its end
  bool is_idle = false;      // its Idle event has come, and the program has neither set another limit nor paused it since
  bool receiving = true;
  bool established = false;
  bool held = false;          // it waits for its Reached event
  bool connected = false;     // its Connected event has come
  bool disconnected = false;  // its Disconnected event has come
  bool in_session = false;
  bool half_open = false;    // the other side's end leaves it open
  bool ended = false;        // by the program, which still gets messages
  bool other_ended = false;  // its Ended event has come
  bool end_unsaid = false;   // and waits behind what is held back
  bool suspended = false;    // its session waits for the next connection
  bool moved = false;        // another slot has its session now
  bool paused = false;       // by the program
  uint64_t paused_in = 0;    // the last poll before that
  std::deque<Held> held_back;
  size_t held_bytes = 0;  // headers included
  // Of a client: what it was connected with, and the slot whose session it is to resume.
  ClientOptions options;
  uint16_t port = 0;
  uint64_t received = 0;
  uint64_t asked = 0;  // for PINGs, whose answers have not come
  bool has_topics = false;
  uint32_t topics_asked = 0;            // of a client: the number of its next request
  std::deque<uint32_t> topic_requests;  // of these, those without an answer
  bool took_over = false;               // the session that it was to resume
  std::unique_ptr<SendRingModel> ring;

  // Whether no handler gets what comes, and messages in front of it were dropped: the program has ended it while it held some
  // back, or had ended the session that this was to go on with.
  [[nodiscard]] bool is_unheard() const { return (!receiving && !held_back.empty()) || (options.resumes != kNone && !took_over); }
  // Whether messages may still come.
  [[nodiscard]] bool lives() const { return open() || (ended && receiving && !disconnected); }
  [[nodiscard]] bool open() const { return ring != nullptr && ring->status() == Status::Sent; }
};

// What a program does in its handlers.
class Program {
 public:
  virtual bool authenticate(EngineModel& engine) = 0;
  virtual void connected(Connection& connection) = 0;
  // Returns whether the handler throws.
  virtual bool message(Connection& connection) = 0;
  virtual void drain(Connection& connection) = 0;
  // The other side sends nothing any more.
  virtual void ended(Connection& connection) = 0;
  virtual void disconnected(Connection& connection, uint32_t code, uint32_t error, bool local) = 0;

 protected:
  ~Program() = default;
};

enum class Wait : uint8_t { Blocking, Spin, Hybrid, Manual };

struct EngineShape {
  EngineOptions options;
  uint32_t first_slots = 16;
  uint32_t flush_bytes = 0;
  Wait wait = Wait::Blocking;
};

struct ServerModel {
  bool used = false;
  bool stopping = false;
  uint32_t number = 0;
  uint16_t port = 0;
  ServerOptions options;
  uint64_t refused = 0;
  uint64_t turned_away = 0;  // of these, for lack of room for newcomers
};

// What the program has seen, for comparison with the counters.
struct EngineTally {
  uint64_t events = 0;
  uint64_t messages = 0;
  uint64_t connected = 0;
  uint64_t disconnected = 0;
  uint64_t refused = 0;
  uint64_t released = 0;
  uint64_t connect_failed = 0;
  uint64_t accept_errors = 0;
  uint64_t denied = 0;        // verdicts against a connection
  uint64_t unauthorized = 0;  // refusals for that reason
};

// Whether an event reports a timeout of this side. Where the other side has sent the code, the event has the place of its reason.
[[nodiscard]] bool reports_timeout(const int32_t* event);

class EngineModel final : private RingEngine {
 public:
  EngineModel(uint32_t its_number, const EngineShape& shape, std::unique_ptr<SimulatedIo> io, Network& network, Ledger& ledger,
              Random& random, Trace& trace, const Faults& faults, Program& program);

  const uint32_t number;

  // What a program may do, in a handler or elsewhere.
  int listen(const ServerOptions& options, uint16_t port);
  void stop_server(uint32_t server);
  void end_server_if_over(uint32_t server);
  int connect(const ClientOptions& options, uint16_t port);
  // Another attempt of a client whose session is suspended, unless one is under way.
  void connect_again(const Connection& suspended);
  // Whether such an attempt is under way.
  [[nodiscard]] bool tries_again(const Connection& suspended) const;
  void close(Connection& connection, uint16_t code, const std::string& reason);
  void end(Connection& connection);
  void abort(Connection& connection);
  void ask(Connection& connection);
  // A client asks to be in a topic, unless too many of its requests have no answer.
  void ask_topic(Connection& connection);
  void pause(Connection& connection);
  void resume(Connection& connection);
  // From now on each verdict comes at once, and so do those that were put off.
  void answer_at_once();
  void configure(Connection& connection);
  void flush();
  // Sends the same messages to some connections from one copy. Only where the backend copies at once. Classic connections take
  // messages up to `classic_length_max`.
  void publish(Random& random, uint32_t classic_length_max);

  // One iteration of the event loop; with Manual, one poll() of the program. Returns whether anything happened.
  bool turn();

  [[nodiscard]] bool dispatching() const { return dispatching_; }
  [[nodiscard]] const EngineShape& shape() const { return shape_; }
  [[nodiscard]] SimulatedIo& io() { return io_; }
  [[nodiscard]] const EngineTally& tally() const { return tally_; }
  [[nodiscard]] const std::vector<std::unique_ptr<Connection>>& connections() const { return connections_; }
  [[nodiscard]] const std::vector<ServerModel>& servers() const { return servers_; }
  [[nodiscard]] bool idle() const;
  [[nodiscard]] uint64_t next_due_ns() const { return engine_->next_due_ns(); }
  // Whether it has no more memory than at the beginning.
  [[nodiscard]] bool is_small() const;
  // Whether a connection waits to be accepted although there is room.
  [[nodiscard]] bool leaves_one_waiting() const;

  void audit();
  // Only when the engine was polled in time since `from_ns`.
  void check_idle_limits(uint64_t from_ns) const;

 private:
  struct Slab {
    std::unique_ptr<uint8_t[]> memory;
    uint32_t first;
    uint32_t count;
    uint32_t slots_offset;
    uint32_t rings_offset;
    size_t bytes;
  };

  void mark_dirty(SendRingModel& ring) override;
  void flush_one(SendRingModel& ring) override;
  uint32_t send_straight(SendRingModel& ring, uint32_t position, std::span<const uint8_t> frame) override;
  [[nodiscard]] bool lives(const SendRingModel& ring) const override { return EngineAudit::lives(*engine_, ring.slot); }

  bool add_slab();
  void remove_slabs();
  Slab& slab_of(uint32_t slot);
  void take_slot(Connection& connection);
  void leave(Connection& connection);
  void native_poll(bool spinning);
  bool dispatch();
  void check_number(uint32_t slot, int32_t before) const;
  bool dispatch_run(uint32_t slot);
  void dispatch_event(const int32_t* event);
  bool deliver(Connection* connection, uint32_t slot, const uint8_t* bytes, uint32_t length, uint32_t channel);
  bool deliver_now(Connection& connection, const uint8_t* bytes, uint32_t length, uint32_t channel);
  void tell_pause(Connection& connection, bool paused);
  void move_pause(Connection& connection);
  void hold(Connection& connection, const uint8_t* bytes, uint32_t length, uint32_t channel);
  void say_end_if_due(Connection& connection);
  void deliver_held(Connection& connection, bool ended);
  bool deliver_resumed();
  void check_paused_end(uint32_t slot) const;
  void asked(uint32_t slot);
  void admit(uint32_t slot);
  bool goes_on();
  void give_late_verdict();
  void greeted(uint32_t slot, const int32_t* event);
  void reached(uint32_t slot);
  void drain(uint32_t slot);
  void answered(uint32_t slot);
  void topic_asked(uint32_t slot, const int32_t* event);
  void topic_answered(uint32_t slot, const int32_t* event);
  void ask_topics_again(Connection& connection, const Connection& old);
  void connect_failed(uint32_t slot, uint32_t code, uint32_t error);
  void refused(uint32_t server, uint32_t code, uint32_t error, int32_t count);
  void slots_low();
  void idle(uint32_t slot);
  void ended(uint32_t slot);
  void connected(uint32_t slot, const int32_t* event);
  void suspended(uint32_t slot, uint32_t code, uint32_t error);
  void resumed(uint32_t slot, const int32_t* event);
  [[nodiscard]] bool move_session(Connection& connection, SendRingModel& old_ring);
  void disconnected(uint32_t slot, uint32_t code, uint32_t error);
  void released(uint32_t slot, int32_t server, uint32_t slots_left);
  [[nodiscard]] int32_t& word(uint32_t index) { return core_words_[index]; }
  [[nodiscard]] double counter(uint32_t index) const { return counters_[index]; }
  [[nodiscard]] const double* server_counters(uint32_t server) const;
  void check_server_counters(uint32_t server) const;

  EngineShape shape_;
  SimulatedIo& io_;
  Network& network_;
  Ledger& ledger_;
  Random& random_;
  Trace& trace_;
  const Faults& faults_;
  Program& program_;
  std::unique_ptr<Engine> engine_;
  std::vector<Slab> slabs_;
  uint8_t* core_ = nullptr;
  int32_t* core_words_ = nullptr;
  int32_t* event_words_ = nullptr;
  double* counters_ = nullptr;
  uint32_t slot_count_ = 0;
  std::vector<uint8_t*> assemblies_;
  std::vector<std::unique_ptr<Connection>> connections_;  // by slot
  bool answers_at_once_ = false;
  std::vector<uint32_t> postponed_;                   // slots whose verdict the program has not given yet
  std::vector<std::unique_ptr<Connection>> retired_;  // released, and perhaps still in the dirty list
  std::vector<ServerModel> servers_;
  std::vector<SendRingModel*> dirty_;
  uint32_t dirty_count_ = 0;
  uint64_t polls_ = 0;
  bool dispatching_ = false;
  bool batch_open_ = false;
  bool in_run_ = false;
  uint32_t run_at_ = 0;
  uint32_t run_end_ = 0;
  EngineTally tally_;
  // The event loop
  bool spun_ = false;
  uint64_t last_event_ns_ = 0;
};

}  // namespace zerio::simulation
