// The simulated backend: what it does where the rules of io.h leave a choice.
#include "simulated_io.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "allocations.h"

namespace zerio::simulation {

bool SimulatedIo::fails(Call call, uint32_t per_mille, uint32_t link, int& error) {
  const bool torture = torture_.strikes();
  if (!torture && !(faults_.on && random_.chance(per_mille))) return false;
  ++counts_.reports;
  error = error_of(call, torture ? torture_.choice : random_.below(kErrorsOfCall));
  if (torture) {
    torture_.failed = true;
    torture_.call = call;
    torture_.error = error;
    torture_.link = link;
  }
  trace_.add('e', number_, "call # fails with error #", {static_cast<uint64_t>(call), static_cast<uint64_t>(error)});
  return true;
}

void SimulatedIo::reserve(uint32_t count) {
  const Counting not_counting(false);
  if (count > slots_.size()) slots_.resize(count);
}

void SimulatedIo::remove_slots(uint32_t first) {
  for (uint32_t slot = first; slot < slots_.size(); ++slot) {
    require(!slots_[slot].alive, "a slab goes when all of its slots are free");
    require(slots_[slot].rest.empty(), "a slab goes when the system reads none of it");
  }
  slots_.resize(first);
}

uint32_t SimulatedIo::keep_ahead(uint8_t* arena, uint32_t bytes) {
  if (shape_ == Shape::Readiness || random_.chance(300)) return 0;
  ahead_ = {arena + bytes / 2, bytes / 2};
  return bytes / 2;
}

int SimulatedIo::listen(uint32_t server, const Address& address, const ListenOptions& options, Address& bound) {
  const Counting not_counting(false);
  int error = 0;
  if (fails(Call::Listen, faults_.listen_error, 0xffffffff, error)) return error;
  uint16_t port = address.port();
  error = network_.listen(port, options.backlog);
  if (error != 0) return error;
  if (server >= listeners_.size()) listeners_.resize(server + 1);
  require(!listeners_[server].open, "a server's number is used once at a time");
  listeners_[server] = {true, false, port};
  require(Address::parse("127.0.0.1", port, bound), "an address is made from a port");
  return 0;
}

void SimulatedIo::accept_pause(uint32_t server, bool paused) { listeners_[server].paused = paused; }

void SimulatedIo::unlisten(uint32_t server) {
  const Counting not_counting(false);
  require(listeners_[server].open, "only an open listener is closed");
  listeners_[server].open = false;
  network_.unlisten(listeners_[server].port);
}

void SimulatedIo::die() {
  const Counting not_counting(false);
  for (const Listening& listening : listeners_) {
    if (listening.open) network_.unlisten(listening.port);
  }
  for (const Slot& slot : slots_) {
    if (!slot.alive || (!slot.open && !slot.closing)) continue;
    network_.link(slot.link).touched = true;
    network_.close(slot.link, slot.side, true);
  }
}

void SimulatedIo::begin(uint32_t slot, uint32_t link, int side) {
  Slot& it = slots_[slot];
  require(!it.alive, "a slot's next life begins after its Released event");
  it.link = link;
  it.side = side;
  it.alive = it.open = it.receiving = true;
  it.paused = it.connecting = it.blocked = it.told_late = it.closing = it.finished = it.end_reported = false;
  it.taken = 0;
  it.rest.clear();
  it.bytes.clear();
  it.heard_ns = network_.now_ns();
}

void SimulatedIo::slot_released(uint32_t slot) {
  require(slots_[slot].alive, "a slot is released once");
  require(!slots_[slot].open && !slots_[slot].closing, "a slot is released after its connection is closed");
  slots_[slot].alive = false;
}

int SimulatedIo::connect(uint32_t slot, const Address& address, const SocketOptions& options) {
  const Counting not_counting(false);
  (void)options;
  int error = 0;
  if (fails(Call::Connect, faults_.connect_error / 2, 0xffffffff, error)) return error;
  begin(slot, network_.connect(address.port()), kClientSide);
  slots_[slot].connecting = true;
  ++counts_.connects;
  return 0;
}

int SimulatedIo::attach(uint32_t slot, AcceptedSocket socket, const SocketOptions& options) {
  const Counting not_counting(false);
  (void)options;
  const auto link = static_cast<uint32_t>(socket);
  int error = 0;
  if (fails(Call::Attach, faults_.attach_error, link, error)) {
    network_.close(link, kServerSide, false);
    ++counts_.attach_failed;
    return error;
  }
  begin(slot, link, kServerSide);
  trace_.add('e', number_, "slot # accepts link #", {slot, link});
  return 0;
}

void SimulatedIo::discard(AcceptedSocket socket) {
  const Counting not_counting(false);
  const auto link = static_cast<uint32_t>(socket);
  network_.close(link, kServerSide, false);
  ++counts_.discarded;
}

void SimulatedIo::receive_stop(uint32_t slot) { slots_[slot].receiving = slots_[slot].paused = false; }

void SimulatedIo::receive_pause(uint32_t slot, bool paused) {
  Slot& it = slots_[slot];
  if (paused ? !it.receiving : !it.paused) return;
  it.receiving = !paused;
  it.paused = paused;
  it.under_way = shape_ == Shape::Completion && random_.chance(500);
}

bool SimulatedIo::has_broken(uint32_t slot) const {
  const Slot& it = slots_[slot];
  return network_.link(it.link).ends[it.side].error != 0;
}

size_t SimulatedIo::take(Slot& slot, const IoSlice* slices, uint32_t count, size_t most) {
  size_t taken = 0;
  for (uint32_t i = 0; i < count && taken < most; ++i) {
    const size_t bytes = std::min(slices[i].size, most - taken);
    network_.write(slot.link, slot.side, slices[i].data, bytes);
    taken += bytes;
  }
  return taken;
}

int64_t SimulatedIo::send(uint32_t slot, const IoSlice* slices, uint32_t count) {
  const Counting not_counting(false);
  Slot& it = slots_[slot];
  require(it.open && !it.connecting, "bytes are sent over an open connection");
  require(!it.blocked, "no send is made while another one is under way");
  require(!it.finished, "nothing is sent behind the end of the stream");
  size_t total = 0;
  for (uint32_t i = 0; i < count; ++i) {
    require(slices[i].size > 0, "no slice is empty");
    total += slices[i].size;
  }
  int error = network_.link(it.link).ends[it.side].error;
  if (error != 0) return -error;
  size_t most = std::min(total, network_.room(it.link, it.side));
  if (fails(Call::Send, faults_.send_error, it.link, error)) {
    if (error != ENOBUFS) {
      network_.cut(it.link, error);
      return -error;
    }
    most = 0;
  } else if (faults_.on && random_.chance(faults_.no_buffers)) {
    most = 0;
  } else if (faults_.on && random_.chance(faults_.short_send)) {
    most = random_.below(most + 1);
  }
  if (shape_ == Shape::Completion && random_.chance(500)) most = 0;
  const size_t taken = take(it, slices, count, most);
  ++counts_.sends;
  counts_.bytes_sent += taken;
  trace_.add('e', number_, "slot # sends # of # bytes", {slot, taken, total});
  if (taken == total) return static_cast<int64_t>(taken);
  ++counts_.sends_blocked;
  it.blocked = true;
  if (shape_ == Shape::Completion) {
    size_t skipped = taken;
    for (uint32_t i = 0; i < count; ++i) {
      const size_t skip = std::min(skipped, slices[i].size);
      skipped -= skip;
      if (skip == slices[i].size) continue;
      it.rest.push_back({slices[i].data + skip, slices[i].size - skip});
      it.bytes.insert(it.bytes.end(), slices[i].data + skip, slices[i].data + slices[i].size);
    }
  }
  return static_cast<int64_t>(taken);
}

void SimulatedIo::check_unchanged(const Slot& slot) const {
  const uint8_t* expected = slot.bytes.data();
  for (const IoSlice& slice : slot.rest) {
    require(std::memcmp(slice.data, expected, slice.size) == 0, "memory that is being sent does not change");
    expected += slice.size;
  }
}

void SimulatedIo::shutdown(uint32_t slot) {
  const Counting not_counting(false);
  Slot& it = slots_[slot];
  require(it.open && !it.blocked, "the end of the stream is sent behind all bytes");
  it.finished = true;
  trace_.add('e', number_, "slot # sends no more", {slot});
  network_.finish(it.link, it.side);
}

bool SimulatedIo::close(uint32_t slot, bool reset) {
  const Counting not_counting(false);
  Slot& it = slots_[slot];
  require(it.open, "a connection is closed once");
  it.open = false;
  trace_.add('e', number_, "slot # closes, reset #", {slot, reset ? 1U : 0U});
  network_.close(it.link, it.side, reset);
  it.closing = shape_ == Shape::Completion && (!it.rest.empty() || random_.chance(500));
  if (!it.closing) it.blocked = false;
  return !it.closing;
}

void SimulatedIo::addresses(uint32_t slot, Address& local, Address& remote) const {
  (void)slot;
  local.set_size(0);
  remote.set_size(0);
}

bool SimulatedIo::connect_done(const Slot& slot) const {
  const Link::Phase phase = network_.link(slot.link).phase;
  return phase != Link::Phase::Asking || network_.link(slot.link).ends[slot.side].error != 0;
}

bool SimulatedIo::can_take(const Slot& slot) const {
  return slot.told_late || network_.room(slot.link, slot.side) > 0 || network_.link(slot.link).ends[slot.side].error != 0;
}

bool SimulatedIo::has_input(const Slot& slot) const {
  const Link& link = network_.link(slot.link);
  const Pipe& pipe = link.pipes[1 - slot.side];
  return !pipe.inbox.empty() || link.ends[slot.side].error != 0 || (pipe.end_arrived && !slot.end_reported);
}

// Whether its next receive may be made. A paused connection is received from when it is broken, or has ended with nothing in
// front.
bool SimulatedIo::reads(const Slot& slot) const {
  if (!slot.paused || slot.under_way) return slot.receiving || slot.paused;
  const Link& link = network_.link(slot.link);
  const Pipe& pipe = link.pipes[1 - slot.side];
  return link.ends[slot.side].error != 0 || (pipe.end_arrived && pipe.inbox.empty());
}

// Both directions are gone, which a readiness backend reports although it has stopped to receive.
bool SimulatedIo::has_failed(const Slot& slot) const {
  const Link& link = network_.link(slot.link);
  return shape_ == Shape::Readiness &&
         (link.ends[slot.side].error != 0 || (slot.finished && link.pipes[1 - slot.side].end_arrived));
}

void SimulatedIo::collect() {
  ready_.clear();
  for (uint32_t server = 0; server < listeners_.size(); ++server) {
    const Listening& it = listeners_[server];
    if (it.open && !it.paused && network_.has_queued(it.port)) ready_.push_back({Ready::Listener, server});
  }
  for (uint32_t slot = 0; slot < slots_.size(); ++slot) {
    const Slot& it = slots_[slot];
    if (it.closing) {
      ready_.push_back({Ready::Closing, slot});
    } else if (it.open && it.connecting) {
      if (connect_done(it)) ready_.push_back({Ready::Connecting, slot});
    } else if (it.open) {
      if (it.blocked && can_take(it)) ready_.push_back({Ready::Blocked, slot});
      if (reads(it) && has_input(it)) ready_.push_back({Ready::Readable, slot});
      if (!it.receiving && !it.paused && has_failed(it)) ready_.push_back({Ready::Failed, slot});
    }
  }
}

bool SimulatedIo::readable() { return !deaf_ && !left_over_ && has_ready(); }

bool SimulatedIo::has_ready() {
  collect();
  return !ready_.empty();
}

void SimulatedIo::poll(IoSink& sink, bool spinning) {
  const Counting not_counting(false);
  collect();
  if (faults_.on) {
    for (size_t i = ready_.size(); i > 1; --i) std::swap(ready_[i - 1], ready_[random_.below(i)]);
  }
  ahead_used_ = 0;
  all_ahead_ = random_.chance(500);
  size_t reported = 0;
  for (size_t i = 0; i < ready_.size() && sink.has_room(); ++i) {
    if (faults_.on && random_.chance(faults_.late)) continue;
    report(sink, ready_[i]);
    ++reported;
  }
  left_over_ = shape_ == Shape::Completion && reported < ready_.size();
  deaf_ = spinning && random_.chance(500);
}

void SimulatedIo::report(IoSink& sink, const Item& item) {
  ++counts_.reports;
  if (item.ready == Ready::Listener) {
    accept(sink, item.index);
    return;
  }
  // An earlier report of this poll may have closed it.
  Slot& it = slots_[item.index];
  if (item.ready == Ready::Closing) {
    check_unchanged(it);
    it.rest.clear();
    it.closing = it.blocked = false;
    const Counting counting(true);
    sink.on_closed(item.index);
    return;
  }
  if (!it.open) return;
  switch (item.ready) {
    case Ready::Connecting:
      finish_connect(sink, item.index);
      return;
    case Ready::Blocked:
      go_on_sending(sink, item.index);
      if (faults_.twice && it.open && it.blocked && can_take(it) && sink.has_room()) go_on_sending(sink, item.index);
      return;
    case Ready::Readable:
      for (uint64_t times = random_.between(1, random_.chance(50) ? 1000 : 3); times > 0 && receive(sink, item.index); --times) {
      }
      return;
    default: {
      if (it.receiving || it.paused) return;
      const Counting counting(true);
      sink.on_received(item.index, nullptr, 0, ECONNRESET);
    }
  }
}

void SimulatedIo::accept(IoSink& sink, uint32_t server) {
  for (uint64_t most = random_.between(1, 8); most > 0; --most) {
    const Listening& it = listeners_[server];
    if (!it.open || it.paused || !network_.has_queued(it.port) || !sink.can_accept(server)) return;
    int error = 0;
    if (fails(Call::Accept, faults_.accept_error, 0xffffffff, error)) {
      const Counting counting(true);
      sink.on_accept_error(server, error);
      return;
    }
    ++counts_.accepted;
    const uint32_t link = network_.accept(it.port);
    const Counting counting(true);
    sink.on_accepted(server, static_cast<AcceptedSocket>(link));
  }
}

void SimulatedIo::finish_connect(IoSink& sink, uint32_t slot) {
  Slot& it = slots_[slot];
  const Link& link = network_.link(it.link);
  int error = link.phase == Link::Phase::Refused ? link.connect_error : link.ends[it.side].error;
  if (error == 0 && fails(Call::ConnectLater, faults_.connect_error / 2, it.link, error)) network_.cut(it.link, error);
  it.connecting = false;
  trace_.add('e', number_, "slot # has connected with error #", {slot, static_cast<uint64_t>(error)});
  const Counting counting(true);
  sink.on_connected(slot, error);
}

void SimulatedIo::go_on_sending(IoSink& sink, uint32_t slot) {
  Slot& it = slots_[slot];
  if (!it.blocked) return;
  check_unchanged(it);
  int error = it.told_late ? 0 : network_.link(it.link).ends[it.side].error;
  size_t taken = std::exchange(it.taken, 0);
  // The connection breaks, and the system does not say that it took some.
  if (it.told_late && faults_.on && random_.chance(200)) {
    network_.cut(it.link, error = ECONNRESET);
    taken = 0;
  }
  if (!std::exchange(it.told_late, false) && shape_ == Shape::Completion && error == 0 &&
      !(faults_.on && random_.chance(faults_.no_buffers))) {
    size_t most = std::min(it.bytes.size(), network_.room(it.link, it.side));
    if (faults_.on && random_.chance(faults_.short_send)) most = random_.below(most + 1);
    taken = take(it, it.rest.data(), static_cast<uint32_t>(it.rest.size()), most);
    // The other side may answer before the completion comes.
    if (faults_.on && taken > 0 && random_.chance(faults_.late)) {
      it.taken = taken;
      it.told_late = true;
      return;
    }
  }
  counts_.bytes_sent += taken;
  it.blocked = false;
  it.rest.clear();
  it.bytes.clear();
  trace_.add('e', number_, "slot # has sent # bytes more", {slot, taken});
  const Counting counting(true);
  sink.on_sent(slot, taken, shape_ == Shape::Completion ? error : 0);
}

// False when there is nothing more to receive.
bool SimulatedIo::receive(IoSink& sink, uint32_t slot) {
  Slot& it = slots_[slot];
  if (!it.open || !reads(it) || !has_input(it)) return false;
  const Link& link = network_.link(it.link);
  Pipe& pipe = network_.link(it.link).to(it.side);
  int error = link.ends[it.side].error;
  if (pipe.inbox.empty() && error != 0) {
    const Counting counting(true);
    sink.on_received(slot, nullptr, 0, error);
    return false;
  }
  // A receive that was made ahead lies in the backend's own memory.
  const bool ahead = ahead_used_ < ahead_.size && (all_ahead_ || random_.chance(500));
  if (!sink.has_room()) return false;
  const IoSpace space = ahead ? IoSpace{ahead_.data + ahead_used_, ahead_.size - ahead_used_} : sink.receive_space(slot);
  if (space.size == 0) return false;
  if (fails(Call::Receive, faults_.receive_error, it.link, error)) {
    network_.cut(it.link, error);
    const Counting counting(true);
    sink.on_received(slot, nullptr, 0, error);
    return false;
  }
  size_t most = std::min(space.size, pipe.inbox.size());
  if (faults_.on && most > 0 && random_.chance(faults_.short_receive))
    most = random_.between(1, random_.chance(500) ? std::min<size_t>(most, 8) : most);
  if (ahead && all_ahead_) most = std::min<size_t>(most, random_.between(8, 64));
  // A readiness backend reports the end of the stream again and again, until the engine stops receiving; a completion comes once.
  if (most == 0) it.end_reported = shape_ == Shape::Completion;
  pipe.inbox.pop(space.data, most);
  if (ahead) ahead_used_ += most;
  if (most > 0) {
    ++counts_.receives;
    it.heard_ns = network_.now_ns();
  }
  counts_.bytes_received += most;
  it.under_way = false;
  trace_.add('e', number_, "slot # receives # bytes", {slot, most});
  const Counting counting(true);
  sink.on_received(slot, space.data, most, 0);
  return most > 0;
}

}  // namespace zerio::simulation
