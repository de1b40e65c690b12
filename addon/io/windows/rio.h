// The Windows backend on Registered I/O: requests and completions go through queues in user memory, from and to memory that the
// system has locked once.
//
// Each connection has a request queue and 8 KiB of locked memory of its own: two receives are posted into it, and short sends lie
// there. Long sends, and the receives of a connection that fills its own memory, use chunks that all connections share.
//
// A send is posted from a copy, and so its bytes count as taken at once. Their memory is released when the send completes, which
// is when the other side has acknowledged them. So many sends are under way, and none waits for the acknowledgement of another
// one.
#pragma once

#include <array>
#include <vector>

#include "locked_pool.h"
#include "rio_abi.h"
#include "rio_request.h"
#include "send_areas.h"
#include "slot_list.h"
#include "windows_io.h"

namespace zerio {

class Rio final : public WindowsIo {
 public:
  Rio() : WindowsIo(rio::kSocketFlag) { notified_.kind = Kind::Other; }
  ~Rio() override;
  Rio(const Rio&) = delete;
  Rio& operator=(const Rio&) = delete;
  [[nodiscard]] int open_queue();

  const char* name() const override { return "rio"; }
  uint64_t locked_bytes() const override;
  void reserve(uint32_t count) override;
  void remove_slots(uint32_t first) override;
  bool sent_all(uint32_t slot) override;
  int64_t send(uint32_t slot, const IoSlice* slices, uint32_t count) override;
  int64_t wait_writable(uint32_t slot, uint32_t timeout_ms) override;

 protected:
  void begin(uint32_t slot) override;
  void read_on(uint32_t slot) override;
  void released(uint32_t slot) override;

  bool bytes_come_by_port() const override { return false; }
  void notification_came() override { notify_pending_ = false; }

  bool poll_more(IoSink& sink) override;
  bool arm_more() override;
  bool wants_look() const override { return notify_failed_ || !looks_.empty(); }

  void drop_more() override;

 private:
  using Request = rio::Request;

  static constexpr uint32_t kReceives = 2;
  static constexpr uint32_t kReceiveBytes = 2048;
  static constexpr uint32_t kBlocksAt = kReceives * kReceiveBytes;
  static constexpr uint32_t kOwnBytes = kBlocksAt + SendAreas::kBlocks * SendAreas::kBlockBytes;
  static constexpr uint32_t kOwnPerRegion = 32;
  static constexpr uint32_t kOwnRegionsMax = 2048;  // for 65536 slots
  static constexpr uint32_t kReceiveRegionsMax = 16;
  static constexpr uint32_t kSends = 16;
  static constexpr uint32_t kResultsPerConnection = kReceives + kSends;
  static constexpr ULONG kResults = 256;

  struct Receive {
    uint32_t bytes = 0;                     // 0: not posted
    uint32_t chunk = LockedPool::kNoPiece;  // kNoPiece: into the connection's own memory
  };
  struct Queue {
    rio::RequestQueue requests = nullptr;  // nullptr: the system has refused it so far
    uint32_t own = LockedPool::kNoPiece;
    uint8_t posted = 0;            // receives
    bool fills_receives = false;   // the last receive filled its memory
    bool uncommitted = false;      // the last send was posted, and not committed
    bool waits_for_room = false;   // on_sent() is owed when there is room
    bool waits_for_end = false;    // on_sent() is owed when all sends have completed
    int begin_error = 0;           // for the next poll to report
    int send_error = 0;            // of a send that counted as taken
    uint32_t sends = 0;            // that have not completed
    uint32_t notifying = 0;        // those of them whose completion notifies
    uint64_t refused_ns = 0;       // since when the system refuses what the connection cannot do without
    uint64_t send_refused_ns = 0;  // since when it refuses a send although none is under way, or a commit
    SendAreas areas;
    std::array<Receive, kReceives> receives = {};
  };
  // What a send() has not copied yet.
  struct Rest {
    const IoSlice* slice;
    size_t offset;
  };

  // ---- Beginning

  [[nodiscard]] rio::RequestQueue create_requests(SOCKET socket, uint32_t slot);
  void grow_queue();

  // What a connection needs, or as much of it as the system gives. kRefused when it is not all: then it is tried again.
  int begin_now(uint32_t slot);
  int refuse(uint32_t slot);
  // Whether the system has refused for so long that the connection ends. `since_ns` is set at the first call.
  [[nodiscard]] static bool has_lasted(uint64_t& since_ns);

  // ---- Looking after connections that no completion wakes

  // A connection that waits for completions of which none notifies.
  void look_if_quiet(uint32_t slot);

  // Returns false when the connection still waits.
  bool look_at(IoSink& sink, uint32_t slot);

  // ---- Sending

  [[nodiscard]] rio::Slice place_of(const Queue& queue, uint32_t area) const;
  [[nodiscard]] uint8_t* memory_of(const Queue& queue, uint32_t area) const;

  // Copies at most `most` bytes into the current area. Returns how many.
  uint32_t copy(uint32_t slot, Rest& rest, size_t most);

  // Several sends are all deferred, and a commit without a send follows: of a last send without the flag Microsoft's
  // documentation says that it completes much slower than the others.
  int post_send(uint32_t slot, uint32_t bytes, bool defer);
  int commit(uint32_t slot);
  void forget_send(const Request& request);
  void sent(IoSink& sink, const Request& request, const rio::Result& result);

  // Once for all completions of a connection in this poll. Returns true.
  bool report_sent(IoSink& sink, uint32_t slot);

  // ---- Receiving

  [[nodiscard]] const uint8_t* memory_of(const Queue& queue, const Receive& receive, uint32_t part) const;

  // 0, or an error when not even one receive is posted.
  int post_receives(uint32_t slot);
  int post_receive(uint32_t slot, uint32_t part);
  void forget_receive(const Request& request);
  void end_receiving(IoSink& sink, uint32_t slot, int error);

  // Returns false when the sink has no room for all of it.
  bool received(IoSink& sink, const Request& request, const rio::Result& result);

  // The next receive is posted when the answer has left, provided that the other one is still posted.
  void post_next(IoSink& sink, uint32_t slot);

  // ---- Completions

  void dequeue();
  bool handle(IoSink& sink, const rio::Result& result);

  // Nothing is reported any more.
  void drop(const rio::Result& result);

  rio::Functions rio_ = {};
  rio::CompletionQueue queue_ = nullptr;
  DWORD capacity_ = 0;  // of the completion queue
  uint32_t open_ = 0;   // request queues
  Operation notified_;
  bool notify_pending_ = false;
  bool notify_failed_ = false;
  LockedPool own_{rio_, kOwnBytes, kOwnPerRegion, kOwnRegionsMax};
  LockedPool receive_chunks_{rio_, SendChunks::kBytes, SendChunks::kPerRegion, kReceiveRegionsMax};
  LockedPool send_chunks_{rio_, SendChunks::kBytes, SendChunks::kPerRegion, SendChunks::kRegionsMax};
  SendChunks sends_{send_chunks_};
  std::vector<Queue> queues_;
  SlotList looks_;     // slots that are looked at in each poll, at least every few milliseconds
  SlotList unposted_;  // slots whose receives are posted in the next poll
  SlotList reports_;   // slots whose on_sent() follows
  std::array<rio::Result, kResults> results_ = {};
  ULONG next_ = 0;
  ULONG count_ = 0;
  ULONG copied_ = 0;  // of the received bytes of the next result
};

}  // namespace zerio
