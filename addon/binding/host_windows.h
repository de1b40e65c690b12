// The table of what the addon uses of its host on Windows; the cross builds generate its definition.
#pragma once

#include <span>

namespace zerio {

struct HostFunction {
  const char* name;
  void** place;
};

std::span<const HostFunction> host_functions();

// Finds all of them. False when the host lacks one: then none may be called.
#ifdef ZERIO_FINDS_HOST
[[nodiscard]] bool find_host_functions();
#else
// With MSVC node-gyp's delay-load hook finds them.
[[nodiscard]] inline bool find_host_functions() { return true; }
#endif

}  // namespace zerio
