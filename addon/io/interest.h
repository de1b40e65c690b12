// What a descriptor is watched for in a set of a readiness interface (epoll_set.h, kqueue_set.h).
#pragma once

namespace zerio {

struct Interest {
  bool readable = false;
  bool writable = false;
};

inline constexpr Interest kReadable = {true, false};
inline constexpr Interest kWritable = {false, true};

}  // namespace zerio
