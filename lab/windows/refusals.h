// Which calls of Registered I/O are refused with WSAENOBUFS although nothing is wrong with them, as a system short of memory
// does.
#pragma once

#include <cstdint>
#include <string_view>

namespace zerio::emulator {

enum class Call : uint8_t { Register, CompletionQueue, RequestQueue, Resize, Send, Receive, Count };

// Counts this call. Returns true, with WSAENOBUFS as the last error, when it must fail.
[[nodiscard]] bool is_refused(Call call);

// From now on the n-th call of this kind is refused, once; with 0 none, with -1 each. Returns how many calls there were since the
// last refuse(), or -1 when there is no such kind. The kinds: register, completion_queue, request_queue, resize, send, receive.
int64_t refuse(std::string_view kind, int64_t n);

// What ZERIO_RIO_REFUSE says: kind:n,... with * for each call.
void refuse_by_environment();

}  // namespace zerio::emulator
