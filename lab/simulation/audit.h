// Looks into an engine after a step: does everything in it belong to exactly one owner, and do its numbers add up?
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace zerio {

class Engine;
struct Connection;
struct Deadline;
enum class DeadlineKind : uint8_t;

class EngineAudit {
 public:
  // `assemblies`: all assembly buffers of the engine, sorted. `closing`: for each slot, whether its close is under way.
  static void check(const Engine& engine, const std::vector<uint8_t*>& assemblies, const std::vector<bool>& closing);
  [[nodiscard]] static uint32_t arena_used(const Engine& engine);
  [[nodiscard]] static bool lives(const Engine& engine, uint32_t slot);
  // Whether it is ended already, and only sends what it has accepted.
  [[nodiscard]] static bool ends(const Engine& engine, uint32_t slot);
  // Whether nothing is left that is to be given back.
  [[nodiscard]] static bool has_given_back(const Engine& engine);

 private:
  // What the connections say of a server, for comparison with its own numbers.
  struct ServerTally {
    uint32_t slots = 0;
    uint32_t handshakes = 0;
    uint32_t ended = 0;
    uint32_t peers = 0;
    uint32_t sessions = 0;
    uint32_t placed = 0;
  };

  EngineAudit(const Engine& engine, const std::vector<bool>& closing);

  void check_slots() const;
  void check_assemblies(const std::vector<uint8_t*>& assemblies) const;
  void check_slabs() const;
  void check_heap() const;
  void check_connections();
  void check_deadlines_of(const Connection& connection);
  void check_place_of(const Connection& connection) const;
  void check_deferred() const;
  void check_servers();
  void check_places(uint32_t server) const;
  void check_totals();
  bool count_deadline(const Deadline& deadline, uint32_t slot, DeadlineKind kind);

  const Engine& engine_;
  const std::vector<bool>& closing_;
  std::vector<ServerTally> servers_;
  size_t deadlines_ = 0;
  uint64_t first_due_ns_ = UINT64_MAX;
  uint64_t accept_retry_ns_ = UINT64_MAX;
  uint32_t dismissals_ = 0;
  uint32_t unreported_ = 0;
};

}  // namespace zerio
