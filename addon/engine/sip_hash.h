// SipHash (Aumasson and Bernstein, 2012): without its key, inputs that collide cannot be found. 1-3 is the variant that the hash
// tables of Python, Ruby and Rust use for data from outside.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "bytes.h"

namespace zerio {

struct SipKey {
  uint64_t low = 0;
  uint64_t high = 0;

  // A key that only this process knows (addon/engine/sip_hash.cc).
  [[nodiscard]] static SipKey random();
};

template <int kCompressions = 1, int kFinalizations = 3>
[[nodiscard]] inline uint64_t sip_hash(const SipKey& key, std::string_view bytes) {
  uint64_t v0 = key.low ^ 0x736f6d6570736575;
  uint64_t v1 = key.high ^ 0x646f72616e646f6d;
  uint64_t v2 = key.low ^ 0x6c7967656e657261;
  uint64_t v3 = key.high ^ 0x7465646279746573;
  const auto rounds = [&](int count) {
    for (int i = 0; i < count; ++i) {
      v0 += v1;
      v1 = std::rotl(v1, 13) ^ v0;
      v0 = std::rotl(v0, 32);
      v2 += v3;
      v3 = std::rotl(v3, 16) ^ v2;
      v0 += v3;
      v3 = std::rotl(v3, 21) ^ v0;
      v2 += v1;
      v1 = std::rotl(v1, 17) ^ v2;
      v2 = std::rotl(v2, 32);
    }
  };
  const auto mix = [&](uint64_t word) {
    v3 ^= word;
    rounds(kCompressions);
    v0 ^= word;
  };
  const auto* at = reinterpret_cast<const uint8_t*>(bytes.data());
  size_t left = bytes.size();
  for (; left >= sizeof(uint64_t); left -= sizeof(uint64_t), at += sizeof(uint64_t)) mix(load<uint64_t>(at));
  uint64_t last = uint64_t{bytes.size()} << 56;
  for (size_t i = 0; i < left; ++i) last |= uint64_t{at[i]} << (8 * i);
  mix(last);
  v2 ^= 0xff;
  rounds(kFinalizations);
  return v0 ^ v1 ^ v2 ^ v3;
}

}  // namespace zerio
