// What the functions of one engine have in common.
#pragma once

#include <cstddef>
#include <cstdint>

#include "loop.h"
#include "values.h"

namespace zerio {

inline uint32_t argument(const Call& call, size_t index) { return call[index].number(kNone); }

// It outlives the engine: JavaScript frees it with the object that holds them.
struct EngineHandle {
  Loop* loop = nullptr;  // nullptr once the engine is closed
};

inline Loop* loop_of(void* data) { return static_cast<EngineHandle*>(data)->loop; }
inline Engine& engine_of(const Call& call) { return loop_of(call.data())->engine(); }

}  // namespace zerio
