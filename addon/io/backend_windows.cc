// The backends of Windows: Registered I/O where the system has it, plain Winsock everywhere.
#include <uv.h>

#include "backend.h"

namespace zerio {

Backend make_backend(std::string_view wanted) {
  Backend made;
  const bool automatic = wanted == "auto";
  if (!automatic && wanted != "rio" && wanted != "winsock") {
    made.reason = "this build has no such backend for Windows; use 'auto', 'rio' or 'winsock'";
    return made;
  }
  int refused = 0;
  if (wanted != "winsock") {
    made.io = make_rio(refused);
    made.reason = automatic ? "Registered I/O is available" : "asked for by name";
  }
  if (made.io != nullptr) return made;
  if (wanted == "rio") {
    made.reason = "this system has no Registered I/O (" + std::string(uv_err_name(-refused)) + "); use 'auto' or 'winsock'";
    return made;
  }
  made.io = make_winsock(made.error);
  made.reason = automatic ? "this system has no Registered I/O (" + std::string(uv_err_name(-refused)) + ")" : "asked for by name";
  return made;
}

}  // namespace zerio
