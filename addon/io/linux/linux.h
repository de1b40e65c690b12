// The backends of Linux. Each has a function that makes it, or returns nullptr with the errno value that prevents it.
#pragma once

#include <memory>

#include "../io.h"

namespace zerio {

[[nodiscard]] std::unique_ptr<Io> make_epoll(int& error);
[[nodiscard]] std::unique_ptr<Io> make_io_uring(int& error);

}  // namespace zerio
