// There is no LoopDriver without libuv on this system yet.
#include "loop_driver.h"

namespace zerio {

std::unique_ptr<LoopDriver> make_portable_driver() { return nullptr; }

}  // namespace zerio
