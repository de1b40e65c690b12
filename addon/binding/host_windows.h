// The table of what the addon uses of its host on Windows; the cross builds generate its definition.
#pragma once

#include <span>

namespace zerio {

struct HostFunction {
  const char* name;
  void** place;
};

std::span<const HostFunction> host_functions();

}  // namespace zerio
