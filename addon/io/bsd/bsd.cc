// Makes the backend of macOS and FreeBSD. docs/kqueue.md says what was run where.
#include <array>
#include <cerrno>

#include "../readiness_io.h"
#include "kqueue_set.h"

namespace zerio {
namespace {

constexpr std::array<std::string_view, 1> kBackends = {KqueueSet::kName};

}  // namespace

std::span<const std::string_view> backend_names() { return kBackends; }

std::unique_ptr<Io> make_io(std::string_view backend, int& error) {
  error = EINVAL;
  return backend == KqueueSet::kName ? make_readiness_io<KqueueSet>(error) : nullptr;
}

}  // namespace zerio
