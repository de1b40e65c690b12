// The emulator as a second addon: puts the emulated Registered I/O, and rules of Windows' sockets that Wine lacks, under the
// product by changing the import table of its addon. The product's file stays as it is. emulate_rio.cjs says what its functions
// do.
//
// What a thread has made must be gone when its Node.js environment ends. Only process.exit(), which tears nothing down, leaves
// everything to the system. The report's last line of a process says what happened in it, and how many bytes it lost: those of
// sends that were not acknowledged when it ended.
#include <winsock2.h>
// After winsock2.h.
#include <mstcpip.h>
#include <node_api.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <string>

#include "acknowledgements.h"
#include "imports.h"
#include "real.h"
#include "refusals.h"
#include "rio_functions.h"
#include "rio_system.h"
#include "socket_rules.h"

namespace zerio::emulator {

Real real;

namespace {

using test::replace_import;

bool injected = false;
bool has_rio = false;

template <class Function>
void replace(void* at, Function& original, Function ruled) {
  std::memcpy(&original, at, sizeof original);
  std::memcpy(at, &ruled, sizeof ruled);
}

int WSAAPI emulated_ioctl(SOCKET socket, DWORD code, void* in, DWORD in_bytes, void* out, DWORD out_bytes, DWORD* bytes,
                          WSAOVERLAPPED* overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine) {
  const auto asks_for = [&](const GUID& id) {
    return in_bytes == sizeof(GUID) && IsEqualGUID(*static_cast<const GUID*>(in), id);
  };
  if (code == SIO_TCP_INITIAL_RTO) return set_initial_rto(socket, in, in_bytes);
  if (code == kGetMultipleExtensions && has_rio && asks_for(kExtensionId)) {
    if (out_bytes != sizeof(Functions)) return WSASetLastError(WSAEFAULT), SOCKET_ERROR;
    *static_cast<Functions*>(out) = rio_functions();
    *bytes = sizeof(Functions);
    return 0;
  }
  const int result = real.ioctl(socket, code, in, in_bytes, out, out_bytes, bytes, overlapped, routine);
  if (result != 0 || code != SIO_GET_EXTENSION_FUNCTION_POINTER) return result;
  if (asks_for(WSAID_ACCEPTEX)) replace(out, real.accept, &ruled_accept);
  if (asks_for(WSAID_CONNECTEX)) replace(out, real.connect, &ruled_connect);
  return result;
}

[[nodiscard]] bool inject_into(char* module) {
  constexpr auto kSockets = "WS2_32.dll";
  constexpr auto kKernel = "KERNEL32.dll";
  const bool all = replace_import(module, kSockets, "WSAIoctl", &emulated_ioctl, real.ioctl) &&
                   replace_import(module, kSockets, "closesocket", &ruled_close, real.close) &&
                   replace_import(module, kSockets, "WSASocketW", &ruled_socket, real.socket) &&
                   replace_import(module, kSockets, "WSARecv", &ruled_receive, real.receive) &&
                   replace_import(module, kSockets, "WSASend", &ruled_send, real.send) &&
                   replace_import(module, kSockets, "recv", &ruled_plain_receive, real.plain_receive) &&
                   replace_import(module, kSockets, "ioctlsocket", &ruled_control, real.control) &&
                   replace_import(module, kSockets, "getpeername", &ruled_peer_name, real.peer_name) &&
                   replace_import(module, kSockets, "setsockopt", &ruled_set_option, real.set_option) &&
                   replace_import(module, kSockets, "bind", &ruled_bind, real.bind) &&
                   replace_import(module, kSockets, "listen", &ruled_listen, real.listen) &&
                   replace_import(module, kSockets, "shutdown", &ruled_shutdown, real.shutdown) &&
                   replace_import(module, kKernel, "CreateIoCompletionPort", &ruled_create_port, real.create_port);
  // The product need not send in this way, nor cancel anything.
  (void)replace_import(module, kSockets, "send", &ruled_plain_send, real.plain_send);
  if (!replace_import(module, kKernel, "CancelIoEx", &ruled_cancel, real.cancel)) real.cancel = &CancelIoEx;
  return all;
}

std::string text_of(napi_env env, napi_value value) {
  char text[64] = {};
  size_t length = 0;
  napi_get_value_string_utf8(env, value, text, sizeof text, &length);
  return {text, length};
}

napi_value as_boolean(napi_env env, bool value) {
  napi_value result = nullptr;
  napi_get_boolean(env, value, &result);
  return result;
}

template <size_t count>
void arguments_of(napi_env env, napi_callback_info info, napi_value (&arguments)[count]) {
  size_t given = count;
  napi_get_cb_info(env, info, &given, arguments, nullptr, nullptr);
}

// Of a function that has one argument.
napi_value argument_of(napi_env env, napi_callback_info info) {
  napi_value arguments[1] = {};
  arguments_of(env, info, arguments);
  return arguments[0];
}

int64_t integer_of(napi_env env, napi_value value) {
  int64_t result = 0;
  napi_get_value_int64(env, value, &result);
  return result;
}

napi_value js_inject(napi_env env, napi_callback_info info) {
  const std::lock_guard lock(mutex);
  auto* const module = reinterpret_cast<char*>(GetModuleHandleW(L"zerio.node"));
  if (!injected && module != nullptr) {
    napi_get_value_bool(env, argument_of(env, info), &has_rio);
    Acknowledgements::delay_by_environment();
    injected = inject_into(module);
  }
  return as_boolean(env, injected);
}

napi_value js_refuse(napi_env env, napi_callback_info info) {
  napi_value arguments[3] = {};
  arguments_of(env, info, arguments);
  int error = WSAENOBUFS;
  napi_get_value_int32(env, arguments[2], &error);
  napi_value result = nullptr;
  napi_create_int64(env, refuse(text_of(env, arguments[0]), integer_of(env, arguments[1]), error), &result);
  return result;
}

napi_value js_limit(napi_env env, napi_callback_info info) {
  const std::lock_guard lock(mutex);
  limit_locked_bytes(static_cast<uint64_t>(integer_of(env, argument_of(env, info))));
  return nullptr;
}

napi_value js_delay(napi_env env, napi_callback_info info) {
  bool delayed = false;
  napi_get_value_bool(env, argument_of(env, info), &delayed);
  Acknowledgements::delay(delayed);
  return nullptr;
}

napi_value js_late(napi_env env, napi_callback_info info) {
  const std::lock_guard lock(mutex);
  late_more_ns = static_cast<uint64_t>(integer_of(env, argument_of(env, info))) * 1'000'000;
  return nullptr;
}

napi_value js_corrupt(napi_env, napi_callback_info) {
  const std::lock_guard lock(mutex);
  for (auto& [key, queue] : queues) queue->corrupt = true;
  return nullptr;
}

napi_value js_locked(napi_env env, napi_callback_info) {
  napi_value result = nullptr;
  napi_create_double(env, static_cast<double>(locked_bytes_at_most()), &result);
  return result;
}

// The thread's engines are gone: their hooks are younger than this one, so they ran before it.
void report_left(void*) {
  const std::lock_guard lock(mutex);
  const DWORD thread = GetCurrentThreadId();
  const auto mine = [thread](const auto& entry) { return entry.second->thread == thread; };
  // What the system may still write into is rightly left.
  const bool waits = std::any_of(queues.begin(), queues.end(), [&](const auto& entry) {
    return mine(entry) && !entry.second->connections.empty();
  });
  if (waits) return;
  const auto left_queues = std::count_if(queues.begin(), queues.end(), mine);
  const auto left_buffers = std::count_if(buffers.begin(), buffers.end(), mine);
  if (left_queues > 0) violation(std::to_string(left_queues) + " completion queues are left by a thread");
  if (left_buffers > 0) violation(std::to_string(left_buffers) + " registered buffers are left by a thread");
}

void report_end() {
  const uint64_t lost = lose_sends();
  report("end: requests " + std::to_string(requests) + ", violations " + std::to_string(violations) + ", live " +
         std::to_string(queues.size() + connections.size() + buffers.size()) + ", locked " +
         std::to_string(locked_bytes_at_most()) + ", lost " + std::to_string(lost));
}

napi_value initialise(napi_env env, napi_value exports) {
  constexpr std::pair<const char*, napi_callback> kFunctions[] = {
      {"inject", js_inject},   {"refuse", js_refuse}, {"limit", js_limit},
      {"corrupt", js_corrupt}, {"delay", js_delay},   {"locked", js_locked}, {"late", js_late}};
  for (const auto& [name, callback] : kFunctions) {
    napi_value function = nullptr;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
    napi_set_named_property(env, exports, name, function);
  }
  napi_add_env_cleanup_hook(env, report_left, env);
  return exports;
}

}  // namespace

// All other threads are gone.
void end_process() {
  if (injected) report_end();
}

}  // namespace zerio::emulator

extern "C" BOOL WINAPI DllMain(HINSTANCE, DWORD reason, void*) {
  if (reason == DLL_PROCESS_DETACH) zerio::emulator::end_process();
  return TRUE;
}

NAPI_MODULE(rio_emulator, zerio::emulator::initialise)
