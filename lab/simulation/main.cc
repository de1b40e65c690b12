// The command: runs seeds until one breaks a promise, for a number of seeds or a time; replays one seed; or lets each call fail.
//
//   simulation --seed S [--trace] | --seeds N [--from S] | --minutes M [--from S, else the time] | --torture
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>

#include "world.h"

// Where the program is built with a sanitizer.
extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));  // NOLINT(bugprone-reserved-identifier)

namespace {

using zerio::simulation::Random;
using zerio::simulation::Violation;
using zerio::simulation::World;
using zerio::simulation::WorldOptions;
using zerio::simulation::WorldResult;

// A seed that takes longer than this does not end.
constexpr unsigned kSecondsPerSeedMax = 60;

// Printed when the process ends, whatever ends it. A fixed array, because a signal handler may not allocate.
std::array<char, 256> replay_command = {};

void print_replay() { (void)!::write(STDOUT_FILENO, replay_command.data(), std::strlen(replay_command.data())); }

extern "C" void on_signal(int signal) {
  static constexpr char kCrashed[] = "\nThe simulation crashed.\n";
  static constexpr char kHangs[] = "\nThe simulation does not end.\n";
  (void)!(signal == SIGALRM ? ::write(STDOUT_FILENO, kHangs, sizeof kHangs - 1)
                            : ::write(STDOUT_FILENO, kCrashed, sizeof kCrashed - 1));
  print_replay();
  ::_exit(1);
}

void watch_for_crashes() {
  if (__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(print_replay);
  } else {
    for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL}) (void)std::signal(signal, on_signal);
  }
  (void)std::signal(SIGALRM, on_signal);
}

// Runs one world; false when it broke a promise.
bool run(const WorldOptions& options, WorldResult& result) {
  const std::string what = options.torture.fail_at == 0 ? ""
                                                        : " --fail-at " + std::to_string(options.torture.fail_at) + " --choice " +
                                                              std::to_string(options.torture.choice);
  (void)std::snprintf(replay_command.data(), replay_command.size(), "Replay it with: npm run simulate -- --seed %llu%s --trace\n",
                      static_cast<unsigned long long>(options.seed), what.c_str());
  (void)::alarm(kSecondsPerSeedMax);
  try {
    World world(options);
    result = world.run();
  } catch (const Violation& violation) {
    std::printf("\nSeed %llu%s breaks a promise: %s\n%s", static_cast<unsigned long long>(options.seed), what.c_str(),
                violation.what(), replay_command.data());
    return false;
  }
  return true;
}

struct Arguments {
  uint64_t seed = 0;
  uint64_t seeds = 0;
  uint64_t from = 0;
  double minutes = 0;
  bool one = false;
  bool torture = false;
  bool trace = false;
  uint64_t fail_at = 0;
  uint64_t choice = 0;
};

bool parse(int count, char** texts, Arguments& out) {
  for (int i = 1; i < count; ++i) {
    const std::string name = texts[i];
    if (name == "--trace") {
      out.trace = true;
    } else if (name == "--torture") {
      out.torture = true;
    } else if (i + 1 == count) {
      return false;
    } else if (name == "--minutes") {
      out.minutes = std::strtod(texts[++i], nullptr);
    } else {
      const uint64_t value = std::strtoull(texts[++i], nullptr, 10);
      if (name == "--seed") {
        out.seed = value;
        out.one = true;
      } else if (name == "--seeds") {
        out.seeds = value;
      } else if (name == "--from") {
        out.from = value;
      } else if (name == "--fail-at") {
        out.fail_at = value;
      } else if (name == "--choice") {
        out.choice = value;
      } else {
        return false;
      }
    }
  }
  // A run by time begins with a seed that was never run before.
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  if (out.from == 0) {
    out.from = out.minutes > 0 ? static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()) : 1;
  }
  return out.one || out.torture || out.seeds > 0 || out.minutes > 0;
}

WorldOptions world_of(uint64_t seed, bool trace) {
  WorldOptions options;
  options.seed = seed;
  options.trace = trace;
  return options;
}

// A world without chance faults, in which one call fails.
WorldOptions torture_of(uint64_t seed, uint64_t fail_at, uint64_t choice) {
  WorldOptions options;
  options.seed = seed;
  options.faults = false;
  options.steps_max = 600;
  options.torture.fail_at = fail_at;
  options.torture.choice = choice;
  return options;
}

int run_one(const Arguments& arguments) {
  WorldResult result;
  WorldOptions options = arguments.fail_at > 0 ? torture_of(arguments.seed, arguments.fail_at, arguments.choice)
                                               : world_of(arguments.seed, arguments.trace);
  options.trace = arguments.trace;
  if (!run(options, result)) return 1;
  std::printf("Seed %llu keeps all promises: %llu steps, %llu connections, %llu messages, digest %016llx\n",
              static_cast<unsigned long long>(arguments.seed), static_cast<unsigned long long>(result.steps),
              static_cast<unsigned long long>(result.connections), static_cast<unsigned long long>(result.messages),
              static_cast<unsigned long long>(result.digest));
  return 0;
}

int run_many(const Arguments& arguments) {
  const auto begin = std::chrono::steady_clock::now();
  const auto seconds = [begin] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
  uint64_t seeds = 0;
  WorldResult all;
  if (arguments.minutes > 0) std::printf("Fresh seeds from %llu\n", static_cast<unsigned long long>(arguments.from));
  for (uint64_t seed = arguments.from; seeds < arguments.seeds || seconds() < arguments.minutes * 60; ++seed, ++seeds) {
    WorldResult result;
    if (!run(world_of(seed, false), result)) return 1;
    all.steps += result.steps;
    all.messages += result.messages;
    all.bytes += result.bytes;
    all.connections += result.connections;
  }
  std::printf("%llu seeds from %llu keep all promises: %llu steps, %llu connections, %llu messages, %.1f MB received, %.1f s\n",
              static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(arguments.from),
              static_cast<unsigned long long>(all.steps), static_cast<unsigned long long>(all.connections),
              static_cast<unsigned long long>(all.messages), static_cast<double>(all.bytes) / 1e6, seconds());
  return 0;
}

// Each call that can fail fails once, with each of its errors, in scenarios of both shapes of backend.
int run_torture() {
  constexpr uint64_t kScenarios = 6;
  uint64_t runs = 0;
  uint64_t calls = 0;
  std::array<uint64_t, 7> kinds = {};
  for (uint64_t seed = 1; seed <= kScenarios; ++seed) {
    WorldResult whole;
    if (!run(torture_of(seed, 0, 0), whole)) return 1;
    calls += whole.torture.calls;
    for (uint64_t at = 1; at <= whole.torture.calls; ++at) {
      for (uint64_t choice = 0; choice < zerio::simulation::kErrorsOfCall; ++choice, ++runs) {
        WorldResult result;
        if (!run(torture_of(seed, at, choice), result)) return 1;
        ++kinds[static_cast<size_t>(result.torture.call)];
      }
    }
  }
  std::printf(
      "%llu calls failed once each, with %u errors each, in %llu runs: all endings are documented ones "
      "(listen %llu, connect %llu and %llu later, accept %llu, attach %llu, send %llu, receive %llu)\n",
      static_cast<unsigned long long>(calls), zerio::simulation::kErrorsOfCall, static_cast<unsigned long long>(runs),
      static_cast<unsigned long long>(kinds[0]), static_cast<unsigned long long>(kinds[1]),
      static_cast<unsigned long long>(kinds[2]), static_cast<unsigned long long>(kinds[3]),
      static_cast<unsigned long long>(kinds[4]), static_cast<unsigned long long>(kinds[5]),
      static_cast<unsigned long long>(kinds[6]));
  return 0;
}

}  // namespace

int main(int count, char** texts) {
  Arguments arguments;
  if (!parse(count, texts, arguments)) {
    std::puts("simulation --seed S [--trace] | --seeds N [--from S] | --minutes M [--from S, else the time] | --torture");
    return 2;
  }
  watch_for_crashes();
  if (arguments.one) return run_one(arguments);
  return arguments.torture ? run_torture() : run_many(arguments);
}
