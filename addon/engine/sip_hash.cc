// Makes the random key.
#include "sip_hash.h"

#include <exception>
#include <random>

namespace zerio {

SipKey SipKey::random() {
  SipKey key;
  try {
    // The system's own generator: getrandom or an instruction on Linux, RtlGenRandom on Windows.
    std::random_device device;
    const auto word = [&device] { return uint64_t{device()} << 32 | device(); };
    key = {word(), word()};
  } catch (const std::exception&) {
    // A system without one: the addresses of this process are all that is not known outside.
    key = {reinterpret_cast<uintptr_t>(&key), reinterpret_cast<uintptr_t>(&SipKey::random)};
  }
  return key;
}

}  // namespace zerio
