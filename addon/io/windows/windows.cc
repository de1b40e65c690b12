// Makes the backends of Windows by name. docs/windows.md says what they are.
#include <uv/errno.h>

#include <array>

#include "windows_io.h"

namespace zerio {
namespace {

constexpr std::array<std::string_view, 2> kBackends = {"rio", "winsock"};

}  // namespace

std::span<const std::string_view> backend_names() { return kBackends; }

std::unique_ptr<Io> make_io(std::string_view backend, int& error) {
  error = -UV__EINVAL;
  if (backend == "rio") return make_rio(error);
  if (backend == "winsock") return make_winsock(error);
  return nullptr;
}

}  // namespace zerio
