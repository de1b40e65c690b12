// The io_uring backend. Its function makes it, or returns nullptr with the errno value that prevents it.
#pragma once

#include <memory>

#include "../io.h"

namespace zerio {

[[nodiscard]] std::unique_ptr<Io> make_io_uring(int& error);

}  // namespace zerio
