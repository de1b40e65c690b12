// Lists of connections, the oldest first, linked through the connections themselves: each change takes the same time, however
// long the list is, and none allocates.
#pragma once

namespace zerio {

struct Connection;

struct ConnectionLinks {
  Connection* previous = nullptr;
  Connection* next = nullptr;
};

// Of the lists that share `kLinks`, a connection is in one at most; the caller knows in which.
template <ConnectionLinks Connection::*kLinks>
class ConnectionList {
 public:
  [[nodiscard]] bool empty() const { return first_ == nullptr; }
  [[nodiscard]] Connection* first() const { return first_; }
  [[nodiscard]] static Connection* next(const Connection& connection) { return (connection.*kLinks).next; }

  void push_back(Connection& connection) {
    connection.*kLinks = {last_, nullptr};
    (last_ != nullptr ? (last_->*kLinks).next : first_) = &connection;
    last_ = &connection;
  }

  void remove(Connection& connection) {
    const ConnectionLinks links = connection.*kLinks;
    (links.previous != nullptr ? (links.previous->*kLinks).next : first_) = links.next;
    (links.next != nullptr ? (links.next->*kLinks).previous : last_) = links.previous;
    connection.*kLinks = {};
  }

 private:
  Connection* first_ = nullptr;
  Connection* last_ = nullptr;
};

}  // namespace zerio
