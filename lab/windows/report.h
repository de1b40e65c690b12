// The report: a file named by ZERIO_RIO_REPORT, with one line for each violation and one for each process that ends.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace zerio::emulator {

extern std::atomic<uint64_t> violations;

// Writes a line.
void report(const std::string& line);
// Reports a use that Windows would punish. The report gets the first few of each kind.
void violation(const std::string& what);

[[nodiscard]] uint64_t now_ns();

}  // namespace zerio::emulator
