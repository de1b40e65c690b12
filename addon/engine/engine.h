// The engine: connections, their states, handshakes, deadlines and counters, on top of one Io and independent of Node.js.
//
// The work is done inside poll(), which the loop or the program calls; the other calls only change words and lists. One poll is
// one batch: the events that it produces, and the memory that they point to, stay valid until JavaScript has consumed them all.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "../io/io.h"
#include "assembly_pool.h"
#include "connection.h"
#include "connection_list.h"
#include "deadlines.h"
#include "engine_options.h"
#include "events.h"
#include "id_table.h"
#include "layout.h"
#include "refusals.h"
#include "shared_frames.h"

namespace zerio {

class Engine final : private IoSink {
 public:
  // How many codes a refusal can have: those of the protocol from 1000 on, and the local ones from 2000 on.
  static constexpr uint32_t kRefusalsWire = 24;
  static constexpr uint32_t kRefusals = kRefusalsWire + 8;

  Engine(std::unique_ptr<Io> io, const EngineOptions& options) : io_(std::move(io)), options_(options) {}

  // The first slab holds the core memory (layout.h) in front of its slots. False when the parts do not fit into `bytes`.
  // This call, listen() and connect() may throw std::bad_alloc, and then nothing has changed. The others never throw.
  [[nodiscard]] bool add_slab(uint8_t* base, size_t bytes, const SlabParts& parts);
  // JavaScript gives up the last slab, as the event SlabIdle allows. False when the slab is needed after all; then it stays.
  [[nodiscard]] bool remove_slab();
  // JavaScript could not add the slab that the event SlotsLow asked for.
  void slab_refused();
  [[nodiscard]] uint32_t slots_free() const { return static_cast<uint32_t>(free_.size()); }

  // Each returns 0, an errno value, or one of layout.h's errors.
  int listen(ServerOptions options, const Address& address, uint32_t& server, Address& bound);
  // One more address for a server that listens already, or a descriptor to adopt when that is not -1.
  int listen_also(uint32_t server, const Address& address, int descriptor, Address& bound);
  int connect(ClientOptions options, const Address& address, uint32_t& slot);

  void unlisten(uint32_t server);
  // Whether nothing of a server that does not listen any more is to come: each connection is released, those in their handshake,
  // too, and each refusal was reported in an event that JavaScript has dispatched.
  [[nodiscard]] bool server_is_over(uint32_t server) const;
  // As close(), without a reason, for all peers that this server has now.
  void close_peers(uint32_t server, uint16_t code);
  // No connection of this server is left: its number may be used again.
  void forget_server(uint32_t server);

  // The program's verdict on a connection, where the server asks for one.
  void admit(uint32_t slot, bool admitted);
  // Instead, while the event `Asked` is dispatched: the program calls admit() in a later batch.
  void postpone(uint32_t slot);
  // Sends the HELLO that a client held back. Only while the event `Reached` is dispatched.
  void greet(uint32_t slot);
  // Moves what the ring of a suspended connection holds to the connection that goes on with its session, and sends what the other
  // side lacks. While the event `Resumed` or a client's `Connected` is dispatched. The old slot stays until abort(). False when
  // there is nothing to move.
  bool adopt(uint32_t slot, uint32_t old_slot);
  // Stops to receive from an open connection, or goes on with it. What the system has received for it already may still come.
  void pause(uint32_t slot, bool paused);
  // From the next poll on: sends what was accepted, then the reason, and ends the connection.
  void close(uint32_t slot, uint16_t code, std::string_view reason);
  // From the next poll on: sends what was accepted, and then the end of the stream. The other side's messages still come. Does
  // nothing in a session, and for a connection that is not open.
  void end(uint32_t slot);
  // Ends the connection at once and discards what was not sent.
  void abort(uint32_t slot);

  // Changes an option of one connection. What waits for a time that is changed begins to wait anew. One whose limit was reached,
  // while the event `Idle` is dispatched, goes on.
  void configure(uint32_t slot, Setting setting, uint32_t value);

  // Sends a PING, and the event `Pong` follows when it is answered; one that was asked for before gets none any more. Does
  // nothing where there is no PING: with classic, and when the connection is not open.
  void ask(uint32_t slot);
  // The program waits for it no longer: a heartbeat's PING is measured again.
  void ask_no_more(uint32_t slot);

  // A client asks to be in a topic, or not any more: SUBSCRIBE or UNSUBSCRIBE. The event `TopicAnswer` follows, unless the
  // connection breaks before. At most kTopicRequestsMax may be unanswered. Only where both sides have topics.
  void request_topic(uint32_t slot, Opcode opcode, uint32_t request, std::string_view name);
  // A server's answer to the request of an event `TopicRequest`: one for each.
  void answer_topic(uint32_t slot, uint32_t request, uint16_t code, std::string_view reason);

  // Hands the rings in the dirty list to the system.
  void flush();
  void flush_slot(uint32_t slot);
  // Sends a frame whose payload is not in the ring. Returns how much of it the system has taken: what is left follows in the
  // ring, where the frame would begin at `position`. 0 when something waits in front of it, or the system does not copy at once.
  uint32_t send_straight(uint32_t slot, uint32_t position, uint32_t header, std::span<const uint8_t> payload);
  // Sends connections what they lack of shared frames, from the next place on, until all have it or the time is over. Connections
  // that cannot be sent from the copy are left to JavaScript, in the order of their places. Only if copies_at_once().
  void share(SharedFrames& frames);
  // At the end of the process: hands over what the rings hold, and waits for room as long as each connection may linger.
  void hand_over();
  void hand_over_slot(uint32_t slot);

  // Does I/O and returns how many events wait for JavaScript. Starts a new batch only when all events are consumed.
  uint32_t poll(bool spinning);

  // Whether poll() has something to do although the wait handle is quiet.
  [[nodiscard]] bool wants_poll() const {
    return has_ends_due() || !freed_in_batch_.empty() || ticking_ || events_.unconsumed() > 0 || io_->has_news() ||
           goes_on() != 0;
  }
  // Whether JavaScript has not consumed the whole batch yet.
  [[nodiscard]] bool has_unconsumed() const { return events_.unconsumed() > 0; }
  [[nodiscard]] uint32_t unconsumed() const { return events_.unconsumed(); }
  // The owner of the next unconsumed event: a slot or a server. Any number is possible, because JavaScript can write the events.
  struct EventOwner {
    bool is_server;
    uint32_t index;
  };
  [[nodiscard]] EventOwner next_event_owner() const;
  // When the next deadline is due, on the clock of now_ns(): then poll() must be called, however quiet the wait handle is. A time
  // in the past when the last poll has left some of it, which wants_poll() shows, too. Makes no system call.
  static constexpr uint64_t kNothingDue = IoSink::kNothingDue;
  [[nodiscard]] uint64_t next_due_ns() const {
    return deadlines_.empty() ? give_back_due_ns_ : std::min(deadlines_.first_ns(), give_back_due_ns_);
  }
  [[nodiscard]] uint32_t dirty_count() const;
  // Whether JavaScript has something to flush.
  [[nodiscard]] bool has_unsent() const { return dirty_count() > 0 || goes_on() != 0; }
  [[nodiscard]] Io& io() { return *io_; }
  void addresses(uint32_t slot, Address& local, Address& remote) const;
  // Whom an event `Refused` of this batch is about: the first of those it stands for. nullptr when there is no such event.
  [[nodiscard]] const RefusedPeer* refused_peer(uint32_t place) const { return refused_peers_.at(place); }
  // What the system's TCP knows of an open connection; of others nothing.
  [[nodiscard]] TcpStatus tcp_status(uint32_t slot) const;
  // Address of [offset, offset + bytes) in a slab, or nullptr when it does not lie inside.
  [[nodiscard]] uint8_t* slab_range(uint32_t slab, uint64_t offset, uint64_t bytes) const;

 private:
  // An engine has deadlines of its own beside those of its connections.
  static constexpr size_t kOwnDeadlines = 3;
  // What one receive leaves free in the arena begins the next one.
  static constexpr uint32_t kArenaAlignment = 64;
  static constexpr uint32_t aligned(size_t bytes) {
    return static_cast<uint32_t>((bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment);
  }
  static constexpr size_t kDeadlinesPerConnection = 5;

  // The reliability tests look inside (lab/simulation/audit.cc).
  friend class EngineAudit;

  struct Slab {
    uint8_t* base = nullptr;
    size_t bytes = 0;
    uint32_t first = 0;
    uint32_t count = 0;
    uint32_t used = 0;   // slots that are not free
    bool taken = false;  // one of them was, since the last look
    bool idle = false;   // none of them was, between the last two looks
  };
  struct Server {
    explicit Server(const SipKey& key) : ids(0, IdHash{key}) {}

    bool used = false;
    bool listening = false;
    uint32_t listeners = 0;   // how many sockets it listens on
    uint32_t paths = 0;       // a bit for each of them that is a Unix domain socket
    uint16_t close_code = 0;  // with which all its peers are to be closed; 0: they stay
    ServerOptions options;
    uint32_t handshakes = 0;  // in state Greeting
    uint32_t ended = 0;       // in state Draining or Lingering: together with the handshakes they are at most handshakes_max
    uint32_t peers = 0;
    uint32_t sessions = 0;
    uint32_t slots = 0;            // all of these, and those that the system has not let go of
    uint64_t accept_retry_ns = 0;  // when it accepts again; 0 while it does
    bool wants_slot = false;       // it waits because there was no slot
    uint32_t batch_at_end = 0;     // the batch in which its number became free
    uint32_t unreported = 0;       // kinds of refusals of which some are not reported yet
    std::array<ConnectionList<&Connection::place_links>, kPlaces> places;
    std::array<Refusals, kRefusals> refusals;
    IdTable ids;

    // Enters the id of a new peer. False when there is no memory for it.
    bool remember(const Connection& connection);
    // Whether it has stopped listening and all its connections are released.
    [[nodiscard]] bool is_deserted() const { return !listening && slots == 0; }
    // Connections that are no peers.
    [[nodiscard]] uint32_t others() const { return handshakes + ended; }
    // The connection that makes room for a newcomer, or nullptr.
    [[nodiscard]] Connection* dispensable() const;
    // A connection in its handshake, or nullptr.
    [[nodiscard]] Connection* any_newcomer() const;
    // A connected peer, or nullptr.
    [[nodiscard]] Connection* any_peer() const;
  };
  struct Location {
    uint32_t slab;
    uint32_t offset;
  };
  class Reading;

  // IoSink
  void on_accepted(uint32_t listener, AcceptedSocket socket) override;
  void on_accept_error(uint32_t listener, int error) override;
  void on_connected(uint32_t slot, int error) override;
  IoSpace receive_space(uint32_t slot) override;
  [[nodiscard]] bool wants_more(uint32_t slot) const override;
  [[nodiscard]] uint32_t receive_bytes_max() const override { return contended_ > 0 ? fair_bytes_ : kNoLimit; }
  void on_received(uint32_t slot, uint8_t* data, size_t size, int error) override;
  bool is_farewell(uint32_t slot, const uint8_t* data, size_t size) const override {
    return connections_[slot]->life.reader.has_only_controls_and(static_cast<uint32_t>(Opcode::Close), data, size);
  }
  void on_sent(uint32_t slot, size_t size, int error) override;
  void on_closed(uint32_t slot) override;
  bool has_room() const override;
  bool can_accept(uint32_t listener) override;
  void on_due(uint64_t due_ns) override;

  // Frames
  bool on_first_frame(Connection& connection, uint32_t header, const uint8_t* payload);
  bool on_control(Connection& connection, uint32_t header, const uint8_t* payload);
  bool read(Connection& connection, uint8_t* data, size_t size);
  [[nodiscard]] bool may_replace(const Connection& connection, const Connection& other) const;
  void replace(Connection& other);
  bool accept_peer(Connection& connection);
  void open_peer(Connection& connection);
  void report_hello(EventKind kind, const Connection& connection);
  void decide(Connection& connection, bool admitted);
  void hold(Connection& connection, const uint8_t* data, size_t size);
  void decide_late(Connection& connection);
  [[nodiscard]] bool has_verdict_room() const;
  [[nodiscard]] uint8_t* copy_to_arena(std::string_view bytes);
  bool greet_server(Connection& connection, Protocol protocol, const Greeting& greeting);
  void send_hello(Connection& connection);
  bool greet_client(Connection& connection, Protocol protocol, const Greeting& greeting);

  // Sessions
  [[nodiscard]] Code read_session_wish(Connection& connection, const Greeting& greeting) const;
  void open_session(Connection& connection);
  bool resume(Connection& connection);
  [[nodiscard]] static uint32_t write_session_extension(const Connection& connection, Opcode opcode, uint8_t* out);
  [[nodiscard]] Connection* resumable(const Connection& connection);
  void suspend(Connection& connection, Code code, int error, std::string_view text);
  [[nodiscard]] bool welcome_session(Connection& connection, const SessionGreeting& greeting);
  void leave_session(Connection& old);
  // Once in a batch: JavaScript takes back the word that says so when it dispatches the event.
  void report_drain(Connection& connection) {
    if (connection.life.drain_batch == batch_ || !connection.ring.drained()) return;
    connection.life.drain_batch = batch_;
    events_.push(Event{EventKind::Drain, connection.slot});
  }
  void lose_session_of(const Connection& connection);
  [[nodiscard]] uint32_t count_unacknowledged(Connection& connection);
  void note_received(Connection& connection, uint32_t messages, size_t bytes);
  [[nodiscard]] bool take_acknowledgement(Connection& connection, uint64_t received);
  [[nodiscard]] bool take_early_acknowledgement(Connection& connection);
  void queue_due(Connection& connection);
  void queue_acknowledgement(Connection& connection);
  void acknowledge_late(Connection& connection);
  [[nodiscard]] SessionToken make_token();
  [[nodiscard]] uint64_t hash_of_credential(std::string_view credential) const;

  // Topics
  using ExtensionsBuffer = std::array<uint8_t, kExtensionsWrittenMax>;
  [[nodiscard]] Code read_extensions(Connection& connection, const Greeting& greeting) const;
  [[nodiscard]] static std::string_view extensions_of(const Connection& connection, Opcode opcode, ExtensionsBuffer& buffer);
  [[nodiscard]] bool on_topic_frame(Connection& connection, Opcode opcode, const uint8_t* payload, uint32_t length);
  bool report_topic_request(Connection& connection, Opcode opcode, const uint8_t* payload, uint32_t length);
  bool report_topic_answer(Connection& connection, const uint8_t* payload, uint32_t length);
  void report_topic(Connection& connection, EventKind kind, std::string_view text, uint32_t request, uint32_t what);
  void send_topic_frame(Connection& connection, const uint8_t* frame, uint32_t bytes);
  void queue_topic_frames(Connection& connection);

  // Endings
  void fail(Connection& connection, Code code, int error, std::string_view text, bool with_farewell);
  void ended_by_peer(Connection& connection, int error);
  void left_by_peer(Connection& connection, const Farewell& farewell);
  [[nodiscard]] bool ends_later();
  void end_later(Connection& connection, Code code, int error);
  void end_left(Connection& connection);
  void end_of_stream(Connection& connection);
  [[nodiscard]] static bool outlives_end(const Life& life);
  [[nodiscard]] bool sent_into_reset(const Life& life) const;
  void leave(Connection& connection);
  [[nodiscard]] Connection* holder_of(uint32_t server, const std::string& id) const;
  Connection* peer_of(uint32_t server, const std::string& id);
  void send_end(Connection& connection);
  void send_end_if_sent(Connection& connection);
  void set_farewell(Connection& connection, uint16_t code, std::string_view reason);
  void drain(Connection& connection);
  void report_end(Connection& connection, uint16_t code, int error, std::string_view text);
  void release(Connection& connection);
  void give_back_assembly(Connection& connection);

  // Limits of a server
  void move_to(Connection& connection, Place place);
  void end_handshake(const Connection& connection);
  void change_ended(const Connection& connection, int32_t by);
  bool make_room(uint32_t server);
  void refuse(uint32_t server, const Connection* connection, Code code, int error);
  void report_refusal(uint32_t server, uint32_t kind, uint64_t now_ns);
  void report_refusals(uint64_t now_ns);
  void set_report(uint64_t now_ns);
  void report_last_refusals_soon(const Server& server);

  // Sending
  // What JavaScript has left to its next flush.
  [[nodiscard]] int32_t goes_on() const {
    return std::atomic_ref<int32_t>(words_[layout::kWordGoesOn]).load(std::memory_order_acquire);
  }
  bool queue_control(Connection& connection, const uint8_t* frame, uint32_t bytes);
  // What one send of a connection consists of.
  struct Sending {
    Connection* connection = nullptr;
    uint32_t ring_bytes = 0;
    uint32_t end = 0;  // of the ring bytes
    size_t total = 0;
  };

  void prefetch_sends(const int32_t* dirty, uint32_t at, uint32_t count);
  void hand_over(Connection& connection);
  void pump(Connection& connection);
  bool prepare_send(Connection& connection, IoSend& send, Sending& sending);
  bool finish_send(const Sending& sending, int64_t taken);
  void count_sent(Connection& connection, size_t bytes, uint32_t ring_bytes, uint32_t end);
  void count_bytes(const Connection& connection, size_t bytes);
  void prefetch_shared(const SharedFrames& frames);
  bool prepare_shared(SharedFrames& frames, IoSend& send, SharedSend& shared);
  void finish_shared(SharedFrames& frames, const SharedSend& shared, int64_t taken);
  void after_pump(Connection& connection);
  void send_lost(Connection& connection, int error);

  // What is given back to the system, some time after its last use
  void note_ring(Connection& connection);
  void give_back_later();
  void give_back();
  void look_at_rings();
  [[nodiscard]] uint32_t give_back_rings(uint32_t most);
  [[nodiscard]] bool look_at_slabs();
  [[nodiscard]] bool last_slab_is_spare() const;

  // Time
  void set_deadline(Connection& connection, uint32_t timeout_ms);
  void clear_deadline(Connection& connection);
  void tick();
  [[nodiscard]] bool serve_due(uint64_t now_ns);
  void serve(const Deadline& due, uint64_t now_ns);
  [[nodiscard]] uint32_t work_of(const Deadline& deadline) const;
  void set_accept_retry();
  void retry_accepts(uint64_t now_ns);
  void begin_looks(Connection& connection);
  void begin_heartbeats(Connection& connection);
  void begin_idle_looks(Connection& connection);
  void end_idle(Connection& connection);
  void end_looks(Connection& connection);
  void end_pause(Connection& connection);
  void heartbeat(Connection& connection, uint64_t now_ns);
  void look_for_idle(Connection& connection, uint64_t now_ns);
  void question(Connection& connection);
  void end_question(Connection& connection);
  bool ping(Connection& connection, uint64_t now_ns);
  void on_pong(Connection& connection, const uint8_t* payload);
  void expire(Connection& connection);
  void end_probation(Connection& connection);

  [[nodiscard]] bool fits(size_t bytes, const SlabParts& parts) const;
  void set_core(uint8_t* base);
  void make_connections(uint32_t slab, const SlabParts& parts);
  [[nodiscard]] bool has_event_room() const;
  void share_arena();
  void look_at_clock();
  [[nodiscard]] bool has_ends_due() const { return !deferred_.empty() || dismissals_ > 0; }
  void carry_out_ends();
  void carry_out(Connection& connection);
  void dismiss();
  void defer(Connection& connection);
  Connection* take_slot();
  void return_slot(uint32_t slot);
  void pause_all_listeners(uint32_t server, bool paused);
  void pause_accept(uint32_t server, uint64_t retry_ns);
  void resume_accept(uint32_t server);
  void resume_accepts();
  [[nodiscard]] Location locate(const void* at) const;
  [[nodiscard]] Connection* connection_at(uint32_t slot) { return slot < connections_.size() ? connections_[slot] : nullptr; }
  [[nodiscard]] double* server_counters(uint32_t server) const {
    return reinterpret_cast<double*>(core_ + layout::kServerCountersOffset + size_t{server} * layout::kServerCountersBytes);
  }
  void count_server(const Connection& connection, uint32_t counter, double amount) {
    if (connection.life.of_server) server_counters(connection.life.server)[counter] += amount;
  }

  std::unique_ptr<Io> io_;
  EngineOptions options_;
  uint8_t* core_ = nullptr;
  int32_t* words_ = nullptr;
  double* counters_ = nullptr;
  EventRing events_;
  AssemblyPool assemblies_{options_.assembly_kept_bytes};
  uint8_t* arena_ = nullptr;
  uint32_t arena_used_ = 0;
  uint32_t arena_direct_ = 0;  // bytes of the arena for receive_space(); the backend keeps the rest
  size_t ahead_used_ = 0;      // of the rest, in this batch
  size_t held_bytes_ = 0;      // of the arena, not read yet because a connection waits for its verdict
  uint32_t receives_ = 0;      // in this batch
  uint64_t received_ns_ = 0;   // when the first of them was
  uint32_t after_ns_ = 0;      // how long behind it the present one is; exact to a few receives
  uint64_t batch_bytes_ = 0;   // received in this batch
  uint64_t batch_frames_ = 0;  // likewise
  uint32_t received_last_ = kNone;
  uint32_t contended_ = 0;          // for so many more batches several connections count as receiving
  uint32_t fair_bytes_ = kNoLimit;  // the most that one receive may bring meanwhile; computed from the batch before
  std::vector<Slab> slabs_;
  std::vector<std::unique_ptr<Connection[]>> connection_chunks_;
  std::vector<Connection*> connections_;
  std::vector<uint32_t> free_;            // a heap: the lowest slot is taken next, so that the last slabs run empty
  std::vector<uint32_t> freed_in_batch_;  // reusable once JavaScript has consumed their Released events
  std::vector<uint32_t> noted_rings_;     // slots whose rings have held much; some may be free
  ConnectionList<&Connection::deferred_links> deferred_;
  uint32_t dismissals_ = 0;  // newcomers of servers that have stopped to listen, and peers of servers that close all of them
  bool ends_left_ = false;   // the last poll has left some
  uint32_t peer_ends_ = 0;   // how many peers have ended their connections, in this batch
  uint64_t ends_ns_ = 0;     // when the last poll that carried out ends did so
  const SipKey id_key_ = SipKey::random();
  const SipKey token_key_ = SipKey::random();
  uint64_t tokens_made_ = 0;
  std::vector<Server> servers_;
  uint32_t unreported_ = 0;  // sum of the servers'
  RefusedPeers refused_peers_;
  std::array<IoSend, Io::kSendsPerBatchMax> sends_ = {};
  std::array<Sending, Io::kSendsPerBatchMax> sendings_ = {};
  std::array<SharedSend, Io::kSendsPerBatchMax> shared_sends_ = {};
  Deadlines deadlines_;
  Deadline accept_retry_ = {Deadline::kNowhere, kNone, DeadlineKind::AcceptRetry, false};
  Deadline io_due_ = {Deadline::kNowhere, kNone, DeadlineKind::Io, false};
  Deadline report_ = {Deadline::kNowhere, kNone, DeadlineKind::Report, false};
  uint32_t batch_ = 0;
  bool ticking_ = false;  // more is due than the last poll could do
  uint64_t give_back_due_ns_ = kNothingDue;
  bool giving_back_ = false;  // the last look found more than is given back so far
  bool slab_to_go_ = false;   // the last slab may be given back at one of the next looks
  bool slots_low_reported_ = false;
  uint64_t slab_retry_ns_ = 0;  // when JavaScript is asked for a slab again, after it could not add one
  bool asked_ = false;          // this batch asks the program for a verdict
};

}  // namespace zerio
