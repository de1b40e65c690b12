// Lists of peers, the oldest first, linked through the peers themselves: every change takes the same time, however long the list
// is, and none allocates.
#pragma once

namespace zerio {

struct Peer;

struct PeerLinks {
  Peer* previous = nullptr;
  Peer* next = nullptr;
};

// A peer is in at most one list of those that share `kLinks`; the caller knows in which one.
template <PeerLinks Peer::*kLinks>
class PeerList {
 public:
  [[nodiscard]] bool empty() const { return first_ == nullptr; }
  [[nodiscard]] Peer* first() const { return first_; }
  [[nodiscard]] static Peer* next(const Peer& peer) { return (peer.*kLinks).next; }

  void push_back(Peer& peer) {
    peer.*kLinks = {last_, nullptr};
    (last_ != nullptr ? (last_->*kLinks).next : first_) = &peer;
    last_ = &peer;
  }

  void remove(Peer& peer) {
    const PeerLinks links = peer.*kLinks;
    (links.previous != nullptr ? (links.previous->*kLinks).next : first_) = links.next;
    (links.next != nullptr ? (links.next->*kLinks).previous : last_) = links.previous;
    peer.*kLinks = {};
  }

 private:
  Peer* first_ = nullptr;
  Peer* last_ = nullptr;
};

}  // namespace zerio
