// What the fuzz targets share.
#pragma once

#include <cstdlib>

namespace zerio::fuzz {

// Ends the process, which is how libFuzzer hears of a broken promise.
inline void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace zerio::fuzz
