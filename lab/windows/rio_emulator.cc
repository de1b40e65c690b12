// A strict Registered I/O over overlapped and non-blocking Winsock, for systems that have none. Uses that the real one answers with
// an error, with corrupted memory or not at all are written to a report here, and fail the run.
//
// It is a second addon. inject() changes the product's import table, so that WSAIoctl hands out the 13 functions below; the
// product's file stays as it is. It is slow, and says nothing about the speed of the real one.
//
// A send completes when its connection has taken all of it, and each fourth one a little later, as if its acknowledgement were on
// its way. Until the completion is dequeued the bytes must stay as they were.
//
// A queue belongs to the thread that makes it. Registered I/O only forbids calls at the same time; but the engine has one thread, and
// so calls that could meet are found whether they did or not. What a thread has made must be gone when its Node.js environment ends.
// Only process.exit(), which tears nothing down, leaves everything to the system.
//
// Report (a file named by ZERIO_RIO_REPORT): one line for each violation, and one for each process that ends.
#include "rio_system.h"
// After winsock2.h.
#include <node_api.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "imports.h"

namespace {

using namespace zerio::emulator;
using zerio::test::replace_import;

bool injected = false;

decltype(&WSAIoctl) real_ioctl = nullptr;
decltype(&closesocket) real_close = nullptr;
decltype(&WSASocketW) real_socket = nullptr;

// ---- The 13 functions

BOOL begin(RequestQueue id, Slice* slice, ULONG count, DWORD flags, void* context, bool sends) {
  const std::lock_guard lock(mutex);
  Connection* const connection = find_connection(id);
  if (connection == nullptr) return WSASetLastError(WSAEINVAL), FALSE;
  if (flags == kMessageCommitOnly) {
    for (Operation& operation : connection->sending) operation.deferred = false;
    work_on(*connection, false);
    return TRUE;
  }
  ULONG& used = sends ? connection->sends : connection->receives;
  if (used == (sends ? connection->sends_max : connection->receives_max)) {
    violation("more requests than the request queue has room for");
    return WSASetLastError(WSAENOBUFS), FALSE;
  }
  if (count != 1 || slice == nullptr || slice->length == 0) {
    violation("a request without bytes");
    return WSASetLastError(WSAEINVAL), FALSE;
  }
  const auto found = buffers.find(slice->buffer);
  if (found == buffers.end()) {
    violation("a buffer that is not registered");
    return WSASetLastError(WSAEINVAL), FALSE;
  }
  Buffer& buffer = *found->second;
  if (slice->offset > buffer.bytes || slice->length > buffer.bytes - slice->offset) {
    violation("bytes outside of their registration");
    return WSASetLastError(WSAEINVAL), FALSE;
  }
  if ((flags & ~(kMessageDontNotify | kMessageDefer)) != 0) violation("flags that do not exist");
  Operation operation;
  operation.connection = connection;
  operation.sends = sends;
  operation.buffer = &buffer;
  operation.data = buffer.data + slice->offset;
  operation.bytes = slice->length;
  operation.deferred = (flags & kMessageDefer) != 0;
  operation.context = context;
  if (sends) {
    static uint64_t sent = 0;
    operation.late = ++sent % 4 == 0;
    operation.sum = sum_of(operation.data, operation.bytes);
  }
  if (!operation.deferred) {
    for (Operation& earlier : connection->sending) earlier.deferred = false;
  }
  ++used;
  ++buffer.in_flight;
  ++requests;
  (sends ? connection->sending : connection->receiving).push_back(operation);
  if (!sends) start_receive(connection->receiving.back());
  if (sends && !operation.deferred) work_on(*connection, false);
  return TRUE;
}

BOOL PASCAL rio_receive(RequestQueue id, Slice* slice, ULONG count, DWORD flags, void* context) {
  return begin(id, slice, count, flags, context, false);
}

BOOL PASCAL rio_send(RequestQueue id, Slice* slice, ULONG count, DWORD flags, void* context) {
  return begin(id, slice, count, flags, context, true);
}

int PASCAL rio_receive_ex(RequestQueue, Slice*, ULONG, Slice*, Slice*, Slice*, Slice*, DWORD, void*) {
  violation("RIOReceiveEx is for datagrams");
  return FALSE;
}

BOOL PASCAL rio_send_ex(RequestQueue, Slice*, ULONG, Slice*, Slice*, Slice*, Slice*, DWORD, void*) {
  violation("RIOSendEx is for datagrams");
  return FALSE;
}

CompletionQueue PASCAL rio_create_completion_queue(DWORD size, Notification* notification) {
  const std::lock_guard lock(mutex);
  static bool works = false;
  if (size == 0 || size > kMaxQueueSize) return WSASetLastError(WSAEINVAL), nullptr;
  auto queue = std::make_unique<Queue>();
  queue->size = size;
  if (notification != nullptr) queue->notification = *notification;
  if (!works) std::thread(work_always).detach();
  works = true;
  Queue* const key = queue.get();
  queues[key] = std::move(queue);
  return reinterpret_cast<CompletionQueue>(key);
}

void PASCAL rio_close_completion_queue(CompletionQueue id) {
  const std::lock_guard lock(mutex);
  Queue* const queue = find_queue(id);
  if (queue == nullptr) return;
  if (!queue->connections.empty()) violation("a completion queue is closed before its request queues are over");
  queues.erase(queue);
}

BOOL PASCAL rio_resize_completion_queue(CompletionQueue id, DWORD size) {
  const std::lock_guard lock(mutex);
  Queue* const queue = find_queue(id);
  if (queue == nullptr || size > kMaxQueueSize) return WSASetLastError(WSAEINVAL), FALSE;
  if (size < queue->reserved) {
    violation("a completion queue becomes smaller than what is reserved in it");
    return WSASetLastError(WSAEINVAL), FALSE;
  }
  queue->size = size;
  return TRUE;
}

RequestQueue PASCAL rio_create_request_queue(SOCKET socket, ULONG receives, ULONG receive_slices, ULONG sends, ULONG send_slices,
                                             CompletionQueue received, CompletionQueue sent, void* context) {
  const std::lock_guard lock(mutex);
  Queue* const queue = find_queue(received);
  if (queue == nullptr || received != sent) return WSASetLastError(WSAEINVAL), nullptr;
  if (receive_slices != 1 || send_slices != 1) violation("more than one buffer in a request");
  if (!registered_sockets.contains(socket)) violation("a socket without WSA_FLAG_REGISTERED_IO");
  if (by_socket.contains(socket)) violation("a second request queue for one socket");
  if (queue->reserved + receives + sends > queue->size) {
    violation("the completion queue has no room for another request queue");
    return WSASetLastError(WSAENOBUFS), nullptr;
  }
  queue->reserved += receives + sends;
  auto connection = std::make_unique<Connection>();
  connection->socket = socket;
  connection->receives_max = receives;
  connection->sends_max = sends;
  connection->queue = queue;
  connection->context = context;
  Connection* const key = connection.get();
  queue->connections.insert(key);
  by_socket[socket] = key;
  connections[key] = std::move(connection);
  return reinterpret_cast<RequestQueue>(key);
}

BOOL PASCAL rio_resize_request_queue(RequestQueue, DWORD, DWORD) {
  violation("RIOResizeRequestQueue is not used by zerio");
  return FALSE;
}

ULONG PASCAL rio_dequeue_completion(CompletionQueue id, Result* results, ULONG count) {
  const std::lock_guard lock(mutex);
  Queue* const queue = find_queue(id);
  if (queue == nullptr) return kCorruptQueue;
  if (queue->completed.empty()) work(*queue, false);
  ULONG taken = 0;
  for (; taken < count && !queue->completed.empty(); ++taken) {
    const Completed completed = queue->completed.front();
    const Operation& operation = completed.operation;
    queue->completed.pop_front();
    if (operation.sends && sum_of(operation.data, operation.bytes) != operation.sum) {
      violation("bytes of a send were changed before it completed");
    }
    results[taken] = completed.result;
    --operation.buffer->in_flight;
    --(operation.sends ? completed.connection->sends : completed.connection->receives);
    forget_if_over(*completed.connection);
  }
  return taken;
}

int PASCAL rio_notify(CompletionQueue id) {
  const std::lock_guard lock(mutex);
  Queue* const queue = find_queue(id);
  if (queue == nullptr) return WSAEINVAL;
  if (queue->notification.type != Notification::Type::CompletionPort) {
    violation("RIONotify for a queue without notification");
    return WSAEINVAL;
  }
  if (queue->armed) {
    violation("RIONotify before the last notification came");
    return WSAEALREADY;
  }
  queue->armed = true;
  return 0;
}

BufferId PASCAL rio_register_buffer(char* data, DWORD bytes) {
  const std::lock_guard lock(mutex);
  // The real one locks the pages: touch each of them.
  for (DWORD at = 0; at < bytes; at += 4096) (void)*static_cast<volatile char*>(data + at);
  const auto id = reinterpret_cast<BufferId>(next_buffer++);
  buffers[id] = std::make_unique<Buffer>(Buffer{data, bytes});
  return id;
}

void PASCAL rio_deregister_buffer(BufferId id) {
  const std::lock_guard lock(mutex);
  const auto found = buffers.find(id);
  if (found == buffers.end()) return violation("a buffer is deregistered that is not registered");
  if (found->second->in_flight > 0) violation("a buffer is deregistered while requests use it");
  buffers.erase(found);
}

// ---- The injection

int WSAAPI emulated_ioctl(SOCKET socket, DWORD code, void* in, DWORD in_bytes, void* out, DWORD out_bytes, DWORD* bytes,
                          WSAOVERLAPPED* overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine) {
  const bool asked =
      code == kGetMultipleExtensions && in_bytes == sizeof(GUID) && IsEqualGUID(*static_cast<const GUID*>(in), kExtensionId);
  if (!asked) return real_ioctl(socket, code, in, in_bytes, out, out_bytes, bytes, overlapped, routine);
  if (out_bytes != sizeof(Functions)) return WSASetLastError(WSAEFAULT), SOCKET_ERROR;
  *static_cast<Functions*>(out) = {sizeof(Functions),
                                   rio_receive,
                                   rio_receive_ex,
                                   rio_send,
                                   rio_send_ex,
                                   rio_close_completion_queue,
                                   rio_create_completion_queue,
                                   rio_create_request_queue,
                                   rio_dequeue_completion,
                                   rio_deregister_buffer,
                                   rio_notify,
                                   rio_register_buffer,
                                   rio_resize_completion_queue,
                                   rio_resize_request_queue};
  *bytes = sizeof(Functions);
  return 0;
}

SOCKET WSAAPI emulated_socket(int family, int type, int protocol, WSAPROTOCOL_INFOW* info, GROUP group, DWORD flags) {
  const SOCKET socket = real_socket(family, type, protocol, info, group, flags & ~kSocketFlag);
  const std::lock_guard lock(mutex);
  if (socket != INVALID_SOCKET && (flags & kSocketFlag) != 0) registered_sockets.insert(socket);
  return socket;
}

int WSAAPI emulated_close(SOCKET socket) {
  const std::lock_guard lock(mutex);
  registered_sockets.erase(socket);
  const auto found = by_socket.find(socket);
  if (found != by_socket.end()) {
    Connection& connection = *found->second;
    by_socket.erase(found);
    connection.open = false;
    connection.queue->reserved -= connection.receives_max + connection.sends_max;
    CancelIoEx(reinterpret_cast<HANDLE>(socket), nullptr);
    for (Operation& operation : connection.receiving) finish_receive(operation);
    for (Operation& operation : connection.sending) {
      operation.done = 0;
      complete(operation, WSA_OPERATION_ABORTED);
    }
    connection.receiving.clear();
    connection.sending.clear();
    forget_if_over(connection);
  }
  return real_close(socket);
}

// inject(): true when the product, which must be loaded already, calls this addon from now on.
napi_value inject(napi_env env, napi_callback_info) {
  const std::lock_guard lock(mutex);
  auto* const module = reinterpret_cast<char*>(GetModuleHandleW(L"zerio.node"));
  if (!injected && module != nullptr) {
    injected = replace_import(module, "WS2_32.dll", "WSAIoctl", &emulated_ioctl, real_ioctl) &&
               replace_import(module, "WS2_32.dll", "closesocket", &emulated_close, real_close) &&
               replace_import(module, "WS2_32.dll", "WSASocketW", &emulated_socket, real_socket);
  }
  napi_value result = nullptr;
  napi_get_boolean(env, injected, &result);
  return result;
}

// The thread's engines are gone: their hooks are younger than this one, so they ran before it.
void report_left(void*) {
  const std::lock_guard lock(mutex);
  const DWORD thread = GetCurrentThreadId();
  const auto mine = [thread](const auto& entry) { return entry.second->thread == thread; };
  const auto left_queues = std::count_if(queues.begin(), queues.end(), mine);
  const auto left_buffers = std::count_if(buffers.begin(), buffers.end(), mine);
  if (left_queues > 0) violation(std::to_string(left_queues) + " completion queues are left by a thread");
  if (left_buffers > 0) violation(std::to_string(left_buffers) + " registered buffers are left by a thread");
}

void report_end() {
  report("end: requests " + std::to_string(requests) + ", violations " + std::to_string(violations) + ", live " +
         std::to_string(queues.size() + connections.size() + buffers.size()));
}

napi_value initialise(napi_env env, napi_value exports) {
  napi_value function = nullptr;
  napi_create_function(env, "inject", NAPI_AUTO_LENGTH, inject, nullptr, &function);
  napi_set_named_property(env, exports, "inject", function);
  napi_add_env_cleanup_hook(env, report_left, env);
  return exports;
}

}  // namespace

extern "C" BOOL WINAPI DllMain(HINSTANCE, DWORD reason, void*) {
  // All other threads are gone.
  if (reason == DLL_PROCESS_DETACH && injected) report_end();
  return TRUE;
}

NAPI_MODULE(rio_emulator, initialise)
