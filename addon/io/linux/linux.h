// The backends of Linux. Each is made by its own function: nullptr with the errno value that forbids it.
#pragma once

#include <memory>

#include "../io.h"

namespace zerio {

[[nodiscard]] std::unique_ptr<Io> make_epoll(int& error);
[[nodiscard]] std::unique_ptr<Io> make_io_uring(int& error);

}  // namespace zerio
