// Replaces functions that a loaded module imports. The module's file stays as it is.
#pragma once

#include <windows.h>

#include <string_view>

namespace zerio::test {

// False when `module` does not import `name` from `library`.
template <class Function>
[[nodiscard]] bool replace_import(char* module, const char* library, std::string_view name, Function replacement,
                                  Function& original) {
  const auto* const headers = reinterpret_cast<IMAGE_NT_HEADERS*>(module + reinterpret_cast<IMAGE_DOS_HEADER*>(module)->e_lfanew);
  const DWORD imports = headers->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_IMPORT].VirtualAddress;
  for (auto* one = reinterpret_cast<IMAGE_IMPORT_DESCRIPTOR*>(module + imports); one->Name != 0; ++one) {
    if (_stricmp(module + one->Name, library) != 0) continue;
    auto* names = reinterpret_cast<IMAGE_THUNK_DATA*>(module + one->OriginalFirstThunk);
    auto* functions = reinterpret_cast<IMAGE_THUNK_DATA*>(module + one->FirstThunk);
    for (; names->u1.AddressOfData != 0; ++names, ++functions) {
      if (IMAGE_SNAP_BY_ORDINAL(names->u1.Ordinal)) continue;
      const auto* const import = reinterpret_cast<IMAGE_IMPORT_BY_NAME*>(module + names->u1.AddressOfData);
      if (name != import->Name) continue;
      DWORD before = 0;
      VirtualProtect(&functions->u1.Function, sizeof(void*), PAGE_READWRITE, &before);
      original = reinterpret_cast<Function>(functions->u1.Function);
      functions->u1.Function = reinterpret_cast<ULONGLONG>(replacement);
      VirtualProtect(&functions->u1.Function, sizeof(void*), before, &before);
      return true;
    }
  }
  return false;
}

}  // namespace zerio::test
