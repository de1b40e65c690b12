// LoopAlarm where a poll handle has no timer to wait for.
#include "loop_alarm.h"

namespace zerio {

LoopAlarm::~LoopAlarm() = default;

bool LoopAlarm::init(uv_loop_t* /*loop*/, Ring /*ring*/, void* /*owner*/) { return false; }

void LoopAlarm::set(uint64_t /*due_ns*/) {}

void LoopAlarm::close(uv_close_cb /*closed*/) {}

}  // namespace zerio
