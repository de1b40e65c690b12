// Makes the backends of Linux by name. docs/io_uring.md says why epoll is first.
#include "linux.h"

#include <array>
#include <cerrno>

namespace zerio {
namespace {

constexpr std::array<std::string_view, 2> kBackends = {"epoll", "io_uring"};

}  // namespace

std::span<const std::string_view> backend_names() { return kBackends; }

std::unique_ptr<Io> make_io(std::string_view backend, int& error) {
  error = EINVAL;
  if (backend == "epoll") return make_epoll(error);
  if (backend == "io_uring") return make_io_uring(error);
  return nullptr;
}

}  // namespace zerio
