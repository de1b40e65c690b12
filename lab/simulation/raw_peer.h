// A hostile other side: a program without zerio that writes frames, parts of frames and nonsense.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "network.h"
#include "reference.h"

namespace zerio::simulation {

class RawPeer {
 public:
  // `reference` reads what this peer writes, as the engine on the other side must.
  RawPeer(Network& network, Random& random, Trace& trace, uint32_t link, int side, std::unique_ptr<Reference> reference);

  // Writes the first frame of a client with this id, or of a server to such a client; most of the time a correct one.
  void greet(const std::string& id, bool classic);
  // Does one thing: writes, reads, or leaves.
  void act();
  [[nodiscard]] bool gone() const { return gone_; }

 private:
  void frame(uint32_t kind, const std::vector<uint8_t>& payload);
  void something();
  std::vector<uint8_t> noise(size_t most);
  void write();

  Network& network_;
  Random& random_;
  Trace& trace_;
  uint32_t link_;
  int side_;
  std::unique_ptr<Reference> reference_;
  std::vector<uint8_t> unsent_;
  bool reads_;
  bool asks_;  // it has topics
  uint32_t requests_ = 0;
  bool finished_ = false;
  bool gone_ = false;
};

}  // namespace zerio::simulation
