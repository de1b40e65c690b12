// Little-endian loads and stores at any alignment: the byte order of docs/protocol.md.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace zerio {

static_assert(std::endian::native == std::endian::little,
              "the wire is little-endian, and so are all hosts that Node.js runs on here");

template <class T>
[[nodiscard]] inline T load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <class T>
inline void store(uint8_t* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

}  // namespace zerio
