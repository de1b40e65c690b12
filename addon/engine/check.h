// Assertions of the engine, also in the published build: with a wrong idea of who owns which memory it is better to end, and to
// say why, than to go on. They are used where the branch costs nothing: on cold paths, and where a bound is looked at anyway.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace zerio {

[[noreturn, gnu::cold]] inline void broken(const char* what) {
  (void)std::fprintf(stderr, "zerio: a bug of the engine: %s. Please report this line (npm bugs zerio).\n", what);
  std::abort();
}

// `what` is a sentence that says what is wrong when it does not hold.
inline void check(bool holds, const char* what) {
  if (!holds) [[unlikely]] {
    broken(what);
  }
}

}  // namespace zerio
