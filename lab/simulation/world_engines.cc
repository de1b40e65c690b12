// The engines of a simulation: how they are made, and what happens when the process of one dies.
#include <algorithm>

#include "world.h"

namespace zerio::simulation {

EngineShape World::any_shape() {
  static constexpr uint32_t kLengths[] = {64, 1000, 4000, 20000};
  static constexpr Wait kWaits[] = {Wait::Blocking, Wait::Blocking, Wait::Spin, Wait::Hybrid, Wait::Manual};
  EngineShape shape;
  EngineOptions& options = shape.options;
  options.message_length_max = static_cast<uint32_t>(random_.between(2, random_.pick(kLengths)));
  const uint32_t least = 2 * (options.message_length_max + static_cast<uint32_t>(kHeaderBytes));
  options.send_ring_bytes = (least + static_cast<uint32_t>(random_.below(random_.chance(500) ? 64 : 40000)) + 7) / 8 * 8;
  options.assembly_bytes = static_cast<uint32_t>(kHeaderBytes) + std::max(options.message_length_max, kControlLengthMax);
  options.assembly_kept_bytes = static_cast<uint32_t>(random_.below(4)) * options.assembly_bytes;
  options.ring_kept_bytes = static_cast<uint32_t>(random_.below(options.send_ring_bytes / 2));
  // Without a choice of its own, so that seeds that are known to have found something still do.
  static constexpr uint32_t kEnds[] = {1, 2, 4, 4};
  options.ends_per_poll = kEnds[options.ring_kept_bytes % 4];
  options.arena_bytes = static_cast<uint32_t>(random_.between(4, 8)) * 4096;
  options.events_capacity = options.arena_bytes / 8 + static_cast<uint32_t>(random_.between(80, 4096));
  shape.first_slots = static_cast<uint32_t>(random_.between(2, 16));
  const uint32_t flush_bytes[] = {122880, options.send_ring_bytes / 2, 600};
  shape.flush_bytes = random_.pick(flush_bytes);
  shape.wait = random_.pick(kWaits);
  return shape;
}

std::unique_ptr<EngineModel> World::make_engine(uint32_t number, const EngineShape& shape) {
  const EngineOptions& options = shape.options;
  const Shape io_shape = random_.chance(500) ? Shape::Completion : Shape::Readiness;
  auto made = std::make_unique<EngineModel>(
      number, shape, std::make_unique<SimulatedIo>(number, io_shape, network_, random_, trace_, faults_, torture_), network_,
      ledger_, random_, trace_, faults_, static_cast<Program&>(*this));
  trace_.add('e', number, "is made: messages of # bytes, rings of #, arena of #, completes late #, wait strategy #",
             {options.message_length_max, options.send_ring_bytes, options.arena_bytes, static_cast<uint64_t>(io_shape),
              static_cast<uint64_t>(shape.wait)});
  return made;
}

void World::add_up(EngineModel& engine) {
  result_.messages += engine.tally().messages;
  result_.bytes += engine.io().counts().bytes_received;
  result_.endings += engine.tally().released;
}

// Another one takes its place. It is the same program, and listens where the old one did. It knows nothing of the sessions that
// the old one had, as server or as client: its clients come back with their ids, and without their tokens.
void World::crash(uint32_t number) {
  EngineModel& old = *engines_[number];
  trace_.add('e', number, "dies");
  std::vector<ServerModel> servers;
  for (const ServerModel& server : old.servers()) {
    if (server.used && !server.stopping) servers.push_back(server);
  }
  std::vector<std::pair<ClientOptions, uint16_t>> clients;
  for (const auto& connection : old.connections()) {
    if (connection == nullptr || connection->server != kNone || !connection->in_session || connection->moved) continue;
    clients.emplace_back(connection->options, connection->port);
    clients.back().first.resumes = kNone;
  }
  add_up(old);
  old.io().die();
  engines_[number] = make_engine(number, old.shape());
  EngineModel& engine = *engines_[number];
  for (const ServerModel& server : servers) engine.listen(server.options, server.port);
  for (const auto& [options, port] : clients) {
    if (random_.chance(700)) engine.connect(options, port);
  }
}

}  // namespace zerio::simulation
