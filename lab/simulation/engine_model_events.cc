// How JavaScript's side of an engine dispatches events: messages first, then what happens to connections and servers.
#include <algorithm>

#include "engine_model.h"

namespace zerio::simulation {
namespace {

// The program adds no slab beyond so many slots.
constexpr uint32_t kSlotsMax = 256;

}  // namespace

bool reports_timeout(const int32_t* event) {
  const auto kind = static_cast<EventKind>(event[0]);
  if (kind == EventKind::Idle) return true;
  const bool is_end = kind == EventKind::Disconnected || kind == EventKind::Suspended || kind == EventKind::ConnectFailed;
  if (!is_end && kind != EventKind::Refused) return false;
  if (event[3] != 0) return false;
  switch (static_cast<Code>(event[5])) {
    case Code::HandshakeTimeout:
    case Code::ConnectTimeout:
    case Code::HeartbeatTimeout:
      return true;
    default:
      return false;
  }
}

// Returns false when a handler has thrown; the next call goes on with the message behind it.
bool EngineModel::dispatch() {
  dispatching_ = batch_open_ = true;
  // A promise also resolves while the event waits that its connection has ended.
  if (!postponed_.empty() && random_.chance(300)) give_late_verdict();
  bool thrown = false;
  int32_t next = word(layout::kWordEventsConsumed);
  while (!thrown && next < word(layout::kWordEventsProduced)) {
    const int32_t* const event = event_words_ + static_cast<size_t>(next) * layout::kEventWords;
    const auto slot = static_cast<uint32_t>(event[1]);
    if (static_cast<EventKind>(event[0]) == EventKind::Run) {
      if (!in_run_) {
        in_run_ = true;
        run_at_ = static_cast<uint32_t>(event[3]);
        run_end_ = run_at_ + static_cast<uint32_t>(event[4]);
        require(run_at_ >= shape_.options.arena_offset && run_end_ <= shape_.options.arena_offset + shape_.options.arena_bytes,
                "a run lies inside the arena");
        tally_.events += 1;
        check_number(slot, event[6]);
      }
      thrown = dispatch_run(slot);
      if (thrown) break;
      in_run_ = false;
      word(layout::kWordEventsConsumed) = ++next;
    } else {
      word(layout::kWordEventsConsumed) = ++next;
      tally_.events += 1;
      if (static_cast<EventKind>(event[0]) == EventKind::Message) {
        Connection* const connection = slot < connections_.size() ? connections_[slot].get() : nullptr;
        check_number(slot, event[6]);
        const uint8_t* const bytes = slabs_[static_cast<uint32_t>(event[2])].memory.get() + event[3];
        thrown = deliver(connection, slot, bytes, static_cast<uint32_t>(event[4]), static_cast<uint32_t>(event[5]));
      } else {
        dispatch_event(event);
      }
    }
  }
  if (!thrown) batch_open_ = false;
  dispatching_ = false;
  flush();
  return !thrown;
}

void EngineModel::check_number(uint32_t slot, int32_t before) const {
  const Connection* const connection = slot < connections_.size() ? connections_[slot].get() : nullptr;
  if (connection == nullptr || connection->is_unheard()) return;
  require_equal(static_cast<uint32_t>(before), static_cast<uint32_t>(connection->received),
                "messages are numbered without a gap");
}

// Returns whether a handler has thrown.
bool EngineModel::dispatch_run(uint32_t slot) {
  Connection* const connection = slot < connections_.size() ? connections_[slot].get() : nullptr;
  bool thrown = false;
  while (!thrown && run_at_ + kHeaderBytes <= run_end_) {
    const auto header = load<uint32_t>(core_ + run_at_);
    const uint32_t start = run_at_ + static_cast<uint32_t>(kHeaderBytes);
    run_at_ = start + frame_length(header);
    require(run_at_ <= run_end_, "a run consists of whole frames");
    require(!frame_is_control(header), "a run has data frames alone");
    thrown = deliver(connection, slot, core_ + start, frame_length(header), header >> kChannelShift);
  }
  return thrown;
}

// Returns whether the handler has thrown.
bool EngineModel::deliver(Connection* connection, uint32_t slot, const uint8_t* bytes, uint32_t length, uint32_t channel) {
  require(connection != nullptr, "a message belongs to a connection");
  require(connection->connected, "no message comes before Connected");
  require(!connection->disconnected, "no message comes after Disconnected");
  require(!connection->other_ended, "no message comes behind the other side's end");
  require(!connection->suspended && !connection->moved, "no message comes while there is no connection");
  require(length <= shape_.options.message_length_max, "no message is longer than the limit");
  trace_.add('e', number, "slot # gets a message of # bytes on channel #", {slot, length, channel});
  ++tally_.messages;
  ++connection->received;
  if (connection->receiving && (connection->paused || !connection->held_back.empty())) {
    hold(*connection, bytes, length, channel);
    return false;
  }
  return deliver_now(*connection, bytes, length, channel);
}

void EngineModel::dispatch_event(const int32_t* event) {
  const auto slot = static_cast<uint32_t>(event[1]);
  const auto code = static_cast<uint32_t>(event[5]);
  const auto error = static_cast<uint32_t>(event[6]);
  switch (static_cast<EventKind>(event[0])) {
    case EventKind::Asked:
      asked(slot);
      return;
    case EventKind::Connected:
      if ((event[6] >> 8) > 0) {
        greeted(slot, event);
      } else {
        connected(slot, event);
      }
      return;
    case EventKind::Disconnected:
      // Where the other side has sent the code, the event has the place of its reason.
      require(code != static_cast<uint32_t>(Code::IdleTimeout) || event[3] != 0 || connections_[slot]->is_idle,
              "Idle comes before the end of an idle connection, and a new limit keeps it");
      if (reports_timeout(event)) check_paused_end(slot);
      disconnected(slot, code, error);
      return;
    case EventKind::Suspended:
      if (reports_timeout(event)) check_paused_end(slot);
      suspended(slot, code, error);
      return;
    case EventKind::Resumed:
      resumed(slot, event);
      return;
    case EventKind::Drain:
      drain(slot);
      return;
    case EventKind::Reached:
      reached(slot);
      return;
    case EventKind::Pong:
      answered(slot);
      return;
    case EventKind::Ended:
      ended(slot);
      return;
    case EventKind::TopicRequest:
      topic_asked(slot, event);
      return;
    case EventKind::TopicAnswer:
      topic_answered(slot, event);
      return;
    case EventKind::Idle:
      idle(slot);
      return;
    case EventKind::ConnectFailed:
      connect_failed(slot, code, error);
      return;
    case EventKind::Released:
      released(slot, event[2], static_cast<uint32_t>(event[3]));
      return;
    case EventKind::Refused:
      refused(slot, code, error, event[7]);
      return;
    case EventKind::AcceptError:
      trace_.add('e', number, "server # cannot accept: error #", {slot, error});
      ++tally_.accept_errors;
      return;
    case EventKind::SlotsLow:
      slots_low();
      return;
    case EventKind::SlabIdle:
      remove_slabs();
      return;
    default:
      require(false, "each event is of a known kind");
  }
}

void EngineModel::asked(uint32_t slot) {
  if (!answers_at_once_ && random_.chance(250)) {
    trace_.add('e', number, "slot # is asked about: the verdict comes later", {slot});
    postponed_.push_back(slot);
    engine_->postpone(slot);
    return;
  }
  admit(slot);
}

void EngineModel::admit(uint32_t slot) {
  const bool admitted = program_.authenticate(*this);
  trace_.add('e', number, "slot # has its verdict: admitted #", {slot, admitted ? 1U : 0U});
  if (!admitted) ++tally_.denied;
  engine_->admit(slot, admitted);
}

void EngineModel::answer_at_once() {
  answers_at_once_ = true;
  while (!postponed_.empty()) give_late_verdict();
}

// The program's promise resolves, in whatever order.
void EngineModel::give_late_verdict() {
  const size_t one = random_.below(postponed_.size());
  const uint32_t slot = postponed_[one];
  postponed_.erase(postponed_.begin() + static_cast<std::ptrdiff_t>(one));
  admit(slot);
}

void EngineModel::greeted(uint32_t slot, const int32_t* event) {
  const auto server = static_cast<uint32_t>((event[6] >> 8) - 1);
  require(connections_[slot] == nullptr, "a peer is connected once");
  require(server < servers_.size() && servers_[server].used, "a peer's server is there");
  auto made = std::make_unique<Connection>();
  made->engine = this;
  made->slot = slot;
  made->server = server;
  made->link = made->ledger_link = io_.link_of(slot);
  made->side = kServerSide;
  made->linger_ms = servers_[server].options.linger_ms;
  made->idle_timeout_ms = servers_[server].options.idle_timeout_ms;
  made->half_open = servers_[server].options.half_open;
  made->in_session = (event[6] & GreetingEvent::kInSession) != 0;
  made->classic = (event[6] & 0x3f) == static_cast<int32_t>(Protocol::Classic);
  made->has_topics = (event[6] & GreetingEvent::kHasTopics) != 0;
  made->connected = made->established = true;
  take_slot(*made);
  made->ring->open(made->classic, static_cast<uint32_t>(event[7]), (event[6] & GreetingEvent::kInSession) != 0);
  trace_.add('e', number, "slot # is connected, link #", {slot, made->link});
  Connection& connection = *made;
  connections_[slot] = std::move(made);
  ++tally_.connected;
  if (servers_[server].stopping) close(connection, static_cast<uint16_t>(Code::GoingAway), "");
  program_.connected(connection);
}

// A client holds its HELLO back until the program has chosen between several connections.
void EngineModel::reached(uint32_t slot) {
  Connection* const connection = connections_[slot].get();
  require(connection != nullptr && connection->held, "Reached comes once, to a client that holds its HELLO");
  require(!connection->connected && !connection->disconnected, "Reached comes before Connected");
  connection->held = false;
  if (!connection->receiving) return;
  trace_.add('e', number, "slot # has a connection", {slot});
  if (random_.chance(200)) {
    abort(*connection);
  } else {
    engine_->greet(slot);
  }
}

void EngineModel::connected(uint32_t slot, const int32_t* event) {
  Connection* const connection = connections_[slot].get();
  require(connection != nullptr && connection->server == kNone, "a client's slot has a client");
  require(!connection->connected && !connection->disconnected, "Connected comes once, before Disconnected");
  require(!connection->held, "Connected comes after Reached");
  connection->connected = true;
  ++tally_.connected;
  trace_.add('e', number, "slot # is connected", {slot});
  if (!connection->receiving) return;
  connection->established = true;
  const bool in_session = (event[6] & GreetingEvent::kInSession) != 0;
  connection->in_session = in_session;
  connection->has_topics = (event[6] & GreetingEvent::kHasTopics) != 0;
  connection->ring->open(connection->classic, static_cast<uint32_t>(event[7]), in_session);
  if (connection->options.resume_ms > 0 && !in_session) {
    close(*connection, static_cast<uint16_t>(Code::Normal), "");
    return;
  }
  const uint32_t old_slot = connection->options.resumes;
  if (old_slot != kNone) {
    Connection* const old = connections_[old_slot].get();
    const bool is_there = old != nullptr && old->suspended && old->ledger_link == connection->ledger_link;
    if (!is_there || !old->receiving) {
      // The session has ended meanwhile, or the program has ended it in this batch. Its end is reported when its slot is
      // released.
      if (is_there) old->moved = true;
      close(*connection, static_cast<uint16_t>(Code::Normal), "");
      return;
    }
    old->suspended = false;
    old->moved = connection->took_over = true;
    connection->received = old->received;
    connection->paused = old->paused;
    connection->held_back = std::move(old->held_back);
    connection->held_bytes = old->held_bytes;
    old->held_back.clear();
    move_pause(*connection);
    const bool has_moved = move_session(*connection, *old->ring);
    engine_->abort(old_slot);
    if (!has_moved) return;
    ask_topics_again(*connection, *old);
  }
  program_.connected(*connection);
}

void EngineModel::suspended(uint32_t slot, uint32_t code, uint32_t error) {
  Connection* const connection = connections_[slot].get();
  trace_.add('e', number, "slot # is suspended: code #, error #", {slot, code, error});
  require(connection != nullptr && connection->connected && !connection->disconnected, "Suspended comes while connected");
  require(!connection->suspended && !connection->moved, "Suspended comes once for each connection");
  connection->suspended = true;
  connection->link = kNone;
}

// A peer's session goes on in another slot, whose ring takes over what the old one holds.
void EngineModel::resumed(uint32_t slot, const int32_t* event) {
  const auto by = static_cast<uint32_t>(event[2]);
  trace_.add('e', number, "slot # goes on with the session of slot #", {by, slot});
  require(connections_[slot] != nullptr && connections_[slot]->suspended, "Resumed comes after Suspended");
  require(connections_[by] == nullptr, "a session is resumed in a free slot");
  auto moved = std::move(connections_[slot]);
  auto old = std::make_unique<Connection>();
  old->ring = std::move(moved->ring);
  moved->slot = by;
  moved->link = io_.link_of(by);
  moved->suspended = moved->is_idle = false;
  moved->idle_timeout_ms = servers_[moved->server].options.idle_timeout_ms;
  take_slot(*moved);
  moved->ring->open(false, static_cast<uint32_t>(event[3]), true);
  const bool closed = !moved->receiving;
  (void)move_session(*moved, *old->ring);
  engine_->abort(slot);
  // A ring object lives for as long as JavaScript's dirty list has it.
  retired_.push_back(std::move(old));
  Connection& connection = *moved;
  connections_[by] = std::move(moved);
  if (!closed) return move_pause(connection);
  connection.ring->close();
  engine_->close(by, static_cast<uint16_t>(Code::Normal), "");
}

// False when the connection has ended in the same batch, whose event follows.
bool EngineModel::move_session(Connection& connection, SendRingModel& old_ring) {
  old_ring.close();
  if (!engine_->adopt(connection.slot, old_ring.slot)) {
    require(!EngineAudit::lives(*engine_, connection.slot) || EngineAudit::ends(*engine_, connection.slot),
            "the ring of a suspended connection moves to the next one, unless that has ended");
    return false;
  }
  connection.ring->take_over(old_ring);
  return true;
}

void EngineModel::drain(uint32_t slot) {
  Connection* const connection = connections_[slot].get();
  if (connection == nullptr) return;
  require(connection->connected && !connection->disconnected, "Drain comes while connected");
  require(connection->ring->may_drain(), "Drain comes once for what was refused");
  trace_.add('e', number, "slot # has drained", {slot});
  connection->ring->drained();
  program_.drain(*connection);
}

void EngineModel::answered(uint32_t slot) {
  Connection* const connection = connections_[slot].get();
  require(connection != nullptr && connection->connected && !connection->disconnected, "Pong comes while connected");
  require(connection->asked > 0, "Pong comes at most once for each PING that the program asks for");
  connection->asked -= 1;
  trace_.add('e', number, "slot # is answered", {slot});
}

void EngineModel::connect_failed(uint32_t slot, uint32_t code, uint32_t error) {
  Connection* const connection = connections_[slot].get();
  trace_.add('e', number, "slot # could not connect: code #, error #", {slot, code, error});
  require(connection != nullptr && !connection->connected && !connection->disconnected,
          "ConnectFailed comes once, instead of Connected");
  connection->disconnected = true;
  ++tally_.connect_failed;
  const uint32_t old_slot = connection->options.resumes;
  if (old_slot == kNone || code != static_cast<uint32_t>(Code::SessionLost)) return;
  Connection* const old = connections_[old_slot].get();
  if (old != nullptr && old->suspended && old->ledger_link == connection->ledger_link)
    engine_->close(old_slot, static_cast<uint16_t>(Code::SessionLost), "");
}

void EngineModel::refused(uint32_t server, uint32_t code, uint32_t error, int32_t count) {
  trace_.add('e', number, "server # refuses: code #, error #", {server, code, error});
  require(count > 0, "a report of refusals stands for one at least");
  tally_.refused += static_cast<uint64_t>(count);
  servers_[server].refused += static_cast<uint64_t>(count);
  if (code == static_cast<uint32_t>(Code::TooManyHandshakes)) ++servers_[server].turned_away;
  if (code == static_cast<uint32_t>(Code::Unauthorized)) tally_.unauthorized += static_cast<uint64_t>(count);
  require(tally_.unauthorized <= tally_.denied, "no connection is refused as unauthorized that the program has admitted");
  end_server_if_over(server);
}

void EngineModel::slots_low() {
  if ((faults_.on && random_.chance(faults_.slab_refused)) || slot_count_ > kSlotsMax || !add_slab()) {
    trace_.add('e', number, "gets no slab");
    engine_->slab_refused();
  }
}

void EngineModel::idle(uint32_t slot) {
  Connection* const connection = connections_[slot].get();
  require(connection != nullptr && connection->connected && !connection->disconnected, "Idle comes while connected");
  require(!connection->is_idle && !connection->suspended, "Idle comes once for each limit");
  const uint64_t silent_ns = network_.now_ns() - std::max(io_.heard_ns(slot), connection->idle_set_ns);
  // Unless a handler of the same batch has set another limit, or paused it.
  require(connection->idle_set_in == polls_ || silent_ns >= connection->idle_timeout_ms * kMillisecondNs,
          "no connection is idle before its time");
  trace_.add('e', number, "slot # is idle", {slot});
  connection->is_idle = connection->idle_set_in != polls_;
  if (connection->receiving && random_.chance(500)) configure(*connection);
}

void EngineModel::ended(uint32_t slot) {
  Connection* const connection = connections_[slot].get();
  require(connection != nullptr && connection->connected && !connection->disconnected, "Ended comes while connected");
  require(connection->half_open && !connection->in_session && !connection->other_ended, "Ended comes once, where it may");
  connection->other_ended = connection->end_unsaid = true;
  say_end_if_due(*connection);
}

// The program changes the limits for silence.
void EngineModel::configure(Connection& connection) {
  const auto idle_ms = static_cast<uint32_t>(random_.chance(300) ? 0 : random_.between(10, 400));
  const auto heartbeat_ms = static_cast<uint32_t>(random_.chance(300) ? 0 : random_.between(10, 200));
  trace_.add('e', number, "slot # gets an idle limit of # ms and heartbeats of # ms", {connection.slot, idle_ms, heartbeat_ms});
  // Its next connection begins with the limits of the engine's options.
  if (connection.suspended) return;
  engine_->configure(connection.slot, Setting::HeartbeatMs, heartbeat_ms);
  engine_->configure(connection.slot, Setting::IdleTimeoutMs, idle_ms);
  connection.idle_timeout_ms = idle_ms;
  connection.idle_set_ns = network_.now_ns();
  connection.idle_set_in = polls_;
  connection.is_idle = false;
}

void EngineModel::disconnected(uint32_t slot, uint32_t code, uint32_t error) {
  Connection* const connection = connections_[slot].get();
  trace_.add('e', number, "slot # is disconnected: code #, error #", {slot, code, error});
  require(connection != nullptr && connection->connected, "Disconnected comes after Connected");
  require(!connection->disconnected, "Disconnected comes once");
  deliver_held(*connection, true);
  const bool local = !connection->receiving;
  connection->receiving = connection->suspended = false;
  connection->disconnected = true;
  ++tally_.disconnected;
  const Slab& slab = slab_of(slot);
  const auto* const counters = reinterpret_cast<const double*>(
      slab.memory.get() + slab.slots_offset + size_t{slot - slab.first} * layout::kSlotBytes + layout::kSlotCountersOffset);
  require_equal(static_cast<uint64_t>(counters[layout::kSlotCounterMessagesReceived]), connection->received,
                "a connection's messages are counted");
  connection->ring->close();
  if (connection->established) program_.disconnected(*connection, code, error, local);
}

void EngineModel::released(uint32_t slot, int32_t server, uint32_t slots_left) {
  trace_.add('e', number, "slot # is released", {slot});
  io_.slot_released(slot);
  ++tally_.released;
  std::erase(postponed_, slot);
  Connection* const connection = connections_[slot].get();
  if (connection != nullptr) {
    require(!connection->connected || connection->disconnected || connection->moved, "Released comes after Disconnected");
    connection->ring->detach();
    // A ring object lives for as long as JavaScript's dirty list has it.
    retired_.push_back(std::move(connections_[slot]));
  }
  // The event's count is out of date when another connection was accepted behind it in the same batch.
  if (server >= 0 && slots_left == 0) end_server_if_over(static_cast<uint32_t>(server));
}

}  // namespace zerio::simulation
