// The random steps of a raw peer.
#include "raw_peer.h"

#include <algorithm>

namespace zerio::simulation {
namespace {

void put(std::vector<uint8_t>& out, uint32_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) out.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

}  // namespace

RawPeer::RawPeer(Network& network, Random& random, Trace& trace, uint32_t link, int side, std::unique_ptr<Reference> reference)
    : network_(network),
      random_(random),
      trace_(trace),
      link_(link),
      side_(side),
      reference_(std::move(reference)),
      reads_(random.chance(800)),
      asks_(side == kClientSide && link % 3 == 0) {}

std::vector<uint8_t> RawPeer::noise(size_t most) {
  std::vector<uint8_t> bytes(random_.below(most + 1));
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random_.next());
  return bytes;
}

void RawPeer::frame(uint32_t kind, const std::vector<uint8_t>& payload) {
  put(unsent_, static_cast<uint32_t>(payload.size()) | kind << 24, 4);
  unsent_.insert(unsent_.end(), payload.begin(), payload.end());
}

void RawPeer::greet(const std::string& id, bool classic) {
  if (random_.chance(50)) return;
  std::vector<uint8_t> payload;
  if (!classic) {
    put(payload, 0x4f49525a, 4);
    put(payload, random_.chance(20) ? 2 : 1, 1);
    put(payload, 0, 1);
    put(payload, static_cast<uint32_t>(id.size()), 2);
    put(payload, random_.chance(20) ? 0x1000000 : static_cast<uint32_t>(random_.below(70000)), 4);
    put(payload, side_ == kClientSide ? 3 : 0, 2);
    put(payload, asks_ ? 4 : 0, 2);
  }
  payload.insert(payload.end(), id.begin(), id.end());
  if (!classic && side_ == kClientSide) payload.insert(payload.end(), {1, 2, 3});
  if (!classic && asks_) payload.insert(payload.end(), {2, 0, 0, 0});
  if (random_.chance(100) && !payload.empty()) payload[random_.below(payload.size())] = static_cast<uint8_t>(random_.next());
  if (random_.chance(20)) payload.pop_back();
  const uint32_t kind = side_ == kClientSide ? 0x81 : 0x82;
  frame(random_.chance(20) ? static_cast<uint32_t>(random_.below(256)) : (classic ? 0 : kind), payload);
}

void RawPeer::something() {
  static constexpr uint32_t kLengths[] = {0, 1, 7, 100, 1000, 5000};
  // With more of them the order of steps would decide whether one is the ninth without an answer.
  if (asks_ && requests_ < 8 && random_.chance(150)) {
    ++requests_;
    frame(random_.chance(500) ? 0x88 : 0x89, {7, 0, 0, 0, 'f', 'x'});
    return;
  }
  switch (random_.below(12)) {
    case 0:
      frame(0x84, std::vector<uint8_t>(8, 0x55));
      return;
    case 1:
      frame(0x85, std::vector<uint8_t>(8, 0xaa));
      return;
    case 2:
      if (!random_.chance(200)) return;
      frame(0x86, {0xe8, 0x03, 'b', 'y', 'e'});
      return;
    case 3:
      if (!random_.chance(200)) return;
      for (const uint8_t byte : noise(64)) unsent_.push_back(byte);
      return;
    case 4:
      if (!random_.chance(100)) return;
      frame(static_cast<uint32_t>(random_.below(256)), noise(1500));
      return;
    case 5:
      // A flood of the smallest frames, which makes the most events.
      for (uint64_t i = random_.below(300); i > 0; --i) {
        if (random_.chance(500)) {
          frame(0, {});
        } else {
          frame(0x85, std::vector<uint8_t>(8, 0x11));
        }
      }
      return;
    default:
      frame(static_cast<uint32_t>(random_.below(random_.chance(500) ? 1 : 128)),
            std::vector<uint8_t>(random_.below(random_.pick(kLengths) + 1), 0x77));
  }
}

void RawPeer::write() {
  const size_t count = std::min({unsent_.size(), network_.room(link_, side_), static_cast<size_t>(random_.between(1, 4096))});
  if (count == 0) return;
  network_.write(link_, side_, unsent_.data(), count);
  reference_->feed(unsent_.data(), count);
  unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<std::ptrdiff_t>(count));
}

void RawPeer::act() {
  if (gone_) return;
  Link& link = network_.link(link_);
  if (link.phase == Link::Phase::Refused || link.ends[side_].error != 0) {
    network_.close(link_, side_, false);
    gone_ = true;
    return;
  }
  if (reads_ && !link.to(side_).inbox.empty()) {
    std::vector<uint8_t> read(random_.between(1, link.to(side_).inbox.size()));
    link.to(side_).inbox.pop(read.data(), read.size());
  }
  if (finished_) {
    if (random_.chance(100)) {
      network_.close(link_, side_, random_.chance(300));
      gone_ = true;
    }
    return;
  }
  if (unsent_.size() < 100000 && random_.chance(unsent_.empty() ? 600 : 300)) something();
  write();
  if (random_.chance(5)) {
    trace_.add('r', link_, "sends its end of stream");
    network_.finish(link_, side_);
    finished_ = true;
  } else if (random_.chance(5)) {
    trace_.add('r', link_, "leaves");
    network_.close(link_, side_, random_.chance(500));
    gone_ = true;
  }
}

}  // namespace zerio::simulation
