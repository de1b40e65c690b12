// Programs of a simulation that have ended one direction of a connection, or whose other side has.
#include "world.h"

namespace zerio::simulation {

// Of a connection between two engines; nullptr when it is gone.
const Connection* World::other_side(const Connection& connection) const {
  for (const auto& engine : engines_) {
    for (const auto& other : engine->connections()) {
      if (other != nullptr && other->ledger_link == connection.ledger_link && other->side != connection.side) return other.get();
    }
  }
  return nullptr;
}

void World::ended(Connection& connection) {
  const Stream& stream = ledger_.stream(connection.ledger_link, 1 - connection.side);
  const Connection* const other = other_side(connection);
  // A side that has closed, or broke off, has sent less than it has accepted.
  const bool has_sent_all = other != nullptr && other->ended && other->lives() && !stream.spoiled();
  require(!has_sent_all || stream.complete(), "an end comes behind everything that was accepted");
  if (resting_ || !connection.open()) return;
  if (random_.chance(500)) send_some(connection, 20);
  if (random_.chance(300)) connection.engine->end(connection);
}

// Whether the other side has ended and is gone, which this side learns when it sends.
bool World::outlives(const Connection& connection) const {
  const Connection* const other = other_side(connection);
  return connection.other_ended && (other == nullptr || !other->lives());
}

// Some of them send what they still have, and then end or close the other direction, too.
void World::finish_ended(EngineModel& engine) {
  for (const auto& connection : engine.connections()) {
    if (connection == nullptr || connection->disconnected || !(connection->ended || connection->other_ended)) continue;
    if (connection->open() && random_.chance(300)) send_some(*connection, 20);
    if (!random_.chance(100)) continue;
    switch (random_.below(4)) {
      case 0:
        engine.close(*connection, 1000, "");
        break;
      case 1:
        if (!connection->ring->claim_open()) engine.abort(*connection);
        break;
      default:
        engine.end(*connection);
    }
  }
}

}  // namespace zerio::simulation
