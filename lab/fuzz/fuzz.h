// What the fuzz targets share.
#pragma once

#include <cstdlib>

namespace zerio::fuzz {

// Ends the process, which libFuzzer reports as a crash.
inline void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace zerio::fuzz
