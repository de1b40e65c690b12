// Makes the backends of Linux by name. docs/io_uring.md says why epoll is first.
#include "linux.h"

#include <array>
#include <cerrno>

#include "../readiness_io.h"
#include "epoll_set.h"

namespace zerio {
namespace {

constexpr std::array<std::string_view, 2> kBackends = {EpollSet::kName, "io_uring"};

}  // namespace

std::span<const std::string_view> backend_names() { return kBackends; }

std::unique_ptr<Io> make_io(std::string_view backend, int& error) {
  error = EINVAL;
  if (backend == EpollSet::kName) return make_readiness_io<EpollSet>(error);
  if (backend == "io_uring") return make_io_uring(error);
  return nullptr;
}

}  // namespace zerio
