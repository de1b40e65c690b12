// The log of a simulation: printed on request, and always folded into a digest, so that two runs can be compared exactly.
#pragma once

#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <string_view>

namespace zerio::simulation {

class Trace {
 public:
  Trace(bool printed, const uint64_t& now_ns) : printed_(printed), now_ns_(now_ns) {}

  // Each # in `what` stands for one of the values.
  void add(char actor, uint32_t number, std::string_view what, std::initializer_list<uint64_t> values = {}) {
    for (const char letter : what) fold(static_cast<uint8_t>(letter));
    fold(static_cast<uint8_t>(actor));
    fold(number);
    for (const uint64_t value : values) fold(value);
    if (!printed_) return;
    std::printf("%12.6f ms  %c%-3u ", static_cast<double>(now_ns_ - kStartNs) / 1e6, actor, number);
    const uint64_t* value = values.begin();
    for (const char letter : what) {
      if (letter == '#' && value != values.end()) {
        std::printf("%llu", static_cast<unsigned long long>(*value++));
      } else {
        std::putchar(letter);
      }
    }
    std::putchar('\n');
  }

  [[nodiscard]] uint64_t digest() const { return digest_; }

  static constexpr uint64_t kStartNs = 1'000'000'000;

 private:
  void fold(uint64_t value) { digest_ = (digest_ ^ value) * 0x100000001b3 + (digest_ >> 47); }

  bool printed_;
  const uint64_t& now_ns_;
  uint64_t digest_ = 0xcbf29ce484222325;
};

}  // namespace zerio::simulation
