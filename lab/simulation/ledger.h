// What was accepted for sending on each connection, in each direction, and how much of it has been delivered.
#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <vector>

#include "check.h"

namespace zerio::simulation {

class Stream {
 public:
  explicit Stream(uint64_t key) : key_(key) {}

  // Accepts a message of `length` bytes and writes its content, which differs from that of every other message.
  void accept(uint8_t* out, uint32_t length, uint32_t channel) {
    for (uint32_t i = 0; i < length; ++i) out[i] = content(messages_.size(), i);
    messages_.push_back({length, static_cast<uint8_t>(channel), kGenerated});
  }

  // Accepts a message with any content, of a peer that is not an engine.
  void accept_copy(const uint8_t* bytes, uint32_t length, uint32_t channel) {
    messages_.push_back({length, static_cast<uint8_t>(channel), copies_.size()});
    copies_.insert(copies_.end(), bytes, bytes + length);
  }

  void deliver(const uint8_t* bytes, uint32_t length, uint32_t channel) {
    if (spoiled_) return;
    require(delivered_ < messages_.size(), "nothing is delivered that was not accepted");
    const Message& message = messages_[delivered_];
    require_equal(length, message.length, "messages arrive in order and whole (length)");
    require_equal(channel, message.channel, "messages arrive in order and whole (channel)");
    if (message.copied_at != kGenerated) {
      require(length == 0 || std::memcmp(bytes, copies_.data() + message.copied_at, length) == 0, "messages arrive unaltered");
    } else {
      for (uint32_t i = 0; i < length; ++i) require(bytes[i] == content(delivered_, i), "messages arrive in order and unaltered");
    }
    ++delivered_;
  }

  [[nodiscard]] bool complete() const { return spoiled_ || delivered_ == messages_.size(); }
  [[nodiscard]] uint64_t accepted() const { return messages_.size(); }
  [[nodiscard]] uint64_t delivered() const { return delivered_; }

  // The program has overwritten the ring, so nothing is promised about what arrives.
  void spoil() { spoiled_ = true; }
  [[nodiscard]] bool spoiled() const { return spoiled_; }

 private:
  static constexpr uint64_t kGenerated = ~uint64_t{0};
  struct Message {
    uint32_t length;
    uint8_t channel;
    uint64_t copied_at;
  };

  [[nodiscard]] uint8_t content(uint64_t message, uint32_t at) const {
    const uint64_t mixed = (key_ + message) * 0x9e3779b97f4a7c15 + at * uint64_t{0xbf58476d1ce4e5};
    return static_cast<uint8_t>(mixed >> 32);
  }

  uint64_t key_;
  std::vector<Message> messages_;
  std::vector<uint8_t> copies_;
  uint64_t delivered_ = 0;
  bool spoiled_ = false;
};

class Ledger {
 public:
  // What `side` of the connection sends.
  Stream& stream(uint32_t link, int side) {
    const size_t index = size_t{link} * 2 + static_cast<size_t>(side);
    while (streams_.size() <= index) streams_.emplace_back((streams_.size() + 1) * 0x100000001b3);
    return streams_[index];
  }

 private:
  std::deque<Stream> streams_;
};

}  // namespace zerio::simulation
