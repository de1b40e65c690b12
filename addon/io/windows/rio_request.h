// What the 64 bits of a request's context say, and what the status of its result means.
#pragma once

#include <uv/errno.h>

#include "windows_io.h"

namespace zerio::rio {

struct Request {
  enum class Kind : uint8_t { Receive, Send };

  uint32_t slot = 0;
  Kind kind = Kind::Receive;
  bool notifies = false;
  uint32_t part = 0;  // which receive, or from which area a send

  [[nodiscard]] void* context() const {
    return reinterpret_cast<void*>(uintptr_t{slot} | static_cast<uintptr_t>(kind) << kKindAt |
                                   uintptr_t{notifies} << kNotifiesAt | uintptr_t{part} << kPartAt);
  }
  static Request of(ULONGLONG context) {
    return {static_cast<uint32_t>(context & ((1U << kKindAt) - 1)), static_cast<Kind>(context >> kKindAt & 1),
            (context >> kNotifiesAt & 1) != 0, static_cast<uint32_t>(context >> kPartAt)};
  }

 private:
  static constexpr uint32_t kKindAt = 30;
  static constexpr uint32_t kNotifiesAt = 31;
  static constexpr uint32_t kPartAt = 32;
};
static_assert(sizeof(uintptr_t) == 8);

// A status is an error number of Winsock, or one of the kernel, which the system translates. Returns libuv's number.
[[nodiscard]] inline int status_number(LONG status) {
  using Translate = ULONG(WINAPI*)(LONG);
  static const auto translate = reinterpret_cast<Translate>(
      reinterpret_cast<void*>(GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "RtlNtStatusToDosError")));
  if (status < 0 && translate != nullptr) return error_number(static_cast<int>(translate(status)));
  return error_number(status);
}

// The last error. All kinds of shortage are one number: a later try may succeed.
inline constexpr int kRefused = -UV__ENOBUFS;
[[nodiscard]] inline int failure() { return is_shortage(WSAGetLastError()) ? kRefused : last_error_number(); }

}  // namespace zerio::rio
