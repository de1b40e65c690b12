// Registered I/O as mswsock.dll has it, declared here because mingw-w64's headers lack it. The layouts are those of the Windows
// SDK's mswsockdef.h and mswsock.h.
#pragma once

#include <winsock2.h>

#include <cstdint>

namespace zerio::rio {

using BufferId = struct BufferTag*;
using CompletionQueue = struct CompletionQueueTag*;
using RequestQueue = struct RequestQueueTag*;

// Neither nullptr nor INVALID_HANDLE_VALUE.
inline const BufferId kInvalidBuffer = reinterpret_cast<BufferId>(static_cast<uintptr_t>(0xFFFFFFFF));
inline constexpr ULONG kCorruptQueue = 0xFFFFFFFF;
inline constexpr DWORD kMaxQueueSize = 0x8000000;
inline constexpr DWORD kMessageDontNotify = 1;
inline constexpr DWORD kMessageDefer = 2;
inline constexpr DWORD kMessageCommitOnly = 8;
inline constexpr DWORD kSocketFlag = 0x100;                  // WSA_FLAG_REGISTERED_IO
inline constexpr DWORD kGetMultipleExtensions = 0xC8000024;  // SIO_GET_MULTIPLE_EXTENSION_FUNCTION_POINTER
inline constexpr GUID kExtensionId = {0x8509e081, 0x96dd, 0x4005, {0xb1, 0x65, 0x9e, 0x2e, 0xe8, 0xc7, 0x9e, 0x3f}};

struct Slice {  // RIO_BUF
  BufferId buffer;
  ULONG offset;
  ULONG length;
};
static_assert(sizeof(Slice) == 16);

struct Result {  // RIORESULT
  LONG status;
  ULONG bytes;
  ULONGLONG socket_context;
  ULONGLONG request_context;
};
static_assert(sizeof(Result) == 24);

struct Notification {  // RIO_NOTIFICATION_COMPLETION
  enum class Type : int { Event = 1, CompletionPort = 2 };
  struct Event {
    HANDLE handle;
    BOOL reset;
  };
  struct Port {
    HANDLE handle;
    void* key;
    void* overlapped;
  };
  Type type;
  union {
    Event event;
    Port port;
  };
};
static_assert(sizeof(Notification) == 32);

struct Functions {  // RIO_EXTENSION_FUNCTION_TABLE
  DWORD bytes;
  BOOL(PASCAL* receive)(RequestQueue, Slice*, ULONG count, DWORD flags, void* context);
  int(PASCAL* receive_ex)(RequestQueue, Slice*, ULONG count, Slice*, Slice*, Slice*, Slice*, DWORD flags, void* context);
  BOOL(PASCAL* send)(RequestQueue, Slice*, ULONG count, DWORD flags, void* context);
  BOOL(PASCAL* send_ex)(RequestQueue, Slice*, ULONG count, Slice*, Slice*, Slice*, Slice*, DWORD flags, void* context);
  void(PASCAL* close_completion_queue)(CompletionQueue);
  CompletionQueue(PASCAL* create_completion_queue)(DWORD size, Notification*);
  RequestQueue(PASCAL* create_request_queue)(SOCKET, ULONG receives, ULONG receive_slices, ULONG sends, ULONG send_slices,
                                             CompletionQueue received, CompletionQueue sent, void* socket_context);
  ULONG(PASCAL* dequeue_completion)(CompletionQueue, Result*, ULONG count);
  void(PASCAL* deregister_buffer)(BufferId);
  int(PASCAL* notify)(CompletionQueue);
  BufferId(PASCAL* register_buffer)(char* data, DWORD bytes);
  BOOL(PASCAL* resize_completion_queue)(CompletionQueue, DWORD size);
  BOOL(PASCAL* resize_request_queue)(RequestQueue, DWORD receives, DWORD sends);
};
static_assert(sizeof(Functions) == 112);

}  // namespace zerio::rio
