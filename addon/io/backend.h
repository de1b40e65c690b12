// Which backend an engine gets: one file per system says what there is.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "io.h"

namespace zerio {

struct Backend {
  std::unique_ptr<Io> io;
  int error = 0;       // why there is no `io`, when the system has a number for it
  std::string reason;  // a sentence's end: why this one, or why none
};

// `wanted` is "auto" or a backend's name.
[[nodiscard]] Backend make_backend(std::string_view wanted);

}  // namespace zerio
