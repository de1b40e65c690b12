// What the engine relies on, checked in the published build, too: going on with a wrong idea of who owns which memory is worse
// than an end that says why. Only where the branch is free: on cold paths, and where a bound is looked at anyway.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace zerio {

[[noreturn, gnu::cold]] inline void broken(const char* what) {
  (void)std::fprintf(stderr, "zerio: a bug of the engine: %s. Please report this line (npm bugs zerio).\n", what);
  std::abort();
}

// `what` is what does not hold, as a sentence.
inline void check(bool holds, const char* what) {
  if (!holds) [[unlikely]] {
    broken(what);
  }
}

}  // namespace zerio
