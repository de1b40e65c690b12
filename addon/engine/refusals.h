// What a server remembers of the connections that it has refused, until it has reported them: no more, however many they are.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "../io/address.h"
#include "handshake.h"
#include "report_rate.h"

namespace zerio {

// Who was refused. It keeps its own copies, because the connection may be gone when JavaScript asks.
class RefusedPeer {
 public:
  Address remote;  // empty when the system did not know it

  // `id` is one that was checked when it was read, or empty when none was.
  void set_id(std::string_view id) {
    id_bytes_ = std::min(id.size(), id_.size());
    std::copy_n(id.data(), id_bytes_, id_.data());
  }
  [[nodiscard]] std::string_view id() const { return {id_.data(), id_bytes_}; }

 private:
  size_t id_bytes_ = 0;
  std::array<char, kPeerIdBytesMax> id_ = {};
};

// Those with one code.
struct Refusals {
  ReportRate rate;
  int error = 0;      // of the last one
  RefusedPeer first;  // of those that are not reported yet: the system is asked as seldom as there are reports
};

// Those that the events of one batch are about. JavaScript asks for them by the number in the event, which it can have
// overwritten.
class RefusedPeers {
 public:
  [[nodiscard]] bool is_full() const { return count_ == peers_.size(); }
  uint32_t add(const RefusedPeer& peer) {
    peers_[count_] = peer;
    return count_++;
  }
  [[nodiscard]] const RefusedPeer* at(uint32_t place) const { return place < count_ ? &peers_[place] : nullptr; }
  void clear() { count_ = 0; }

 private:
  std::array<RefusedPeer, 128> peers_;
  uint32_t count_ = 0;
};

}  // namespace zerio
