// The producer of a send ring, function by function as in src/engine/send_ring.ts.
#include "send_ring_model.h"

#include <algorithm>
#include <vector>

#include "../../addon/engine/bytes.h"
#include "../../addon/engine/framing.h"
#include "../../addon/engine/layout.h"
#include "../../addon/io/memory.h"

namespace zerio::simulation {

namespace {

constexpr int64_t kStaggeredParts = 8;

}  // namespace

bool SendRingModel::waits_for_drain() const { return !scribbled_ && place_.words[layout::kSlotDrainNeed] != 0; }

bool SendRingModel::may_drain() const { return scribbled_ || place_.words[layout::kSlotDrainNeed] != 0; }

void SendRingModel::open(bool classic, uint32_t remote_length_max, bool in_session) {
  classic_ = classic;
  sent_word_ = in_session ? layout::kSlotSent : layout::kSlotHead;
  length_max_ = std::min<int64_t>(length_max_, remote_length_max);
  status_ = Status::Sent;
}

void SendRingModel::take_over(const SendRingModel& old) {
  tail_ = old.tail_;
  limit_ = kNoLimitLeft;
  scribbled_ = old.scribbled_;
}

void SendRingModel::publish() {
  if (scribbled_) return;
  place_.words[layout::kSlotTail] = static_cast<int32_t>(tail_);
  place_.counters[layout::kSlotCounterMessagesSent] += messages_;
  messages_ = 0;
}

void SendRingModel::close() {
  if (status_ == Status::Sent) publish();
  status_ = Status::Closed;
  limit_ = kNoLimitLeft;
  if (claimed_ >= 0) claimed_ = kLostClaim;
}

bool SendRingModel::flushed() {
  dirty_ = claimed_ >= 0;
  limit_ = kNoLimitLeft;
  return dirty_;
}

void SendRingModel::drained() {
  if (!scribbled_) place_.words[layout::kSlotDrainNeed] = 0;
}

bool SendRingModel::needs_a_closer_look(uint32_t length, uint32_t channel) const {
  return tail_ + length > limit_ || channel != 0 || claimed_ != kNoClaim;
}

Status SendRingModel::send(uint32_t length, uint32_t channel) {
  if (scribbled_) return Status::BackPressured;
  if (needs_a_closer_look(length, channel)) {
    const Status status = reserve(length, channel);
    if (status != Status::Sent) return status;
    if (length >= kStraightBytesMin && messages_ == 0 && tail_ >= kMain) {
      send_straight(length, channel);
      return Status::Sent;
    }
  }
  append(length, channel);
  return Status::Sent;
}

void SendRingModel::send_straight(uint32_t length, uint32_t channel) {
  std::vector<uint8_t> frame(kHeaderBytes + length);
  store<uint32_t>(frame.data(), length | (channel << kChannelShift));
  stream_.accept(frame.data() + kHeaderBytes, length, channel);
  const uint32_t taken = engine_.send_straight(*this, static_cast<uint32_t>(tail_), frame);
  ++messages_;
  if (taken == frame.size()) return;
  // What the system has is not read again.
  std::fill_n(at(tail_), taken, uint8_t{0xdd});
  std::copy(frame.begin() + taken, frame.end(), at(tail_) + taken);
  tail_ += static_cast<int64_t>(frame.size());
  if (taken > 0) publish();
}

Status SendRingModel::claim(uint32_t length, uint32_t channel) {
  if (scribbled_) return Status::BackPressured;
  if (needs_a_closer_look(length, channel)) {
    const Status status = reserve(length, channel);
    if (status != Status::Sent) return status;
  }
  claimed_ = length | (static_cast<int64_t>(channel) << kChannelShift);
  // The claimed bytes are the program's until it commits.
  std::fill_n(at(tail_) + kHeaderBytes, length, uint8_t{0xcc});
  return Status::Sent;
}

Status SendRingModel::commit() {
  const int64_t header = claimed_;
  claimed_ = kNoClaim;
  if (header < 0) return status_;
  const uint8_t* const bytes = at(tail_) + kHeaderBytes;
  const auto length = static_cast<uint32_t>(header) & kLengthMask;
  // The ring of a connection that has ended is given back at once. Nothing of it is sent any more.
  const bool given_back = scribbled_ || !engine_.lives(*this);
  require(given_back || std::all_of(bytes, bytes + length, [](uint8_t byte) { return byte == 0xcc; }),
          "claimed bytes stay as the program has written them");
  append(length, static_cast<uint32_t>(header) >> kChannelShift);
  return Status::Sent;
}

bool SendRingModel::is_idle() const {
  return !scribbled_ && !dirty_ && claimed_ == kNoClaim && status_ == Status::Sent && sent_word_ == layout::kSlotHead &&
         tail_ == head();
}

void SendRingModel::write_frames(const uint8_t* bytes, size_t size, uint32_t messages) {
  require(place(static_cast<int64_t>(size)), "an empty ring has room for what it takes over");
  std::copy_n(bytes, size, at(tail_));
  tail_ += static_cast<int64_t>(size);
  messages_ += messages;
  publish();
  if (dirty_) return;
  dirty_ = true;
  engine_.mark_dirty(*this);
}

void SendRingModel::append(uint32_t length, uint32_t channel) {
  const int64_t end = tail_ + static_cast<int64_t>(kHeaderBytes + length);
  require(end <= (tail_ < kMain ? kMain : kMain + place_.capacity), "a frame lies inside its ring");
  stream_.accept(at(tail_) + kHeaderBytes, length, channel);
  store<uint32_t>(at(tail_), length | (channel << kChannelShift));
  tail_ = end;
  ++messages_;
}

Status SendRingModel::reserve(uint32_t length, uint32_t channel) {
  claimed_ = kNoClaim;
  if (status_ != Status::Sent) return status_;
  if (length > length_max_) return Status::TooLarge;
  if (channel != 0 && classic_) return Status::ChannelUnsupported;
  const auto need = static_cast<int64_t>(kHeaderBytes + length);
  const bool waiting = place_.words[layout::kSlotDrainNeed] != 0 && behind(head()) > place_.capacity / 2;
  if (waiting) return refuse(need);
  if (unsent() >= place_.flush_bytes || !place(need)) {
    publish();
    engine_.flush_one(*this);
    if (!place(need)) return refuse(need);
  }
  if (!dirty_) {
    dirty_ = true;
    engine_.mark_dirty(*this);
  }
  return Status::Sent;
}

Status SendRingModel::refuse(int64_t need) {
  limit_ = kNoLimitLeft;
  place_.counters[layout::kSlotCounterBackPressured] += 1;
  int32_t& drain_need = place_.words[layout::kSlotDrainNeed];
  if (drain_need < need) drain_need = static_cast<int32_t>(need);
  return Status::BackPressured;
}

int64_t SendRingModel::position_in(uint32_t word) const {
  const int32_t* const words = place_.words;
  return words[words[layout::kSlotRewinds] == words[layout::kSlotRewindsSeen] ? word : layout::kSlotRewindTo];
}

int64_t SendRingModel::behind(int64_t position) const {
  if (tail_ < position) return place_.capacity - position + tail_;
  return tail_ - (position < kMain && tail_ >= kMain ? kMain : position);
}

uint8_t* SendRingModel::at(int64_t position) const {
  return position < kMain ? reinterpret_cast<uint8_t*>(place_.words) + layout::kSlotFrontOffset + position
                          : place_.main + (position - kMain);
}

int64_t SendRingModel::place_to_begin(int64_t need) const {
  const int32_t* const words = place_.words;
  if (tail_ < kMain) return 0;
  const int64_t filled = tail_ - std::max<int64_t>(words[layout::kSlotRewindTo], kMain) + words[layout::kSlotJumpEnd];
  if (filled < kMain) return 0;
  const int64_t stagger = memory_stagger(static_cast<uint32_t>(words[layout::kSlotRewinds]));
  const int64_t part = place_.capacity / kStaggeredParts;
  return filled >= part && stagger <= part && stagger + need <= place_.capacity ? kMain + stagger : kMain;
}

bool SendRingModel::place(int64_t need) {
  const int64_t head = this->head();
  int32_t* const words = place_.words;
  int64_t at = tail_;
  int64_t end = kMain + place_.capacity;
  if (at == head && at > 0) {
    at = place_to_begin(need);
    words[layout::kSlotJumpEnd] = 0;
    words[layout::kSlotTail] = words[layout::kSlotRewindTo] = static_cast<int32_t>(at);
    words[layout::kSlotRewinds] += 1;
  } else if (at < head) {
    end = head - 1;
  } else if (end - at < need && need < head - kMain) {
    words[layout::kSlotJumpEnd] = static_cast<int32_t>(at);
    at = kMain;
    end = head - 1;
  }
  if (at < kMain) {
    if (kMain - 1 - at >= need) {
      end = kMain - 1;
    } else {
      words[layout::kSlotJumpEnd] = static_cast<int32_t>(at);
      at = kMain;
    }
  }
  if (end - at < need) return false;
  tail_ = at;
  const int64_t until_flush = std::max<int64_t>(need, int64_t{place_.flush_bytes} - unsent());
  limit_ = std::min(end, at + std::min<int64_t>(until_flush, length_max_ + static_cast<int64_t>(kHeaderBytes))) -
           static_cast<int64_t>(kHeaderBytes);
  return true;
}

void SendRingModel::scribble(uint32_t word, int32_t value) {
  publish();
  scribbled_ = true;
  place_.words[word] = value;
}

}  // namespace zerio::simulation
