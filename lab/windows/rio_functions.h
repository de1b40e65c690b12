// The 13 functions of the emulated Registered I/O.
#pragma once

#include "../../addon/io/windows/rio_abi.h"

namespace zerio::emulator {

[[nodiscard]] rio::Functions rio_functions();
// The most that registrations and completion queues have locked at a time, in whole pages.
[[nodiscard]] uint64_t locked_bytes_at_most();
// How much registrations and completion queues may lock from now on.
void limit_locked_bytes(uint64_t bytes);

}  // namespace zerio::emulator
