// A second addon that refuses memory to the product: after refuse(n) the product's n-th malloc returns nullptr, and with 0 none
// does. refuse() returns how many calls of malloc there were since the last call.
#include <node_api.h>

#include <atomic>
#include <cstdlib>

#include "imports.h"

namespace {

decltype(&std::malloc) real_malloc = nullptr;
std::atomic<int64_t> calls = 0;
std::atomic<int64_t> refused = 0;

void* counted_malloc(size_t bytes) { return ++calls == refused ? nullptr : real_malloc(bytes); }

napi_value refuse(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument = nullptr;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  int64_t next = 0;
  napi_get_value_int64(env, argument, &next);
  napi_value result = nullptr;
  napi_create_int64(env, calls, &result);
  calls = 0;
  refused = next;
  return result;
}

// Where malloc comes from: mingw-w64's C library, and the universal one, which zig links.
bool replace_malloc(char* module) {
  for (const char* const library : {"msvcrt.dll", "api-ms-win-crt-heap-l1-1-0.dll"}) {
    if (zerio::test::replace_import(module, library, "malloc", &counted_malloc, real_malloc)) return true;
  }
  return false;
}

napi_value initialise(napi_env env, napi_value exports) {
  auto* const module = reinterpret_cast<char*>(GetModuleHandleW(L"zerio.node"));
  if (module == nullptr || !replace_malloc(module)) {
    napi_throw_error(env, nullptr, "The product's addon is not loaded, or does not import malloc.");
    return exports;
  }
  napi_value function = nullptr;
  napi_create_function(env, "refuse", NAPI_AUTO_LENGTH, refuse, nullptr, &function);
  napi_set_named_property(env, exports, "refuse", function);
  return exports;
}

}  // namespace

NAPI_MODULE(refuse_memory, initialise)
