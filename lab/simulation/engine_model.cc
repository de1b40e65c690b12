// What a program does with an engine, its memory, its place in the event loop, and the checks. How events are dispatched is in
// engine_model_events.cc. The order of the functions is that of src/engine/dispatch.ts.
#include "engine_model.h"

#include <algorithm>
#include <cerrno>

#include "allocations.h"
#include "audit.h"

namespace zerio::simulation {
namespace {

constexpr uint64_t kHybridSpinNs = 50'000;
constexpr uint64_t kPutOffNs = 50'000'000;
constexpr uint32_t kPageBytes = 4096;

uint32_t pages(uint32_t bytes) { return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes; }

}  // namespace

EngineModel::EngineModel(uint32_t its_number, const EngineShape& shape, std::unique_ptr<SimulatedIo> io, Network& network,
                         Ledger& ledger, Random& random, Trace& trace, const Faults& faults, Program& program)
    : number(its_number),
      shape_(shape),
      io_(*io),
      network_(network),
      ledger_(ledger),
      random_(random),
      trace_(trace),
      faults_(faults),
      program_(program) {
  shape_.options.arena_offset = pages(layout::kEventsOffset + shape_.options.events_capacity * layout::kEventBytes);
  engine_ = std::make_unique<Engine>(std::move(io), shape_.options);
  require(add_slab(), "the first slab is taken");
}

bool EngineModel::idle() const {
  for (const auto& connection : connections_) {
    if (connection != nullptr) return false;
  }
  for (const ServerModel& server : servers_) {
    if (server.used) return false;
  }
  return postponed_.empty();
}

bool EngineModel::is_small() const { return slabs_.size() == 1 && EngineAudit::has_given_back(*engine_); }

bool EngineModel::leaves_one_waiting() const {
  if (engine_->slots_free() == 0) return false;
  return std::any_of(servers_.begin(), servers_.end(), [this](const ServerModel& server) {
    return server.used && !server.stopping && network_.has_queued(server.port);
  });
}

// ---- Memory

bool EngineModel::add_slab() {
  const EngineOptions& options = shape_.options;
  const uint32_t first = slot_count_;
  const uint32_t core_bytes = slabs_.empty() ? options.arena_offset + pages(options.arena_bytes) : 0;
  const uint32_t count = std::max(shape_.first_slots, first);
  Slab slab;
  slab.first = first;
  slab.count = count;
  slab.slots_offset = core_bytes;
  slab.rings_offset = pages(core_bytes + count * layout::kSlotBytes);
  const uint32_t assemblies_offset = pages(slab.rings_offset + count * options.send_ring_bytes);
  const uint32_t assemblies = count + AssemblyPool::kSparePerSlab;
  const size_t bytes = assemblies_offset + size_t{assemblies} * options.assembly_bytes;
  slab.bytes = bytes;
  slab.memory = std::make_unique<uint8_t[]>(bytes);
  uint8_t* const base = slab.memory.get();
  if (!engine_->add_slab(base, bytes, {slab.slots_offset, slab.rings_offset, assemblies_offset, count})) return false;
  if (slabs_.empty()) {
    core_ = base;
    core_words_ = reinterpret_cast<int32_t*>(base);
    event_words_ = reinterpret_cast<int32_t*>(base + layout::kEventsOffset);
    counters_ = reinterpret_cast<double*>(base + layout::kEngineCountersOffset);
  }
  for (uint32_t i = 0; i < assemblies; ++i) assemblies_.push_back(base + assemblies_offset + size_t{i} * options.assembly_bytes);
  std::sort(assemblies_.begin(), assemblies_.end());
  slabs_.push_back(std::move(slab));
  slot_count_ += count;
  connections_.resize(slot_count_);
  dirty_.resize(slot_count_);
  return true;
}

void EngineModel::remove_slabs() {
  while (engine_->remove_slab()) {
    const Slab& slab = slabs_.back();
    trace_.add('e', number, "gives back the slab of the slots from # on", {slab.first});
    for (uint32_t slot = slab.first; slot < slot_count_; ++slot) {
      require(connections_[slot] == nullptr, "a slab goes when none of its slots has a connection");
    }
    const uint8_t* const base = slab.memory.get();
    std::erase_if(assemblies_, [&](const uint8_t* at) { return at >= base && at < base + slab.bytes; });
    slot_count_ = slab.first;
    slabs_.pop_back();
    connections_.resize(slot_count_);
    dirty_.resize(slot_count_);
  }
}

EngineModel::Slab& EngineModel::slab_of(uint32_t slot) {
  return *std::find_if(slabs_.begin(), slabs_.end(), [slot](const Slab& one) { return slot < one.first + one.count; });
}

void EngineModel::take_slot(Connection& connection) {
  Slab& slab = slab_of(connection.slot);
  const uint32_t index = connection.slot - slab.first;
  uint8_t* const base = slab.memory.get();
  uint8_t* const shared = base + slab.slots_offset + size_t{index} * layout::kSlotBytes;
  const EngineOptions& options = shape_.options;
  const RingPlace place = {base + slab.rings_offset + size_t{index} * options.send_ring_bytes,
                           reinterpret_cast<int32_t*>(shared),
                           reinterpret_cast<double*>(shared + layout::kSlotCountersOffset),
                           options.send_ring_bytes,
                           options.message_length_max,
                           shape_.flush_bytes};
  connection.ring = std::make_unique<SendRingModel>(static_cast<RingEngine&>(*this), connection.slot, place,
                                                    ledger_.stream(connection.ledger_link, connection.side));
}

// ---- What the program does

int EngineModel::listen(const ServerOptions& options, uint16_t port) {
  Address address;
  Address bound;
  require(Address::parse("127.0.0.1", port, address), "an address is made from a port");
  uint32_t server = 0;
  const int error = engine_->listen(options, address, server, bound);
  if (error != 0) return error;
  if (server >= servers_.size()) servers_.resize(server + 1);
  require(!servers_[server].used, "a server's number is used once at a time");
  servers_[server] = {true, false, server, bound.port(), options, 0};
  trace_.add('e', number, "server # listens on port #", {server, bound.port()});
  return 0;
}

void EngineModel::stop_server(uint32_t server) {
  ServerModel& it = servers_[server];
  if (!it.used || it.stopping) return;
  trace_.add('e', number, "server # stops", {server});
  it.stopping = true;
  engine_->unlisten(server);
  for (const auto& connection : connections_) {
    if (connection != nullptr && connection->server == server && connection->connected && !connection->disconnected) {
      leave(*connection);
    }
  }
  engine_->close_peers(server, static_cast<uint16_t>(Code::GoingAway));
  end_server_if_over(server);
}

void EngineModel::end_server_if_over(uint32_t server) {
  ServerModel& it = servers_[server];
  if (!it.used || !it.stopping || !engine_->server_is_over(server)) return;
  check_server_counters(server);
  trace_.add('e', number, "server # has stopped", {server});
  engine_->forget_server(server);
  it.used = false;
}

int EngineModel::connect(const ClientOptions& options, uint16_t port) {
  if (engine_->slots_free() == 0 && !add_slab()) return ENOMEM;
  Address address;
  require(Address::parse("127.0.0.1", port, address), "an address is made from a port");
  uint32_t slot = 0;
  const int error = engine_->connect(options, address, slot);
  if (error != 0) return error;
  require(connections_[slot] == nullptr, "a client gets a slot that is free");
  auto made = std::make_unique<Connection>();
  made->engine = this;
  made->slot = slot;
  made->link = made->ledger_link = io_.link_of(slot);
  made->side = kClientSide;
  made->classic = options.classic;
  made->options = options;
  made->port = port;
  if (options.resumes != kNone) made->ledger_link = connections_[options.resumes]->ledger_link;
  made->held = options.holds_hello;
  made->linger_ms = options.linger_ms;
  made->idle_timeout_ms = options.idle_timeout_ms;
  made->half_open = options.half_open;
  take_slot(*made);
  trace_.add('e', number, "slot # connects to port #, link #", {slot, port, made->link});
  connections_[slot] = std::move(made);
  return 0;
}

bool EngineModel::tries_again(const Connection& suspended) const {
  return std::any_of(connections_.begin(), connections_.end(), [&](const auto& connection) {
    return connection != nullptr && connection->server == kNone && connection->options.resumes == suspended.slot &&
           !connection->connected && !connection->disconnected;
  });
}

void EngineModel::connect_again(const Connection& suspended) {
  if (tries_again(suspended)) return;
  ClientOptions options = suspended.options;
  options.resumes = suspended.slot;
  (void)connect(options, suspended.port);
}

void EngineModel::close(Connection& connection, uint16_t code, const std::string& reason) {
  if (!connection.receiving) return;
  trace_.add('e', number, "slot # is closed by the program with code #", {connection.slot, code});
  leave(connection);
  engine_->close(connection.slot, code, reason);
}

void EngineModel::leave(Connection& connection) {
  if (!connection.receiving) return;
  connection.receiving = false;
  connection.ring->close();
}

void EngineModel::end(Connection& connection) {
  if (connection.in_session || !connection.open()) return;
  trace_.add('e', number, "slot # is ended by the program", {connection.slot});
  connection.ended = true;
  connection.ring->close();
  engine_->end(connection.slot);
}

void EngineModel::abort(Connection& connection) {
  trace_.add('e', number, "slot # is aborted by the program", {connection.slot});
  connection.receiving = false;
  connection.ring->close();
  if (!connection.suspended) network_.link(connection.link).touched = true;
  engine_->abort(connection.slot);
}

void EngineModel::ask(Connection& connection) {
  connection.asked += 1;
  engine_->ask(connection.slot);
}

// ---- Sending

void EngineModel::mark_dirty(SendRingModel& ring) {
  require(dirty_count_ < dirty_.size(), "the dirty list has room for each slot");
  dirty_[dirty_count_] = &ring;
  reinterpret_cast<int32_t*>(core_ + layout::kDirtyOffset)[dirty_count_] = static_cast<int32_t>(ring.slot);
  word(layout::kWordDirtyCount) = static_cast<int32_t>(++dirty_count_);
}

void EngineModel::flush() {
  const uint32_t count = dirty_count_;
  if (count == 0) return;
  for (uint32_t i = 0; i < count; ++i) dirty_[i]->publish();
  const uint64_t before = allocations_counted();
  {
    const Counting counting(true);
    engine_->flush();
  }
  require_equal(allocations_counted(), before, "a flush allocates nothing");
  dirty_count_ = 0;
  for (uint32_t i = 0; i < count; ++i) {
    if (dirty_[i]->flushed()) mark_dirty(*dirty_[i]);
  }
  word(layout::kWordDirtyCount) = static_cast<int32_t>(dirty_count_);
  if (!dispatching_) retired_.clear();
}

void EngineModel::flush_one(SendRingModel& ring) {
  const uint64_t before = allocations_counted();
  {
    const Counting counting(true);
    engine_->flush_slot(ring.slot);
  }
  require_equal(allocations_counted(), before, "a flush allocates nothing");
}

uint32_t EngineModel::send_straight(SendRingModel& ring, uint32_t position, std::span<const uint8_t> frame) {
  const uint64_t before = allocations_counted();
  uint32_t taken = 0;
  {
    const Counting counting(true);
    taken = engine_->send_straight(ring.slot, position, load<uint32_t>(frame.data()), frame.subspan(kHeaderBytes));
  }
  require_equal(allocations_counted(), before, "a send allocates nothing");
  return taken;
}

// ---- The event loop

bool EngineModel::turn() {
  const uint64_t reports = io_.counts().reports;
  const uint64_t sends = io_.counts().sends;
  const uint64_t events = tally_.events;
  const bool resumed = deliver_resumed();
  const auto moved = [&] {
    return resumed || io_.counts().reports != reports || io_.counts().sends != sends || tally_.events != events || goes_on();
  };
  if (!postponed_.empty() && random_.chance(300)) give_late_verdict();
  if (shape_.wait == Wait::Manual) {
    if (dirty_count_ > 0) flush();
    if (!batch_open_) native_poll(true);
    if (word(layout::kWordEventsProduced) != 0 || batch_open_) dispatch();
    return moved();
  }
  if (dirty_count_ > 0) flush();
  const uint64_t now = network_.now_ns();
  const bool rings = now >= engine_->next_due_ns();
  const bool spinning = shape_.wait == Wait::Spin || (shape_.wait == Wait::Hybrid && now - last_event_ns_ < kHybridSpinNs);
  const bool awake = spinning || spun_ || rings || engine_->wants_poll() || io_.readable();
  if (awake) {
    spun_ = spinning;
    native_poll(spinning);
    // Otherwise a loop that sets its timer to the next deadline would spin.
    require(batch_open_ || word(layout::kWordEventsProduced) > 0 || engine_->wants_poll() || engine_->next_due_ns() > now,
            "what was due is done, put off, or wants another poll");
    if (word(layout::kWordEventsProduced) > 0) {
      last_event_ns_ = now;
      // A handler that throws ends the call; the next call goes on with the message behind it.
      while (!dispatch()) {
      }
    }
    if (dirty_count_ > 0) flush();
  }
  return moved();
}

// Whether the loop has another turn that does something: a listener that is not paused any more may have a connection. A loop
// that spins finds it, whether or not the wait handle shows it.
bool EngineModel::goes_on() {
  const bool polls_anyway = spun_ || shape_.wait == Wait::Spin || shape_.wait == Wait::Manual;
  return engine_->wants_poll() || (polls_anyway ? io_.has_ready() : io_.readable());
}

void EngineModel::native_poll(bool spinning) {
  ++polls_;
  const uint64_t before = allocations_counted();
  uint64_t setups = io_.counts().accepted;
  const bool due = network_.now_ns() >= engine_->next_due_ns();
  {
    const Counting counting(true);
    engine_->poll(spinning);
  }
  const auto produced = static_cast<uint32_t>(word(layout::kWordEventsProduced));
  require(produced <= shape_.options.events_capacity - 1, "the event ring is never full");
  setups = io_.counts().accepted - setups;
  for (uint32_t i = 0; i < produced; ++i) {
    const int32_t* const event = event_words_ + static_cast<size_t>(i) * layout::kEventWords;
    require(due || !reports_timeout(event), "no time runs out before the engine says that something is due");
    switch (static_cast<EventKind>(event[0])) {
      case EventKind::Run:
      case EventKind::Message:
      case EventKind::Drain:
      case EventKind::Pong:
      case EventKind::Idle:
      case EventKind::Ended:
        break;
      default:
        ++setups;
    }
  }
  if (setups == 0) require_equal(allocations_counted(), before, "nothing is allocated while messages flow");
}

// ---- Checks

void EngineModel::check_idle_limits(uint64_t from_ns) const {
  for (const auto& connection : connections_) {
    if (connection == nullptr || connection->idle_timeout_ms == 0) continue;
    if (!connection->connected || connection->disconnected || connection->suspended) continue;
    if (connection->other_ended) continue;
    const uint64_t since_ns = std::max({from_ns, io_.heard_ns(connection->slot), connection->idle_set_ns});
    const uint64_t limit_ns = connection->idle_timeout_ms * kMillisecondNs;
    require(network_.now_ns() - since_ns < limit_ns * 4 / 3 + kPutOffNs, "an idle connection ends");
  }
}

const double* EngineModel::server_counters(uint32_t server) const {
  return reinterpret_cast<const double*>(core_ + layout::kServerCountersOffset + size_t{server} * layout::kServerCountersBytes);
}

void EngineModel::check_server_counters(uint32_t server) const {
  const double* const counts = server_counters(server);
  require_equal(static_cast<uint64_t>(counts[layout::kServerCounterRefused]), servers_[server].refused,
                "all refusals are reported when a server has stopped");
  require(counts[layout::kServerCounterEnded] == 0, "no connection is left when a server has stopped");
  require(counts[layout::kServerCounterHandshakes] == 0, "no handshake is left when a server has stopped");
  require(counts[layout::kServerCounterPeers] == 0, "no peer is left when a server has stopped");
  require(counts[layout::kServerCounterConnected] == counts[layout::kServerCounterDisconnected],
          "as many peers left as came when a server has stopped");
  require(
      counts[layout::kServerCounterAccepted] >= counts[layout::kServerCounterConnected] + counts[layout::kServerCounterRefused],
      "an accepted connection becomes a peer or is refused");
}

void EngineModel::audit() {
  if (dispatching_) return;
  std::vector<bool> closing(slot_count_);
  for (uint32_t slot = 0; slot < slot_count_; ++slot) closing[slot] = io_.closing(slot);
  EngineAudit::check(*engine_, assemblies_, closing);
  const IoCounts& counts = io_.counts();
  require_equal(static_cast<uint64_t>(counter(layout::kEngineCounterReceives)), counts.receives, "receives are counted");
  require_equal(static_cast<uint64_t>(counter(layout::kEngineCounterBytesReceived)), counts.bytes_received,
                "received bytes are counted");
  require_equal(static_cast<uint64_t>(counter(layout::kEngineCounterSends)), counts.sends, "sends are counted");
  require_equal(static_cast<uint64_t>(counter(layout::kEngineCounterSendsBlocked)), counts.sends_blocked,
                "blocked sends are counted");
  require_equal(static_cast<uint64_t>(counter(layout::kEngineCounterBytesSent)), counts.bytes_sent, "sent bytes are counted");
  if (batch_open_) return;
  require_equal(static_cast<uint64_t>(counter(layout::kEngineCounterEvents)), tally_.events, "events are counted");
  require_equal(static_cast<uint64_t>(counter(layout::kEngineCounterMessagesReceived)), tally_.messages, "messages are counted");
}

}  // namespace zerio::simulation
