// When the other side acknowledges what one connection has sent. Registered I/O completes a send only then.
//
// Prompt (the default): at once, but each fourth write a millisecond late. Delayed (ZERIO_RIO_ACKS=delayed): as TCP does it,
// which acknowledges each second full segment at once, and an odd one after 40 ms, unless more bytes make it even or an answer
// takes the acknowledgement along.
#pragma once

#include <cstdint>

namespace zerio::emulator {

class Acknowledgements {
 public:
  // The network has taken so many more bytes.
  void wrote(uint64_t bytes, uint64_t now_ns);
  // Bytes came back.
  void answered() { acknowledged_ = written_; }
  // Of the bytes since the connection was made.
  [[nodiscard]] uint64_t acknowledged(uint64_t now_ns);
  [[nodiscard]] uint64_t written() const { return written_; }

  static void delay(bool delayed);
  static void delay_by_environment();

 private:
  uint64_t written_ = 0;
  uint64_t acknowledged_ = 0;
  uint64_t due_ns_ = 0;  // of what is written and not acknowledged
  uint64_t writes_ = 0;
};

}  // namespace zerio::emulator
