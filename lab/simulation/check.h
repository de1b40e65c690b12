// Assertions of the simulation. One that fails throws a Violation, which names the broken promise.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace zerio::simulation {

class Violation : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline void require(bool holds, const char* promise) {
  if (!holds) throw Violation(promise);
}

inline void require_equal(uint64_t found, uint64_t expected, const char* promise) {
  if (found != expected) {
    throw Violation(std::string(promise) + ": found " + std::to_string(found) + ", expected " + std::to_string(expected));
  }
}

}  // namespace zerio::simulation
