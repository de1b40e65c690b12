// LoopWait on Windows: libuv's completion port is waited for by libuv alone, so each batch returns to libuv.
#include "loop_wait.h"

namespace zerio {

std::unique_ptr<LoopWait> LoopWait::create(uv_loop_t*, int) { return nullptr; }

}  // namespace zerio
