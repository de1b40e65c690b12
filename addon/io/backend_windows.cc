// The backends of Windows.
#include "backend.h"

namespace zerio {

Backend make_backend(std::string_view wanted) {
  Backend made;
  if (wanted != "auto" && wanted != "winsock") {
    made.reason = "this build has no such backend for Windows; use 'auto' or 'winsock'";
    return made;
  }
  made.io = make_winsock(made.error);
  made.reason = wanted == "auto" ? "the only backend of this build on this system" : "asked for by name";
  return made;
}

}  // namespace zerio
