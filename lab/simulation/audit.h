// Looks into an engine after a step: does everything in it belong to exactly one owner, and do its numbers add up?
#pragma once

#include <cstdint>
#include <vector>

namespace zerio {

class Engine;

class EngineAudit {
 public:
  // `assemblies`: all assembly buffers of the engine, sorted. `closing`: for each slot, whether its close is under way.
  static void check(const Engine& engine, const std::vector<uint8_t*>& assemblies, const std::vector<bool>& closing);
  [[nodiscard]] static uint32_t arena_used(const Engine& engine);
  [[nodiscard]] static bool lives(const Engine& engine, uint32_t slot);
  // Whether nothing is left that is to be given back.
  [[nodiscard]] static bool has_given_back(const Engine& engine);
};

}  // namespace zerio
