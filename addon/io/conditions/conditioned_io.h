// A backend over another one that makes its network a bad one: it holds back what the other one receives, and resets connections.
// An engine has it only when a program asks for conditions.
#pragma once

#include <memory>
#include <vector>

#include "../io.h"
#include "conditions.h"
#include "held_bytes.h"

namespace zerio {

class ConditionedIo final : public Io, private IoSink {
 public:
  // `reset_error` is the system's number for a connection that was reset. Throws std::bad_alloc.
  ConditionedIo(std::unique_ptr<Io> io, const Conditions& conditions, int reset_error);

  const char* name() const override { return io_->name(); }
  void remove_slots(uint32_t first) override { io_->remove_slots(first); }
  void reserve(uint32_t count) override;
  uint32_t keep_ahead(uint8_t* arena, uint32_t bytes) override;
  int listen(uint32_t listener, const Address& address, const ListenOptions& options, Address& bound) override;
  int connect(uint32_t slot, const Address& address, const SocketOptions& options) override {
    return io_->connect(slot, address, options);
  }
  void accept_pause(uint32_t listener, bool paused) override { io_->accept_pause(listener, paused); }
  void unlisten(uint32_t listener) override { io_->unlisten(listener); }
  int attach(uint32_t slot, AcceptedSocket socket, const SocketOptions& options) override;
  int promote(uint32_t slot) override { return io_->promote(slot); }
  void discard(AcceptedSocket socket) override { io_->discard(socket); }
  void receive_stop(uint32_t slot) override;
  void receive_pause(uint32_t slot, bool paused) override;
  int64_t send(uint32_t slot, const IoSlice* slices, uint32_t count) override { return io_->send(slot, slices, count); }
  bool sent_all(uint32_t slot) override { return io_->sent_all(slot); }
  bool copies_at_once() const override { return io_->copies_at_once(); }
  uint32_t sends_per_batch() const override { return io_->sends_per_batch(); }
  void send_batch(IoSend* sends, uint32_t count) override { io_->send_batch(sends, count); }
  int64_t wait_writable(uint32_t slot, uint32_t timeout_ms) override { return io_->wait_writable(slot, timeout_ms); }
  uint64_t locked_bytes() const override { return io_->locked_bytes(); }
  bool is_broken_pipe(int error) const override { return io_->is_broken_pipe(error); }
  void configure(uint32_t slot, SocketSetting setting, uint32_t value) override { io_->configure(slot, setting, value); }
  void shutdown(uint32_t slot) override { io_->shutdown(slot); }
  bool close(uint32_t slot, bool reset) override;
  void addresses(uint32_t slot, Address& local, Address& remote) const override { io_->addresses(slot, local, remote); }
  void tcp_status(uint32_t slot, TcpStatus& status) const override { io_->tcp_status(slot, status); }
  void poll(IoSink& sink, bool spinning) override;
  bool has_news() const override { return left_ || io_->has_news() || io_->now_ns() >= due_ns_; }
  int wait_handle() const override { return io_->wait_handle(); }
  void wake_by(void (*wake)(void* context), void* context) override { io_->wake_by(wake, context); }
  uint64_t now_ns() const override { return io_->now_ns(); }

 private:
  struct Connection {
    Decisions decisions;
    HeldBytes::Queue held;
    bool resets = false;          // its time has come, and the engine is to close it
    bool ended = false;           // the end of the stream is among what is held
    bool waiting = false;         // is in the list
    bool paused = false;          // by the engine
    bool waits_for_room = false;  // is not received from, because much is held back
  };

  // IoSink: what the other backend reports.
  void on_accepted(uint32_t listener, AcceptedSocket socket) override {
    accepting_ = listener;
    sink_->on_accepted(listener, socket);
  }
  void on_accept_error(uint32_t listener, int error) override { sink_->on_accept_error(listener, error); }
  void on_connected(uint32_t slot, int error) override;
  IoSpace receive_space(uint32_t slot) override;
  [[nodiscard]] uint32_t receive_bytes_max() const override { return kReceiveBytesMax; }
  void on_received(uint32_t slot, uint8_t* data, size_t size, int error) override;
  // What is held back comes first, and the engine has not read it.
  [[nodiscard]] bool is_farewell(uint32_t slot, const uint8_t* data, size_t size) const override {
    return held_.due_ns(connections_[slot].held) == HeldBytes::kNever && sink_->is_farewell(slot, data, size);
  }
  void on_sent(uint32_t slot, size_t size, int error) override { sink_->on_sent(slot, size, error); }
  void on_closed(uint32_t slot) override { sink_->on_closed(slot); }
  [[nodiscard]] bool has_room() const override { return held_.has_room(kArenaBytes) && sink_->has_room(); }
  bool can_accept(uint32_t listener) override { return sink_->can_accept(listener); }

  void begin(uint32_t slot, uint64_t number);
  void forget(Connection& connection);
  void wait(uint32_t slot);
  void deliver();
  [[nodiscard]] bool deliver_to(uint32_t slot, uint64_t now_ns);
  [[nodiscard]] uint64_t due_ns(const Connection& connection) const;

  static constexpr uint32_t kArenaBytes = 262144;
  static constexpr uint32_t kReceiveBytesMax = 65536;

  std::unique_ptr<Io> io_;
  Conditions conditions_;
  int reset_error_;
  HeldBytes held_;
  std::unique_ptr<uint8_t[]> arena_;  // the other backend receives into it
  uint32_t arena_direct_ = kArenaBytes;
  std::vector<Connection> connections_;
  std::vector<uint32_t> waiting_;   // connections with something that has a time
  std::vector<uint64_t> accepted_;  // how many connections, by listener
  uint32_t accepting_ = 0;          // the listener of the connection that is to be attached
  uint64_t made_ = 0;               // how many connections
  IoSink* sink_ = nullptr;          // of the present poll
  uint64_t due_ns_ = HeldBytes::kNever;
  bool left_ = false;  // the last poll had no room for all that was due
};

}  // namespace zerio
