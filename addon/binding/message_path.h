// The functions that JavaScript calls for messages: poll, flush, share, copy. They ask for no argument that they do not need.
#pragma once

#include <node_api.h>

#include <cstdint>
#include <cstring>
#include <span>

#include "../engine/layout.h"
#include "../engine/shared_frames.h"
#include "engine_handle.h"
#include "loop.h"
#include "values.h"

namespace zerio {

inline napi_value poll(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  if (Loop* const loop = loop_of(data)) loop->poll();
  return nullptr;
}

inline napi_value flush(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  if (Loop* const loop = loop_of(data)) loop->flush();
  return nullptr;
}

inline napi_value flush_slot(napi_env env, napi_callback_info info) {
  const Call call(env, info, 1);
  if (loop_of(call.data()) == nullptr) return nullptr;
  engine_of(call).flush_slot(argument(call, 0));
  return nullptr;
}

// share(bytes, slots, sent, refused, words): see shared_frames.h
inline napi_value share(napi_env env, napi_callback_info info) {
  const Call call(env, info, 5);
  const std::span<int32_t> words = call[4].integers();
  if (loop_of(call.data()) == nullptr || words.size() != layout::kShareWords) return nullptr;
  SharedFrames frames(call[0].bytes(), call[1].integers(), call[2].integers(), call[3].integers(),
                      words.first<layout::kShareWords>());
  loop_of(call.data())->share(frames);
  return nullptr;
}

// Copies `length` bytes of a source, when they lie inside of both.
inline void copy_part(std::span<uint8_t> target, uint64_t offset, std::span<const uint8_t> source, uint64_t source_offset,
                      uint32_t length) {
  if (offset + length > target.size() || source_offset + length > source.size()) return;
  std::memmove(target.data() + offset, source.data() + source_offset, length);
}

// copyBytes(target, offset, source, sourceOffset, length)
inline napi_value copy_bytes(napi_env env, napi_callback_info info) {
  const Call call(env, info, 5);
  copy_part(call[0].bytes(), argument(call, 1), call[2].bytes(), argument(call, 3), argument(call, 4));
  return nullptr;
}

// copy(slab, offset, source, sourceOffset, length): garbage-free where JavaScript has no call for a part of an array.
inline napi_value copy(napi_env env, napi_callback_info info) {
  const Call call(env, info, 5);
  if (loop_of(call.data()) == nullptr) return nullptr;
  const uint32_t length = argument(call, 4);
  uint8_t* const target = engine_of(call).slab_range(argument(call, 0), argument(call, 1), length);
  if (target != nullptr) copy_part({target, length}, 0, call[2].bytes(), argument(call, 3), length);
  return nullptr;
}

// sendStraight(slot, position, header, source, offset, length)
inline napi_value send_straight(napi_env env, napi_callback_info info) {
  const Call call(env, info, 6);
  const std::span<const uint8_t> source = call[3].bytes();
  const uint64_t offset = argument(call, 4);
  const uint32_t length = argument(call, 5);
  if (loop_of(call.data()) == nullptr || offset + length > source.size()) return call.number(0);
  const std::span<const uint8_t> payload = source.subspan(offset, length);
  return call.number(engine_of(call).send_straight(argument(call, 0), argument(call, 1), argument(call, 2), payload));
}

}  // namespace zerio
