// Counts calls of operator new while the engine's own code runs.
#pragma once

#include <cstdint>

namespace zerio::simulation {

[[nodiscard]] uint64_t allocations_counted();

// Switches the counting on or off for a scope.
class Counting {
 public:
  explicit Counting(bool on);
  ~Counting();
  Counting(const Counting&) = delete;
  Counting& operator=(const Counting&) = delete;

 private:
  bool before_;
};

}  // namespace zerio::simulation
