// One simulation: some engines and raw peers in one network, everything decided by one seed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine_model.h"
#include "raw_peer.h"

namespace zerio::simulation {

struct WorldOptions {
  uint64_t seed = 0;
  bool trace = false;
  bool faults = true;
  uint32_t steps_max = 3000;
  Torture torture;
};

struct WorldResult {
  uint64_t digest = 0;
  uint64_t steps = 0;
  uint64_t messages = 0;
  uint64_t bytes = 0;
  uint64_t connections = 0;
  uint64_t endings = 0;
  Torture torture;
};

class World final : private Program {
 public:
  explicit World(const WorldOptions& options);

  // Throws a Violation when a promise is broken.
  WorldResult run();

 private:
  struct RawListener {
    uint16_t port;
  };

  bool authenticate(EngineModel& engine) override;
  void connected(Connection& connection) override;
  bool message(Connection& connection) override;
  void drain(Connection& connection) override;
  void ended(Connection& connection) override;
  void disconnected(Connection& connection, uint32_t code, uint32_t error, bool local) override;

  [[nodiscard]] EngineShape any_shape();
  [[nodiscard]] std::unique_ptr<EngineModel> make_engine(uint32_t number, const EngineShape& shape);
  void crash(uint32_t number);
  void add_up(EngineModel& engine);
  void step();
  void act(EngineModel& engine);
  void send_some(Connection& connection, uint64_t most);
  void use_claim(Connection& connection);
  void pause_some(Connection& connection);
  void start_server(EngineModel& engine);
  void start_client(EngineModel& engine);
  void resume_some(EngineModel& engine);
  void resume_all();
  void finish_ended(EngineModel& engine);
  [[nodiscard]] bool outlives(const Connection& connection) const;
  [[nodiscard]] const Connection* other_side(const Connection& connection) const;
  void start_raw_client();
  void accept_raw();
  void scribble(Connection& connection);
  Connection* any_connection(EngineModel& engine);
  EngineModel& any_engine() { return *engines_[random_.below(engines_.size())]; }
  [[nodiscard]] std::string any_id();
  [[nodiscard]] uint32_t classic_length_max() const;
  uint32_t any_length(const Connection& connection);
  bool any_port(uint16_t& port, const EngineModel*& owner);

  void settle();
  void advance(uint64_t milliseconds);
  void finish();
  void check_at_rest();
  void check_torture();
  [[nodiscard]] bool is_raw(uint32_t link) const { return raw_links_.count(link) > 0; }

  WorldOptions options_;
  Random random_;
  Random crashing_;  // of its own, so that seeds without crashes are what they were
  uint32_t crash_ = 0;
  Random asking_;  // likewise, for requests for topics
  bool asking_often_ = false;
  Random sharing_;  // likewise, for messages to many
  uint64_t now_ns_ = Trace::kStartNs;
  Trace trace_;
  Faults faults_;
  Torture torture_;
  Network network_;
  Ledger ledger_;
  std::vector<std::unique_ptr<EngineModel>> engines_;
  std::vector<RawPeer> raw_peers_;
  std::vector<RawListener> raw_listeners_;
  std::map<uint32_t, int> raw_links_;  // which side is raw
  struct RawBound {
    uint32_t length_max;
    ClientOptions options;
  };
  std::map<uint32_t, RawBound> raw_bound_;  // clients that connect to raw listeners
  uint32_t ids_ = 0;
  uint32_t weights_[8] = {};
  uint32_t weight_total_ = 0;
  uint32_t echo_ = 0;
  uint32_t closing_ = 0;
  uint32_t pausing_ = 0;
  bool resting_ = false;
  uint64_t wait_max_ms_ = 0;
  WorldResult result_;
  std::map<uint32_t, uint32_t> endings_;  // by link, the code of its end
};

}  // namespace zerio::simulation
