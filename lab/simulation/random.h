// The only random generator of a simulation: equal seeds make equal choices on every machine.
#pragma once

#include <cstdint>

namespace zerio::simulation {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  // splitmix64 (Steele, Lea, Flood 2014).
  uint64_t next() {
    state_ += 0x9e3779b97f4a7c15;
    uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
  }

  // 0 to bound - 1; 0 when the bound is 0.
  uint64_t below(uint64_t bound) { return bound == 0 ? 0 : next() % bound; }
  uint64_t between(uint64_t least, uint64_t most) { return least + below(most - least + 1); }
  bool chance(uint32_t per_mille) { return per_mille > 0 && below(1000) < per_mille; }

  template <class T, size_t Count>
  T pick(const T (&choices)[Count]) {
    return choices[below(Count)];
  }

 private:
  uint64_t state_;
};

}  // namespace zerio::simulation
