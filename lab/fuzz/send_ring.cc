// The consumer of a send ring, while arbitrary values are written into its control words: it never reaches outside of the ring.
#include "../../addon/engine/send_ring.h"

#include <cstdint>
#include <vector>

#include "../../addon/engine/bytes.h"
#include "fuzz.h"

using zerio::fuzz::require;

// Input: the capacity, then steps of five bytes: what to do, and a number to do it with.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const uint32_t capacity = 8 * (1U + data[0] + 256U * (data[1] & 15U));
  std::vector<uint8_t> bytes(capacity);
  alignas(8) int32_t words[zerio::layout::kSlotBytes / 4] = {};
  const uint8_t* const front = reinterpret_cast<uint8_t*>(words) + zerio::layout::kSlotFrontOffset;
  zerio::SendRing ring(bytes.data(), capacity, words);
  ring.reset();
  for (size_t at = 2; at + 5 <= size; at += 5) {
    const auto value = zerio::load<uint32_t>(data + at + 1);
    switch (data[at] % 16) {
      case 8:
        (void)ring.tail();
        break;
      case 9:
        ring.follow_rewind();
        break;
      case 10:
        (void)ring.drained();
        break;
      case 11:
        ring.discard();
        break;
      case 12:
      case 13:
      case 14: {
        const uint32_t end = ring.tail();
        const zerio::SendRing::Pending pending = ring.pending(end);
        if (pending.corrupt) return 0;  // The engine ends the connection.
        size_t total = 0;
        for (uint32_t i = 0; i < pending.count; ++i) {
          const zerio::IoSlice& slice = pending.slices[i];
          const bool in_main = slice.data >= bytes.data() && slice.data < bytes.data() + capacity;
          const uint8_t* const piece = in_main ? bytes.data() : front;
          const size_t piece_bytes = in_main ? capacity : zerio::layout::kSlotFrontBytes;
          require(slice.data >= piece && slice.size <= piece_bytes);
          require(slice.data + slice.size <= piece + piece_bytes);
          total += slice.size;
        }
        require(total <= size_t{2} * capacity + zerio::layout::kSlotFrontBytes);
        // The program can write between a send and its completion.
        if (data[at] % 16 == 13) words[value % zerio::SendRing::kWords] = static_cast<int32_t>(value >> 8);
        ring.advance(static_cast<uint32_t>(total == 0 ? 0 : value % (total + 1)), end);
        break;
      }
      default:
        words[data[at] % zerio::SendRing::kWords] =
            static_cast<int32_t>(data[at] % 16 < 4 ? value % (zerio::SendRing::kMain + capacity + 2) : value);
    }
  }
  return 0;
}
