// The backends of Linux.
#include "backend.h"

namespace zerio {

Backend make_backend(std::string_view wanted) {
  Backend made;
  if (wanted != "auto" && wanted != "epoll") {
    made.reason = "this build has no such backend for Linux; use 'auto' or 'epoll'";
    return made;
  }
  made.io = make_epoll(made.error);
  made.reason = wanted == "auto" ? "the only backend of this build on this system" : "asked for by name";
  return made;
}

}  // namespace zerio
