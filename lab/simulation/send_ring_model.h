// src/engine/send_ring.ts in C++: the same words, by the same rules, in the same order, so that the engine sees what JavaScript
// would write.
#pragma once

#include <cstdint>
#include <span>

#include "../../addon/engine/layout.h"
#include "ledger.h"

namespace zerio::simulation {

// The values of SendStatus (src/status.ts).
enum class Status : int32_t {
  Sent = 0,
  BackPressured = -1,
  NotConnected = -2,
  TooLarge = -3,
  Closed = -4,
  ChannelUnsupported = -5
};

class SendRingModel;

// What a ring needs of its engine.
class RingEngine {
 public:
  virtual void mark_dirty(SendRingModel& ring) = 0;
  virtual void flush_one(SendRingModel& ring) = 0;
  // As Engine::send_straight(), of a whole frame.
  virtual uint32_t send_straight(SendRingModel& ring, uint32_t position, std::span<const uint8_t> frame) = 0;
  // Whether the connection lives in the engine; the program may not have got the event of its end yet.
  [[nodiscard]] virtual bool lives(const SendRingModel& ring) const = 0;

 protected:
  ~RingEngine() = default;
};

// Where a ring lies; its front lies behind the words.
struct RingPlace {
  uint8_t* main;
  int32_t* words;
  double* counters;
  uint32_t capacity;  // of the main part
  uint32_t length_max;
  uint32_t flush_bytes;
};

class SendRingModel {
 public:
  SendRingModel(RingEngine& engine, uint32_t its_slot, const RingPlace& place, Stream& stream)
      : slot(its_slot), engine_(engine), place_(place), stream_(stream), length_max_(place.length_max) {}

  const uint32_t slot;

  [[nodiscard]] Status status() const { return status_; }
  [[nodiscard]] bool claim_open() const { return claimed_ >= 0; }
  [[nodiscard]] bool waits_for_drain() const;
  // Whether a Drain event has a reason.
  [[nodiscard]] bool may_drain() const;
  [[nodiscard]] Stream& stream() { return stream_; }
  // Whether its connection may be sent from a copy.
  [[nodiscard]] bool is_idle() const;
  // The longest message that both sides take.
  [[nodiscard]] uint32_t length_max() const { return static_cast<uint32_t>(length_max_); }

  void open(bool classic, uint32_t remote_length_max, bool in_session);
  // The session has a new connection, whose ring this is; the engine has moved what the old one holds.
  void take_over(const SendRingModel& old);
  void publish();
  void close();
  void detach() { close(); }
  [[nodiscard]] bool flushed();
  void drained();

  // Sends a message whose content the stream generates.
  Status send(uint32_t length, uint32_t channel);
  Status claim(uint32_t length, uint32_t channel);
  Status commit();
  void abort() { claimed_ = kNoClaim; }
  // Takes over a part of shared frames. Only while it is idle.
  void write_frames(const uint8_t* bytes, size_t size, uint32_t messages);

  // The program overwrites a control word, and does not use the ring any more.
  void scribble(uint32_t word, int32_t value);

 private:
  static constexpr int64_t kNoClaim = -1;
  static constexpr int64_t kLostClaim = -2;
  static constexpr int64_t kNoLimitLeft = -1;
  static constexpr int64_t kMain = layout::kSlotFrontBytes;
  // JavaScript's is longer, and so never in the front.
  static constexpr uint32_t kStraightBytesMin = 24;

  [[nodiscard]] bool needs_a_closer_look(uint32_t length, uint32_t channel) const;
  void append(uint32_t length, uint32_t channel);
  void send_straight(uint32_t length, uint32_t channel);
  Status reserve(uint32_t length, uint32_t channel);
  Status refuse(int64_t need);
  [[nodiscard]] int64_t position_in(uint32_t word) const;
  [[nodiscard]] int64_t head() const { return position_in(layout::kSlotHead); }
  [[nodiscard]] int64_t behind(int64_t position) const;
  [[nodiscard]] int64_t unsent() const { return behind(position_in(sent_word_)); }
  [[nodiscard]] uint8_t* at(int64_t position) const;
  [[nodiscard]] int64_t place_to_begin(int64_t need) const;
  [[nodiscard]] bool place(int64_t need);

  RingEngine& engine_;
  RingPlace place_;
  Stream& stream_;
  int64_t length_max_;
  int64_t tail_ = 0;
  int64_t limit_ = kNoLimitLeft;
  int64_t claimed_ = kNoClaim;  // length | channel << 24
  uint32_t sent_word_ = layout::kSlotHead;
  uint32_t messages_ = 0;
  bool classic_ = false;
  bool dirty_ = false;
  bool scribbled_ = false;
  Status status_ = Status::NotConnected;
};

}  // namespace zerio::simulation
