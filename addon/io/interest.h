// What a descriptor is watched for in a set of a readiness interface (epoll_set.h, kqueue_set.h).
#pragma once

namespace zerio {

struct Interest {
  bool readable = false;
  bool writable = false;
  bool ends = false;  // the end of the stream, without what was received before it

  [[nodiscard]] bool any() const { return readable || writable || ends; }
  bool operator==(const Interest&) const = default;
};

inline constexpr Interest kReadable = {true, false, false};
inline constexpr Interest kWritable = {false, true, false};

}  // namespace zerio
