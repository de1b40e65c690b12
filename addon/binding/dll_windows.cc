// The library's entry point, which Windows calls when a process loads the addon, and when the process ends.
#include <windows.h>

#include "../io/windows/process_end.h"
#include "host_windows.h"

namespace {

bool finds_host() {
#if defined(_MSC_VER)
  // node-gyp's delay-load hook finds the host, and addon/binding.gyp has no host_windows.cc.
  return true;
#else
  return zerio::find_host_functions();
#endif
}

}  // namespace

// Windows refuses to load the addon when this returns FALSE: "A dynamic link library (DLL) initialization routine failed".
extern "C" BOOL WINAPI DllMain(HINSTANCE, DWORD reason, void* process_ends) {
  if (reason == DLL_PROCESS_ATTACH) return finds_host() ? TRUE : FALSE;
  if (reason == DLL_PROCESS_DETACH && process_ends != nullptr) zerio::AtProcessEnd::run();
  return TRUE;
}
