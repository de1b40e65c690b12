// The Windows backend for systems without Registered I/O: plain Winsock calls, and overlapped ones where a socket must wait.
//
// A receive of no bytes completes when bytes have arrived; they are then read straight into the engine's memory, so that idle
// connections hold no buffers. A send goes out at once as far as the socket takes it, and the rest as an overlapped send.
#include <algorithm>
#include <utility>

#include "../clock.h"
#include "windows_io.h"

namespace zerio {
namespace {

constexpr uint32_t kSlicesMax = 4;

class Winsock final : public WindowsIo {
 public:
  Winsock() : WindowsIo(0) {}
  ~Winsock() override { (void)close_all(); }
  Winsock(const Winsock&) = delete;
  Winsock& operator=(const Winsock&) = delete;

  using WindowsIo::open;

  const char* name() const override { return "winsock"; }

  int64_t send(uint32_t slot, const IoSlice* slices, uint32_t count) override {
    Connection& it = connection(slot);
    WSABUF buffers[kSlicesMax] = {};
    DWORD total = 0;
    for (uint32_t i = 0; i < count; ++i) {
      buffers[i] = {static_cast<ULONG>(slices[i].size), reinterpret_cast<char*>(const_cast<uint8_t*>(slices[i].data))};
      total += buffers[i].len;
    }
    DWORD taken = 0;
    if (WSASend(it.socket.get(), buffers, count, &taken, 0, nullptr, nullptr) != 0) {
      const int error = WSAGetLastError();
      if (error != WSAEWOULDBLOCK && error != WSAENOBUFS) return -error_number(error);
      taken = 0;
    }
    if (taken == total) return taken;
    DWORD skipped = taken;
    uint32_t first = 0;
    while (skipped >= buffers[first].len) skipped -= buffers[first++].len;
    buffers[first].buf += skipped;
    buffers[first].len -= skipped;
    it.send.clear();
    if (WSASend(it.socket.get(), buffers + first, count - first, nullptr, 0, &it.send.overlapped, nullptr) != 0 &&
        WSAGetLastError() != WSA_IO_PENDING) {
      return -last_error_number();
    }
    begin_operation(slot);
    return taken;
  }

  // The rest of the last send is under way: waits until the system has taken it.
  int64_t wait_writable(uint32_t slot, uint32_t timeout_ms) override {
    Connection& it = connection(slot);
    const uint64_t until = monotonic_ns() + timeout_ms * kMillisecondNs;
    while (!HasOverlappedIoCompleted(&it.send.overlapped)) {
      if (monotonic_ns() >= until) return -1;
      Sleep(1);
    }
    DWORD bytes = 0;
    return result_of(it, it.send, bytes) == 0 ? int64_t{bytes} : -1;
  }

 protected:
  void begin(uint32_t slot) override {
    // What is received and sent at once must not wait. (Sockets of Registered I/O take no such call, and need none.)
    u_long yes = 1;
    const int error = ioctlsocket(connection(slot).socket.get(), FIONBIO, &yes) == 0 ? 0 : last_error_number();
    await_bytes(slot, error);
  }

  void read_on(uint32_t slot) override {
    if (std::exchange(connection(slot).has_bytes, false)) await_bytes(slot);
  }

  bool complete(IoSink& sink, Operation& operation) override {
    const uint32_t slot = operation.slot;
    if (operation.kind == Kind::Receive) return receive(sink, slot);
    if (!settle(sink, slot)) return true;
    DWORD bytes = 0;
    const int error = result_of(connection(slot), operation, bytes);
    sink.on_sent(slot, error == 0 ? bytes : 0, error);
    return true;
  }

 private:
  // An error, also one from before, is reported as that of the receive.
  void await_bytes(uint32_t slot, int error = 0) {
    Connection& it = connection(slot);
    it.receive.clear();
    WSABUF nothing = {};
    DWORD flags = 0;
    begin_operation(slot);
    if (error == 0 && WSARecv(it.socket.get(), &nothing, 1, nullptr, &flags, &it.receive.overlapped, nullptr) != 0 &&
        WSAGetLastError() != WSA_IO_PENDING) {
      error = last_error_number();
    }
    if (error != 0) {
      it.receive.error = error;
      port().post(&it.receive.overlapped);
    }
  }

  // Whether a receive would bring bytes, and not a farewell alone, the end of the stream or an error.
  bool bytes_wait(const IoSink& sink, uint32_t slot) {
    char bytes[IoSink::kLookBytes];
    const int found = ::recv(connection(slot).socket.get(), bytes, sizeof bytes, MSG_PEEK);
    if (found <= 0) return false;
    const auto size = static_cast<size_t>(found);
    return size == sizeof bytes || !sink.is_farewell(slot, reinterpret_cast<const uint8_t*>(bytes), size);
  }

  bool receive(IoSink& sink, uint32_t slot) {
    Connection& it = connection(slot);
    if (!it.socket.open() || !it.takes()) {
      (void)settle(sink, slot);
      return true;
    }
    if (it.paused && it.receive.error == 0 && bytes_wait(sink, slot)) {
      it.has_bytes = settle(sink, slot);
      return true;
    }
    const IoSpace space = sink.receive_space(slot);
    if (space.size == 0) return false;
    (void)settle(sink, slot);
    DWORD nothing = 0;
    const int error = result_of(it, it.receive, nothing);
    if (error != 0) {
      sink.on_received(slot, nullptr, 0, error);
      return true;
    }
    const auto size = static_cast<int>(std::min<size_t>(space.size, INT32_MAX));
    const int got = ::recv(it.socket.get(), reinterpret_cast<char*>(space.data), size, 0);
    if (got < 0 && WSAGetLastError() != WSAEWOULDBLOCK && WSAGetLastError() != WSAENOBUFS) {
      sink.on_received(slot, nullptr, 0, last_error_number());
      return true;
    }
    if (got >= 0) sink.on_received(slot, space.data, static_cast<size_t>(got), 0);
    if (got != 0 && it.socket.open() && it.takes()) await_bytes(slot);
    return true;
  }
};

}  // namespace

std::unique_ptr<Io> make_winsock(int& error) {
  auto io = std::make_unique<Winsock>();
  error = io->open();
  if (error != 0) return nullptr;
  return io;
}

}  // namespace zerio
