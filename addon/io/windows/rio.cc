// The Windows backend on Registered I/O: requests and completions go through queues in user memory, from and to memory that the
// system has locked once.
//
// Each connection has a request queue with one receive and some sends. Long sends read from the send rings, which are registered
// slab by slab; a send completes when the other side has acknowledged its bytes, and until then they stay in the ring. Short
// sends are copied into a block of the connection first: they count as sent at once, and what follows does not wait for an
// acknowledgement. Receives are copied from the connection's registered buffer into the engine's memory.
#include <uv/errno.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "rio_abi.h"
#include "windows_io.h"

namespace zerio {
namespace {

constexpr ULONG kReceiveBytes = 16384;
constexpr ULONG kBlockBytes = 1024;
constexpr uint32_t kBlocks = 8;
constexpr uint32_t kAllBlocks = (1U << kBlocks) - 1;
constexpr ULONG kSlotBytes = kReceiveBytes + kBlocks * kBlockBytes;
constexpr uint32_t kPiecesMax = 4;
// What a send() posts at most besides blocks: the slices of a ring.
constexpr uint32_t kSendsMax = kBlocks + kPiecesMax;
// The capacity of a completion queue is reserved for each request queue, whether its requests are made or not.
constexpr uint32_t kResultsPerSlot = 1 + kSendsMax;
constexpr ULONG kResults = 256;
constexpr uint8_t kNoBlock = 0xff;

// What a request is, in 64 bits.
struct Request {
  enum class Kind : uint8_t { Receive, Block, Piece };
  uint32_t slot;
  uint16_t life;
  Kind kind;
  uint8_t block;

  [[nodiscard]] void* context() const {
    return reinterpret_cast<void*>(static_cast<uintptr_t>(slot) | uintptr_t{life} << 32 | static_cast<uintptr_t>(kind) << 48 |
                                   uintptr_t{block} << 56);
  }
  static Request of(ULONGLONG context) {
    return {static_cast<uint32_t>(context), static_cast<uint16_t>(context >> 32), static_cast<Kind>(context >> 48 & 0xff),
            static_cast<uint8_t>(context >> 56)};
  }
};
static_assert(sizeof(uintptr_t) == 8);

// A status is an error number of Winsock, or one of the kernel, which the system translates.
int status_number(LONG status) {
  using Translate = ULONG(WINAPI*)(LONG);
  static const auto translate = reinterpret_cast<Translate>(
      reinterpret_cast<void*>(GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "RtlNtStatusToDosError")));
  if (status < 0 && translate != nullptr) return error_number(static_cast<int>(translate(status)));
  return error_number(status);
}

class Rio final : public WindowsIo {
 public:
  Rio() : WindowsIo(rio::kSocketFlag) { notified_.kind = Kind::Other; }
  ~Rio() override {
    close_all();
    if (queue_ != nullptr) rio_.close_completion_queue(queue_);
    for (const Registered& memory : registered_) rio_.deregister_buffer(memory.id);
    for (const Arena& arena : arenas_) VirtualFree(arena.memory, 0, MEM_RELEASE);
  }
  Rio(const Rio&) = delete;
  Rio& operator=(const Rio&) = delete;

  [[nodiscard]] int open_queue() {
    const int error = open();
    if (error != 0) return error;
    const Socket probe(WSASocketW(AF_INET, SOCK_STREAM, IPPROTO_TCP, nullptr, 0, WSA_FLAG_OVERLAPPED | rio::kSocketFlag));
    if (!probe.open()) return last_error_number();
    GUID id = rio::kExtensionId;
    DWORD bytes = 0;
    rio_.bytes = sizeof rio_;
    if (WSAIoctl(probe.get(), rio::kGetMultipleExtensions, &id, sizeof id, &rio_, sizeof rio_, &bytes, nullptr, nullptr) != 0) {
      return last_error_number();
    }
    rio::Notification notification = {};
    notification.type = rio::Notification::Type::CompletionPort;
    notification.port = {port().handle(), nullptr, &notified_.overlapped};
    queue_ = rio_.create_completion_queue(kResultsPerSlot, &notification);
    return queue_ == nullptr ? last_error_number() : 0;
  }

  const char* name() const override { return "rio"; }

  void add_memory(uint8_t* at, size_t bytes) override { (void)register_memory(at, bytes); }

  void reserve(uint32_t count) override {
    const auto first = static_cast<uint32_t>(queues_.size());
    if (count <= first) return;
    WindowsIo::reserve(count);
    // For the memory of these slots, and for their rings, which follow.
    registered_.reserve(registered_.size() + 2);
    arenas_.reserve(arenas_.size() + 1);
    queues_.reserve(count);
    const size_t bytes = size_t{count - first} * kSlotBytes;
    auto* const arena = static_cast<uint8_t*>(VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
    const Registered* const memory = arena == nullptr ? nullptr : register_memory(arena, bytes);
    if (arena != nullptr) arenas_.push_back({arena, first});
    const bool sized = rio_.resize_completion_queue(queue_, count * kResultsPerSlot) != FALSE;
    queues_.resize(count);
    for (uint32_t slot = first; slot < count; ++slot) {
      // Without memory a slot takes no connection: begin() returns an error.
      if (memory == nullptr || !sized) continue;
      queues_[slot].memory = arena + size_t{slot - first} * kSlotBytes;
      queues_[slot].buffer = memory->id;
      queues_[slot].offset = (slot - first) * kSlotBytes;
    }
  }

  // The connections of these slots have no operation under way, so the system neither reads nor writes their memory.
  void remove_slots(uint32_t first, const uint8_t* memory) override {
    deregister(memory);
    while (!arenas_.empty() && arenas_.back().first >= first) {
      deregister(static_cast<const uint8_t*>(arenas_.back().memory));
      VirtualFree(arenas_.back().memory, 0, MEM_RELEASE);
      arenas_.pop_back();
    }
    queues_.resize(first);
    (void)rio_.resize_completion_queue(queue_, first * kResultsPerSlot);
    WindowsIo::remove_slots(first, memory);
  }

  bool sent_all(uint32_t slot) override {
    Queue& queue = queues_[slot];
    queue.waits_for_end = queue.owed == 0 && queue.free_blocks != kAllBlocks && queue.send_error == 0;
    return queue.owed == 0 && !queue.waits_for_end;
  }

  int64_t send(uint32_t slot, const IoSlice* slices, uint32_t count) override {
    Queue& queue = queues_[slot];
    if (queue.send_error != 0) return -queue.send_error;
    size_t total = 0;
    for (uint32_t i = 0; i < count; ++i) total += slices[i].size;
    if (total <= kBlockBytes && queue.free_blocks != 0) {
      const uint8_t block = take_block(queue);
      uint8_t* at = block_at(queue, block);
      for (uint32_t i = 0; i < count; ++i) at = std::copy_n(slices[i].data, slices[i].size, at);
      const int error = post_block(slot, block, static_cast<ULONG>(total), false, Request::Kind::Block);
      return error == 0 ? static_cast<int64_t>(total) : -error;
    }
    for (uint32_t i = 0; i < count; ++i) {
      const bool last = i + 1 == count;
      const Registered* const memory = find(slices[i]);
      int error = 0;
      if (memory != nullptr) {
        const rio::Slice slice = {memory->id, static_cast<ULONG>(slices[i].data - memory->base),
                                  static_cast<ULONG>(slices[i].size)};
        error = post_send(slot, slice, !last, {slot, queue.life, Request::Kind::Piece, kNoBlock});
        if (error == 0) queue.owed_bytes += slices[i].size;
      } else if (queue.free_blocks != 0) {
        const size_t size = std::min<size_t>(slices[i].size, kBlockBytes);
        const uint8_t block = take_block(queue);
        std::copy_n(slices[i].data, size, block_at(queue, block));
        error = post_block(slot, block, static_cast<ULONG>(size), !last, Request::Kind::Piece);
        if (error == 0) queue.owed_bytes += size;
        if (error == 0 && size < slices[i].size) break;
      } else {
        break;
      }
      if (error == 0) {
        ++queue.owed;
      } else if (queue.owed == 0) {
        return -error;
      } else {
        queue.owed_error = error;
        break;
      }
    }
    if (queue.deferred) {
      const int error = commit(slot);
      if (error != 0) return -error;
    }
    queue.waits_for_block = queue.owed == 0;
    return 0;
  }

 protected:
  int begin(uint32_t slot) override {
    Queue& queue = queues_[slot];
    if (queue.memory == nullptr) return -UV__ENOBUFS;
    ++queue.life;
    queue.free_blocks = kAllBlocks;
    queue.owed = 0;
    queue.owed_bytes = 0;
    queue.owed_error = queue.send_error = 0;
    queue.waits_for_block = queue.waits_for_end = queue.deferred = false;
    queue.requests = rio_.create_request_queue(connection(slot).socket.get(), 1, 1, kSendsMax, 1, queue_, queue_,
                                               reinterpret_cast<void*>(static_cast<uintptr_t>(slot)));
    if (queue.requests == nullptr) return last_error_number();
    return post_receive(slot);
  }

  bool bytes_come_by_port() const override { return false; }

  bool complete(IoSink&, Operation&) override {
    notify_pending_ = false;
    return true;
  }

  bool poll_more(IoSink& sink) override {
    if (next_ == count_) dequeue();
    for (; next_ < count_ && sink.has_room(); ++next_) {
      if (!handle(sink, results_[next_])) break;
    }
    return next_ < count_;
  }

  bool arm_more() override {
    // A queue that is not empty notifies at once.
    if (!notify_pending_) notify_pending_ = rio_.notify(queue_) == 0;
    return !notify_pending_;
  }

  void drop_more() override {
    unsettled_ -= count_ - next_;
    for (dequeue(); count_ > 0; dequeue()) unsettled_ -= count_;
  }

 private:
  struct Registered {
    uint8_t* base;
    size_t bytes;
    rio::BufferId id;
  };
  // The memory of the slots that came together.
  struct Arena {
    void* memory;
    uint32_t first;
  };
  struct Queue {
    rio::RequestQueue requests = nullptr;
    uint8_t* memory = nullptr;  // receive buffer, then blocks
    rio::BufferId buffer = rio::kInvalidBuffer;
    ULONG offset = 0;
    uint16_t life = 0;
    uint32_t free_blocks = 0;
    uint32_t owed = 0;      // requests that on_sent() waits for
    size_t owed_bytes = 0;  // what they send
    int owed_error = 0;
    int send_error = 0;            // of a send that counted as taken
    bool waits_for_block = false;  // on_sent() is owed, and nothing could be posted
    bool waits_for_end = false;    // on_sent() is owed when all blocks are free
    bool deferred = false;         // the last request was posted, and not committed
  };

  const Registered* register_memory(uint8_t* at, size_t bytes) {
    const rio::BufferId id = rio_.register_buffer(reinterpret_cast<char*>(at), static_cast<DWORD>(bytes));
    if (id == rio::kInvalidBuffer) return nullptr;
    return &registered_.emplace_back(Registered{at, bytes, id});
  }

  void deregister(const uint8_t* memory) {
    const auto found = std::ranges::find(registered_, memory, &Registered::base);
    if (found == registered_.end()) return;
    rio_.deregister_buffer(found->id);
    registered_.erase(found);
  }

  [[nodiscard]] const Registered* find(const IoSlice& slice) const {
    for (const Registered& memory : registered_) {
      if (slice.data >= memory.base && slice.data + slice.size <= memory.base + memory.bytes) return &memory;
    }
    return nullptr;
  }

  // ---- Sending

  static uint8_t take_block(Queue& queue) {
    uint8_t block = 0;
    while ((queue.free_blocks & 1U << block) == 0) ++block;
    queue.free_blocks &= ~(1U << block);
    return block;
  }
  static uint8_t* block_at(const Queue& queue, uint8_t block) { return queue.memory + kReceiveBytes + block * kBlockBytes; }

  int post_block(uint32_t slot, uint8_t block, ULONG size, bool defer, Request::Kind kind) {
    Queue& queue = queues_[slot];
    const rio::Slice slice = {queue.buffer, queue.offset + kReceiveBytes + block * kBlockBytes, size};
    const int error = post_send(slot, slice, defer, {slot, queue.life, kind, block});
    if (error != 0) queue.free_blocks |= 1U << block;
    return error;
  }

  int post_send(uint32_t slot, rio::Slice slice, bool defer, const Request& request) {
    Queue& queue = queues_[slot];
    if (rio_.send(queue.requests, &slice, 1, defer ? rio::kMessageDefer : 0, request.context()) == FALSE) {
      return last_error_number();
    }
    queue.deferred = defer;
    ++connection(slot).pending;
    ++unsettled_;
    return 0;
  }

  int commit(uint32_t slot) {
    Queue& queue = queues_[slot];
    queue.deferred = false;
    return rio_.send(queue.requests, nullptr, 0, rio::kMessageCommitOnly, nullptr) == FALSE ? last_error_number() : 0;
  }

  void sent(IoSink& sink, const Request& request, const rio::Result& result) {
    Queue& queue = queues_[request.slot];
    if (request.block != kNoBlock) queue.free_blocks |= 1U << request.block;
    const int error = result.status == 0 ? 0 : status_number(result.status);
    if (!settle(sink, request.slot)) return;
    if (request.kind == Request::Kind::Block) {
      if (error != 0) queue.send_error = error;
      const bool ended = queue.waits_for_end && queue.free_blocks == kAllBlocks;
      if (!queue.waits_for_block && !ended && error == 0) return;
      queue.waits_for_block = queue.waits_for_end = false;
      sink.on_sent(request.slot, 0, queue.send_error);
      return;
    }
    if (error != 0) queue.owed_error = error;
    if (--queue.owed > 0) return;
    const size_t bytes = std::exchange(queue.owed_bytes, 0);
    const int failed = std::exchange(queue.owed_error, 0);
    sink.on_sent(request.slot, failed == 0 ? bytes : 0, failed);
  }

  // ---- Receiving

  int post_receive(uint32_t slot) {
    const Queue& queue = queues_[slot];
    rio::Slice slice = {queue.buffer, queue.offset, kReceiveBytes};
    const Request request = {slot, queue.life, Request::Kind::Receive, kNoBlock};
    if (rio_.receive(queue.requests, &slice, 1, 0, request.context()) == FALSE) return last_error_number();
    ++connection(slot).pending;
    ++unsettled_;
    return 0;
  }

  // Returns false when the sink has no room for all of it.
  bool received(IoSink& sink, uint32_t slot, const rio::Result& result) {
    Connection& it = connection(slot);
    if (!it.socket.open() || !it.receiving || result.status != 0 || result.bytes == 0) {
      copied_ = 0;
      if (!settle(sink, slot) || !it.receiving) return true;
      sink.on_received(slot, nullptr, 0, result.status == 0 ? 0 : status_number(result.status));
      return true;
    }
    const IoSpace space = sink.receive_space();
    if (space.size == 0) return false;
    const size_t size = std::min<size_t>(space.size, result.bytes - copied_);
    std::memcpy(space.data, queues_[slot].memory + copied_, size);
    copied_ += static_cast<ULONG>(size);
    const bool all = copied_ == result.bytes;
    if (all) {
      copied_ = 0;
      (void)settle(sink, slot);
    }
    sink.on_received(slot, space.data, size, 0);
    if (!all) return false;
    if (!it.socket.open() || !it.receiving) return true;
    const int error = post_receive(slot);
    if (error != 0) sink.on_received(slot, nullptr, 0, error);
    return true;
  }

  // ---- Completions

  void dequeue() {
    next_ = count_ = 0;
    count_ = rio_.dequeue_completion(queue_, results_.data(), kResults);
    if (count_ != rio::kCorruptQueue) return;
    // Memory has been overwritten. Connections would wait for their results for ever.
    std::fputs("zerio: the completion queue of Registered I/O is corrupt\n", stderr);
    std::abort();
  }

  bool handle(IoSink& sink, const rio::Result& result) {
    const Request request = Request::of(result.request_context);
    if (request.slot >= queues_.size() || request.life != queues_[request.slot].life) return true;
    if (request.kind == Request::Kind::Receive) return received(sink, request.slot, result);
    sent(sink, request, result);
    return true;
  }

  rio::Functions rio_ = {};
  rio::CompletionQueue queue_ = nullptr;
  Operation notified_;
  bool notify_pending_ = false;
  std::vector<Registered> registered_;
  std::vector<Arena> arenas_;
  std::vector<Queue> queues_;
  std::array<rio::Result, kResults> results_ = {};
  ULONG next_ = 0;
  ULONG count_ = 0;
  ULONG copied_ = 0;  // of the received bytes of the next result
};

}  // namespace

std::unique_ptr<Io> make_rio(int& error) {
  auto io = std::make_unique<Rio>();
  error = io->open_queue();
  if (error != 0) return nullptr;
  return io;
}

}  // namespace zerio
