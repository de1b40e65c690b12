// The kernel's io_uring interface as far as zerio uses it: include/uapi/linux/io_uring.h. Declared here and not included, because
// the headers of the system that builds are often older than the kernel that runs.
#pragma once

#include <cstddef>
#include <cstdint>

namespace zerio::uring {

struct SqOffsets {
  uint32_t head, tail, ring_mask, ring_entries, flags, dropped, array, reserved;
  uint64_t user_address;
};
static_assert(sizeof(SqOffsets) == 40);

struct CqOffsets {
  uint32_t head, tail, ring_mask, ring_entries, overflow, cqes, flags, reserved;
  uint64_t user_address;
};
static_assert(sizeof(CqOffsets) == 40);

struct Params {
  uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd;
  uint32_t reserved[3];
  SqOffsets sq;
  CqOffsets cq;
};
static_assert(sizeof(Params) == 120);

struct Sqe {
  uint8_t opcode;
  uint8_t flags;
  uint16_t ioprio;
  int32_t fd;
  uint64_t offset;
  uint64_t address;
  uint32_t length;
  uint32_t operation_flags;
  uint64_t user_data;
  uint16_t buffer_group;
  uint16_t personality;
  uint32_t file_index;
  uint64_t address3;
  uint64_t padding;
};
static_assert(sizeof(Sqe) == 64 && offsetof(Sqe, user_data) == 32 && offsetof(Sqe, buffer_group) == 40);

struct Cqe {
  uint64_t user_data;
  int32_t result;
  uint32_t flags;
};
static_assert(sizeof(Cqe) == 16);

// One entry of a provided-buffer ring. The ring's tail lies in the last two bytes of its first entry.
struct Buffer {
  uint64_t address;
  uint32_t length;
  uint16_t id;
  uint16_t tail;
};
static_assert(sizeof(Buffer) == 16 && offsetof(Buffer, tail) == 14);

struct BufferRegistration {
  uint64_t ring_address;
  uint32_t ring_entries;
  uint16_t group;
  uint16_t flags;
  uint64_t reserved[3];
};
static_assert(sizeof(BufferRegistration) == 40);

struct ResourceUpdate {
  uint32_t offset;
  uint32_t reserved;
  uint64_t data;
};
static_assert(sizeof(ResourceUpdate) == 16);

struct ProbeOperation {
  uint8_t operation;
  uint8_t reserved;
  uint16_t flags;
  uint32_t reserved2;
};
struct Probe {
  uint8_t last_operation;
  uint8_t count;
  uint16_t reserved;
  uint32_t reserved2[3];
  ProbeOperation operations[256];
};
static_assert(sizeof(Probe) == 16 + 256 * 8);

enum Operation : uint8_t {
  kPollAdd = 6,
  kAccept = 13,
  kAsyncCancel = 14,
  kRead = 22,
  kSend = 26,
  kReceive = 27,
  kSendZeroCopy = 47
};

enum SetupFlag : uint32_t {
  kSetupCqSize = 1U << 3,
  kSetupClamp = 1U << 4,
  kSetupSubmitAll = 1U << 7,      // 5.18
  kSetupCoopTaskrun = 1U << 8,    // 5.19
  kSetupTaskrunFlag = 1U << 9,    // 5.19
  kSetupSingleIssuer = 1U << 12,  // 6.0
  kSetupDeferTaskrun = 1U << 13,  // 6.1
};

enum Feature : uint32_t {
  kFeatureSingleMmap = 1U << 0,  // 5.4
  kFeatureNoDrop = 1U << 1,      // 5.5
  kFeatureNoIoWait = 1U << 17,   // 6.15
};

enum SqeFlag : uint8_t { kSqeBufferSelect = 1U << 5, kSqeSkipSuccess = 1U << 6 };

enum CqeFlag : uint32_t { kCqeBuffer = 1U << 0, kCqeMore = 1U << 1, kCqeSocketHasMore = 1U << 2, kCqeBufferMore = 1U << 4 };
inline constexpr uint32_t kCqeBufferShift = 16;

enum SqRingFlag : uint32_t { kSqOverflow = 1U << 1, kSqTaskrun = 1U << 2 };

enum CqRingFlag : uint32_t { kCqEventfdDisabled = 1U << 0 };

enum EnterFlag : uint32_t { kEnterGetEvents = 1U << 0, kEnterRegisteredRing = 1U << 4 };

// In an SQE's ioprio.
inline constexpr uint16_t kReceiveMultishot = 1U << 1;  // 6.0
inline constexpr uint16_t kAcceptMultishot = 1U << 0;   // 5.19

enum CancelFlag : uint32_t { kCancelAll = 1U << 0, kCancelAny = 1U << 2 };

inline constexpr uint16_t kBuffersIncremental = 2;  // 6.12

enum Register : uint32_t {
  kRegisterEventfd = 4,
  kRegisterProbe = 8,
  kRegisterRingFds = 20,
  kUnregisterRingFds = 21,
  kRegisterBufferRing = 22,
};

inline constexpr uint64_t kOffsetSqRing = 0;
inline constexpr uint64_t kOffsetSqes = 0x10000000;

}  // namespace zerio::uring
