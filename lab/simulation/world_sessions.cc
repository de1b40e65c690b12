// Clients of a simulation whose sessions are suspended connect again.
#include "world.h"

namespace zerio::simulation {
namespace {

bool waits(const Connection* connection, uint32_t side) {
  return connection != nullptr && connection->suspended && static_cast<uint32_t>(connection->side) == side;
}

}  // namespace

void World::resume_some(EngineModel& engine) {
  std::vector<const Connection*> waiting;
  for (const auto& connection : engine.connections()) {
    if (waits(connection.get(), kClientSide)) waiting.push_back(connection.get());
  }
  for (const Connection* const connection : waiting) {
    if (random_.chance(500)) engine.connect_again(*connection);
  }
}

// Nothing goes wrong any more: a session whose two sides live goes on.
void World::resume_all() {
  constexpr int kAttempts = 20;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    for (const auto& engine : engines_) {
      std::vector<const Connection*> waiting;
      for (const auto& connection : engine->connections()) {
        if (waits(connection.get(), kClientSide)) waiting.push_back(connection.get());
      }
      for (const Connection* const connection : waiting) engine->connect_again(*connection);
    }
    settle();
  }
  for (const auto& engine : engines_) {
    for (const auto& client : engine->connections()) {
      // A server that could not accept tries again after some time, and the attempt waits for it.
      if (!waits(client.get(), kClientSide) || engine->tries_again(*client)) continue;
      for (const auto& other : engines_) {
        for (const auto& peer : other->connections()) {
          const bool lives = waits(peer.get(), kServerSide) && peer->ledger_link == client->ledger_link;
          if (!lives) continue;
          const ServerModel& server = other->servers()[peer->server];
          // Newcomers that say nothing go when their time is over, and time stands still here.
          require(server.stopping || server.turned_away > 0, "a session whose two sides live is resumed");
        }
      }
    }
  }
}

}  // namespace zerio::simulation
