// How bytes, ends of streams and resets move in the simulated network.
#include "network.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace zerio::simulation {

int error_of(Call call, uint64_t choice) {
  static constexpr int kListen[] = {EADDRINUSE, EMFILE, EACCES};
  static constexpr int kConnect[] = {EMFILE, ENETUNREACH, EADDRNOTAVAIL};
  static constexpr int kConnectLater[] = {ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH};
  static constexpr int kAccept[] = {EMFILE, ENFILE, ENOBUFS};
  static constexpr int kAttach[] = {ENOMEM, ENOSPC, ENOMEM};
  // ENOBUFS means a full buffer; the others end the connection.
  static constexpr int kSend[] = {EPIPE, ECONNRESET, ENOBUFS};
  static constexpr int kReceive[] = {ECONNRESET, ETIMEDOUT, EHOSTUNREACH};
  const uint64_t index = choice % kErrorsOfCall;
  switch (call) {
    case Call::Listen:
      return kListen[index];
    case Call::Connect:
      return kConnect[index];
    case Call::ConnectLater:
      return kConnectLater[index];
    case Call::Accept:
      return kAccept[index];
    case Call::Attach:
      return kAttach[index];
    case Call::Send:
      return kSend[index];
    case Call::Receive:
      return kReceive[index];
  }
  return EIO;
}

void ByteQueue::push(const uint8_t* bytes, size_t count) {
  if (count > 0) bytes_.insert(bytes_.end(), bytes, bytes + count);
}

void ByteQueue::pop(uint8_t* out, size_t count) {
  if (count == 0) return;
  std::memcpy(out, bytes_.data() + first_, count);
  first_ += count;
  if (first_ == bytes_.size()) {
    clear();
  } else if (first_ > 65536) {
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

void ByteQueue::move_to(ByteQueue& other, size_t count) {
  other.push(bytes_.data() + first_, count);
  first_ += count;
  if (first_ == bytes_.size()) clear();
}

void ByteQueue::clear() {
  bytes_.clear();
  first_ = 0;
}

int Network::listen(uint16_t& port, uint32_t backlog) {
  if (port == 0) port = next_port_++;
  if (listeners_.count(port) > 0) return EADDRINUSE;
  listeners_[port].backlog = backlog;
  return 0;
}

void Network::unlisten(uint16_t port) {
  const auto found = listeners_.find(port);
  if (found == listeners_.end()) return;
  for (const uint32_t id : found->second.queue) close(id, kServerSide, true);
  listeners_.erase(found);
}

bool Network::has_queued(uint16_t port) const {
  const auto found = listeners_.find(port);
  return found != listeners_.end() && !found->second.queue.empty();
}

uint32_t Network::accept(uint16_t port) {
  Listener& listener = listeners_[port];
  const uint32_t id = listener.queue.front();
  listener.queue.pop_front();
  links_[id].phase = Link::Phase::Accepted;
  return id;
}

uint32_t Network::connect(uint16_t port) {
  const auto id = static_cast<uint32_t>(links_.size());
  links_.emplace_back();
  Link& made = links_.back();
  made.id = id;
  made.port = port;
  made.slow = faults_.on && random_.chance(100);
  for (Pipe& pipe : made.pipes) {
    static constexpr size_t kSizes[] = {512, 2048, 8192, 65536};
    pipe.wire_max = random_.pick(kSizes);
    pipe.inbox_max = random_.pick(kSizes);
  }
  live_.push_back(id);
  return id;
}

size_t Network::room(uint32_t id, int side) {
  const Pipe& pipe = links_[id].from(side);
  return pipe.wire_max - std::min(pipe.wire_max, pipe.wire.size());
}

void Network::write(uint32_t id, int side, const uint8_t* bytes, size_t count) { links_[id].from(side).wire.push(bytes, count); }

void Network::finish(uint32_t id, int side) { links_[id].from(side).end_sent = true; }

void Network::close(uint32_t id, int side, bool reset) {
  Link& link = links_[id];
  if (!link.ends[side].open) return;
  link.ends[side].open = false;
  if (link.ends[side].error != 0) return;
  if (reset || !link.to(side).inbox.empty()) {
    // Bytes on their way may arrive before the reset, or be lost.
    if (random_.chance(500)) link.from(side).wire.clear();
    reset_seen_by(link, 1 - side);
  } else {
    link.from(side).end_sent = true;
  }
  link.to(side).inbox.clear();
}

void Network::reset_seen_by(Link& link, int side) {
  if (link.ends[side].error != 0) return;
  link.ends[side].error = ECONNRESET;
  link.from(side).wire.clear();
  // On some systems a reader still gets what has arrived before a reset.
  if (random_.chance(300)) link.to(side).inbox.clear();
}

void Network::cut(uint32_t id, int error) {
  Link& link = links_[id];
  link.touched = true;
  for (const int side : {kClientSide, kServerSide}) {
    reset_seen_by(link, side);
    link.ends[side].error = error;
  }
}

void Network::stick(uint32_t id, uint64_t until_ns) {
  links_[id].touched = true;
  links_[id].stuck_until_ns = until_ns;
}

bool Network::can_move(const Link& link, int side) const {
  const Pipe& pipe = link.pipes[side];
  if (link.phase == Link::Phase::Refused || link.ends[1 - side].error != 0) return false;
  if (link.phase == Link::Phase::Asking) {
    const auto found = listeners_.find(link.port);
    return side == kClientSide && (found == listeners_.end() || found->second.queue.size() < found->second.backlog);
  }
  if (!pipe.wire.empty()) return !link.ends[1 - side].open || pipe.inbox.size() < pipe.inbox_max;
  return pipe.end_sent && !pipe.end_arrived;
}

bool Network::step() {
  if (live_.empty()) return false;
  const size_t first = random_.below(live_.size());
  for (size_t i = 0; i < live_.size(); ++i) {
    const size_t at = (first + i) % live_.size();
    Link& link = links_[live_[at]];
    if (faults_.on && (now_ns_ < link.stuck_until_ns || (link.slow && !random_.chance(100)))) continue;
    const bool both_closed = !link.ends[0].open && !link.ends[1].open;
    if (both_closed && link.phase != Link::Phase::Asking) {
      live_[at] = live_.back();
      live_.pop_back();
      return true;
    }
    const auto side = static_cast<int>(random_.below(2));
    for (const int one : {side, 1 - side}) {
      if (!can_move(link, one)) continue;
      move(link, one);
      return true;
    }
  }
  return false;
}

void Network::move(Link& link, int side) {
  if (link.phase == Link::Phase::Asking) {
    arrive_at_listener(link);
    return;
  }
  Pipe& pipe = link.pipes[side];
  if (pipe.wire.empty()) {
    pipe.end_arrived = true;
    trace_.add('l', link.id, "end of stream arrives at side #", {static_cast<uint64_t>(1 - side)});
    return;
  }
  if (!link.ends[1 - side].open) {
    trace_.add('l', link.id, "bytes arrive at side #, which is closed: reset", {static_cast<uint64_t>(1 - side)});
    pipe.wire.clear();
    reset_seen_by(link, side);
    return;
  }
  size_t most = std::min(pipe.wire.size(), pipe.inbox_max - pipe.inbox.size());
  if (faults_.on && random_.chance(600)) most = random_.between(1, link.slow ? std::min<size_t>(most, 16) : most);
  pipe.wire.move_to(pipe.inbox, most);
  trace_.add('l', link.id, "# bytes arrive at side #", {most, static_cast<uint64_t>(1 - side)});
}

void Network::arrive_at_listener(Link& link) {
  if (!link.ends[kClientSide].open) {
    link.phase = Link::Phase::Refused;
    return;
  }
  const auto found = listeners_.find(link.port);
  if (found == listeners_.end()) {
    link.phase = Link::Phase::Refused;
    link.connect_error = ECONNREFUSED;
  } else {
    link.phase = Link::Phase::Queued;
    found->second.queue.push_back(link.id);
  }
}

void Network::strike() {
  if (!faults_.on || live_.empty()) return;
  const uint32_t id = live_[random_.below(live_.size())];
  if (random_.chance(faults_.reset)) {
    trace_.add('l', id, "is cut");
    cut(id, random_.chance(500) ? ECONNRESET : ETIMEDOUT);
  }
  if (random_.chance(faults_.stuck)) {
    trace_.add('l', id, "is stuck");
    stick(id, now_ns_ + random_.between(1, 2000) * 1'000'000);
  }
}

}  // namespace zerio::simulation
