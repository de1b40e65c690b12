// Which calls of Registered I/O fail although nothing is wrong with them: with WSAENOBUFS, as on a system short of memory, or with
// another error, as when the connection has just ended.
#pragma once

#include <winsock2.h>

#include <cstdint>
#include <string_view>

namespace zerio::emulator {

enum class Call : uint8_t { Register, CompletionQueue, RequestQueue, Resize, Send, Commit, Receive, Notify, Count };

// Counts this call. Returns the error with which it must fail, also as the last error, or 0.
[[nodiscard]] int refusal_of(Call call);

// From now on the n-th call of this kind fails with this error, once; with 0 none, with -1 each. Returns how many calls there were
// since the last refuse(), or -1 when there is no such kind. The kinds: register, completion_queue, request_queue, resize, send,
// commit, receive, notify.
int64_t refuse(std::string_view kind, int64_t n, int error = WSAENOBUFS);

}  // namespace zerio::emulator
