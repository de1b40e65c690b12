// What the addon uses of Node.js, found in the host at load, whatever the host is called: node.exe, Electron's executable, a
// single executable application. An import table has the name of one file in it.
//
// For the cross builds; with MSVC node-gyp's delay-load hook does the same. node_api.h and uv.h declare their functions as
// imported, so each call goes through a pointer __imp_<name>. These pointers are defined by the generated file
// (scripts/windows_host.mjs) and filled here, so that a call costs what an ordinary import costs.
#include "host_windows.h"

#include <windows.h>

#include <string_view>

namespace zerio {
namespace {

// Where the executable exports nothing, Node.js is a library beside it.
constexpr const wchar_t* kLibraries[] = {L"libnode.dll", L"node.dll"};
constexpr const char* kAnyName = "napi_create_function";

HMODULE find_host() {
  HMODULE const executable = GetModuleHandleW(nullptr);
  if (GetProcAddress(executable, kAnyName) != nullptr) return executable;
  for (const wchar_t* const library : kLibraries) {
    HMODULE const module = GetModuleHandleW(library);
    if (module != nullptr && GetProcAddress(module, kAnyName) != nullptr) return module;
  }
  return nullptr;
}

}  // namespace

bool find_host_functions() {
  HMODULE const host = find_host();
  if (host == nullptr) return false;
  for (const HostFunction& function : host_functions()) {
    *function.place = reinterpret_cast<void*>(GetProcAddress(host, function.name));
    // A host without libuv has the portable loop driver, which does not call it.
    const bool is_libuv = std::string_view(function.name).starts_with("uv_");
    if (*function.place == nullptr && !is_libuv) return false;
  }
  return true;
}

}  // namespace zerio
