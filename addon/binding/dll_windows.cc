// The library's entry point, which Windows calls when a process loads the addon, and when the process ends.
#include <windows.h>

#include "../io/windows/process_end.h"
#include "host_windows.h"

// Windows refuses to load the addon when this returns FALSE: "A dynamic link library (DLL) initialization routine failed".
extern "C" BOOL WINAPI DllMain(HINSTANCE, DWORD reason, void* process_ends) {
  if (reason == DLL_PROCESS_ATTACH) return zerio::find_host_functions() ? TRUE : FALSE;
  if (reason == DLL_PROCESS_DETACH && process_ends != nullptr) zerio::AtProcessEnd::run();
  return TRUE;
}
