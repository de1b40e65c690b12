// Which slot has the peer with an id. Clients choose the ids: the hash has a random key, so that no choice of them makes the
// table slow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "sip_hash.h"

namespace zerio {

struct IdHash {
  SipKey key;
  size_t operator()(const std::string& id) const { return static_cast<size_t>(sip_hash(key, id)); }
};

using IdTable = std::unordered_map<std::string, uint32_t, IdHash>;

}  // namespace zerio
