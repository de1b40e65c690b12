// One copy for many connections (src/engine/audience.ts): the program sends the same messages to some connections whose rings are
// empty, and writes into their rings what the engine leaves to these.
#include <algorithm>
#include <array>
#include <vector>

#include "../../addon/engine/bytes.h"
#include "../../addon/engine/framing.h"
#include "../../addon/engine/shared_frames.h"
#include "allocations.h"
#include "engine_model.h"

namespace zerio::simulation {
namespace {

constexpr uint32_t kFramesMax = 4;

struct Block {
  std::vector<uint8_t> bytes;
  uint32_t frames = 0;

  // Appends a frame, and returns its content.
  const uint8_t* append(uint32_t length, uint32_t channel, Random& random) {
    const size_t at = bytes.size();
    bytes.resize(at + kHeaderBytes + length);
    store<uint32_t>(bytes.data() + at, length | (channel << kChannelShift));
    for (uint32_t i = 0; i < length; ++i) bytes[at + kHeaderBytes + i] = static_cast<uint8_t>(random.below(256));
    ++frames;
    return bytes.data() + at + kHeaderBytes;
  }

  // How many frames end behind a position.
  [[nodiscard]] uint32_t frames_behind(size_t position) const {
    uint32_t count = 0;
    for (size_t at = 0; at < bytes.size();) {
      at += kHeaderBytes + frame_length(load<uint32_t>(bytes.data() + at));
      if (at > position) ++count;
    }
    return count;
  }
};

}  // namespace

void EngineModel::publish(Random& random, uint32_t classic_length_max) {
  std::vector<Connection*> members;
  bool classic = false;
  // As much of it as one ring takes over.
  uint32_t length_max = shape_.options.send_ring_bytes / 2 / kFramesMax - static_cast<uint32_t>(kHeaderBytes);
  for (const auto& connection : connections_) {
    if (connection == nullptr || !connection->open() || !connection->ring->is_idle() || random.chance(200)) continue;
    members.push_back(connection.get());
    classic = classic || connection->classic;
    length_max = std::min(length_max, connection->ring->length_max());
    if (connection->classic) length_max = std::min(length_max, classic_length_max);
  }
  if (members.empty()) return;
  Block block;
  for (uint64_t frames = random.between(1, kFramesMax); frames > 0; --frames) {
    const auto length = static_cast<uint32_t>(random.below(random.chance(700) ? std::min(length_max, 64U) + 1 : length_max + 1));
    const auto channel = static_cast<uint32_t>(classic ? 0 : random.below(3));
    const uint8_t* const content = block.append(length, channel, random);
    for (Connection* const member : members) member->ring->stream().accept_copy(content, length, channel);
  }
  std::vector<int32_t> slots;
  for (const Connection* const member : members) slots.push_back(static_cast<int32_t>(member->slot));
  std::vector<int32_t> sent(members.size());
  std::vector<int32_t> refused(members.size());
  std::array<int32_t, layout::kShareWords> words = {};
  words[layout::kShareBytes] = static_cast<int32_t>(block.bytes.size());
  words[layout::kShareCount] = words[layout::kShareUnsent] = static_cast<int32_t>(members.size());
  words[layout::kShareNext] = static_cast<int32_t>(random.below(members.size()));
  const uint64_t before = allocations_counted();
  {
    const Counting counting(true);
    SharedFrames frames(block.bytes, slots, sent, refused, words);
    engine_->share(frames);
  }
  require_equal(allocations_counted(), before, "sharing allocates nothing");
  require_equal(words[layout::kShareRefused], words[layout::kShareUnsent], "whoever lacks something is left to its ring");
  for (int32_t i = 0; i < words[layout::kShareRefused]; ++i) {
    const auto place = static_cast<size_t>(refused[static_cast<size_t>(i)]);
    const auto from = static_cast<size_t>(sent[place]);
    require(from < block.bytes.size(), "who has all is not left to its ring");
    members[place]->ring->write_frames(block.bytes.data() + from, block.bytes.size() - from, block.frames_behind(from));
  }
  // The program uses the memory again.
  std::fill(block.bytes.begin(), block.bytes.end(), uint8_t{0xee});
  trace_.add('e', number, "shares # frames with # connections, # of which go on with their rings",
             {block.frames, members.size(), static_cast<uint64_t>(words[layout::kShareRefused])});
}

}  // namespace zerio::simulation
