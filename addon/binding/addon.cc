// The addon's JavaScript face: createEngine, the shared layout, and the clock. src/native.ts types it.
#include <napi.h>

#include <algorithm>
#include <string>

#include "../engine/layout.h"
#include "../io/clock.h"
#include "../io/io.h"
#include "loop.h"

namespace zerio {
namespace {

// Options come from src/options.ts, which has checked them; what is missing reads as 0, false or empty.
uint32_t number(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  return value.IsNumber() ? value.As<Napi::Number>().Uint32Value() : 0;
}

bool flag(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  return value.IsBoolean() && value.As<Napi::Boolean>().Value();
}

std::string text(const Napi::Value& value) { return value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string(); }

std::string bytes(const Napi::Value& value) {
  if (!value.IsTypedArray()) return {};
  auto array = value.As<Napi::Uint8Array>();
  return {reinterpret_cast<const char*>(array.Data()), array.ByteLength()};
}

uint32_t argument(const Napi::CallbackInfo& info, size_t index) {
  return info[index].IsNumber() ? info[index].As<Napi::Number>().Uint32Value() : kNone;
}

SocketOptions socket_options(const Napi::Object& options) {
  return {flag(options, "noDelay"), number(options, "socketSendBytes"), number(options, "socketReceiveBytes")};
}

Loop& loop_of(const Napi::CallbackInfo& info) { return *static_cast<Loop*>(info.Data()); }
Engine& engine_of(const Napi::CallbackInfo& info) { return loop_of(info).engine(); }

// The whole memory behind a Uint8Array over a WebAssembly.Memory.
struct Memory {
  uint8_t* base;
  size_t bytes;
};
Memory memory_of(const Napi::Value& value) {
  if (!value.IsTypedArray()) return {nullptr, 0};
  auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ByteLength()};
}

Napi::Value add_slab(const Napi::CallbackInfo& info) {
  const Memory memory = memory_of(info[0]);
  const SlabParts parts = {argument(info, 1), argument(info, 2), argument(info, 3), argument(info, 4)};
  const bool added = memory.base != nullptr && engine_of(info).add_slab(memory.base, memory.bytes, parts);
  // The memory must live as long as the engine, which is as long as the thread.
  if (added) Napi::Persistent(info[0].As<Napi::Object>()).SuppressDestruct();
  return Napi::Boolean::New(info.Env(), added);
}

Napi::Value slots_free(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), engine_of(info).slots_free()); }

void slab_refused(const Napi::CallbackInfo& info) { engine_of(info).slab_refused(); }

Napi::Value listen(const Napi::CallbackInfo& info) {
  const auto options = info[0].As<Napi::Object>();
  ServerOptions server_options;
  server_options.id = text(options.Get("id"));
  server_options.listen.backlog = number(options, "backlog");
  server_options.listen.ipv6_only = flag(options, "ipv6Only");
  server_options.listen.reuse_port = flag(options, "reusePort");
  server_options.listen.socket = socket_options(options);
  server_options.peers_max = number(options, "maxPeers");
  server_options.handshakes_max = number(options, "maxHandshakes");
  server_options.handshake_timeout_ms = number(options, "handshakeTimeoutMs");
  server_options.linger_ms = number(options, "lingerMs");
  server_options.heartbeat_ms = number(options, "heartbeatMs");
  server_options.replace_duplicates = flag(options, "replaceDuplicates");
  server_options.asks_for_verdict = flag(options, "asksForVerdict");

  Napi::Object result = Napi::Object::New(info.Env());
  Address address;
  Address bound;
  uint32_t server = 0;
  const bool parsed = Address::parse(text(options.Get("host")), static_cast<uint16_t>(number(options, "port")), address);
  const int error = parsed ? engine_of(info).listen(server_options, address, server, bound) : UV_EINVAL;
  result.Set("errno", std::abs(error));
  result.Set("server", server);
  result.Set("host", bound.host());
  result.Set("port", static_cast<uint32_t>(bound.port()));
  return result;
}

Napi::Value connect(const Napi::CallbackInfo& info) {
  const auto options = info[0].As<Napi::Object>();
  ClientOptions client_options;
  client_options.id = text(options.Get("id"));
  client_options.credential = bytes(options.Get("credential"));
  client_options.socket = socket_options(options);
  client_options.classic = flag(options, "classic");
  client_options.connect_timeout_ms = number(options, "connectTimeoutMs");
  client_options.linger_ms = number(options, "lingerMs");
  client_options.heartbeat_ms = number(options, "heartbeatMs");
  Address address;
  uint32_t slot = 0;
  const bool parsed = Address::parse(text(options.Get("host")), static_cast<uint16_t>(number(options, "port")), address);
  const int error = parsed ? engine_of(info).connect(client_options, address, slot) : UV_EINVAL;
  return Napi::Number::New(info.Env(), error == 0 ? static_cast<double>(slot) : -std::abs(static_cast<double>(error)));
}

void unlisten(const Napi::CallbackInfo& info) { engine_of(info).unlisten(argument(info, 0)); }
Napi::Value server_slots(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), engine_of(info).server_slots(argument(info, 0)));
}
void forget_server(const Napi::CallbackInfo& info) { engine_of(info).forget_server(argument(info, 0)); }
void admit(const Napi::CallbackInfo& info) { engine_of(info).admit(argument(info, 0), info[1].ToBoolean()); }
void close(const Napi::CallbackInfo& info) {
  engine_of(info).close(argument(info, 0), static_cast<uint16_t>(argument(info, 1)), text(info[2]));
}
void abort(const Napi::CallbackInfo& info) { engine_of(info).abort(argument(info, 0)); }
void set_active(const Napi::CallbackInfo& info) { loop_of(info).set_active(info[0].ToBoolean()); }
void set_driven(const Napi::CallbackInfo& info) { loop_of(info).set_driven(info[0].ToBoolean()); }

Napi::Value addresses(const Napi::CallbackInfo& info) {
  Address local;
  Address remote;
  engine_of(info).addresses(argument(info, 0), local, remote);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("localHost", local.host());
  result.Set("localPort", static_cast<uint32_t>(local.port()));
  result.Set("remoteHost", remote.host());
  result.Set("remotePort", static_cast<uint32_t>(remote.port()));
  return result;
}

// The functions of the message path use Node-API itself and no argument that they do not need.
struct Arguments {
  size_t count;
  napi_value values[5];
  void* data;
};
Arguments arguments(napi_env env, napi_callback_info info, size_t count) {
  Arguments result = {count, {}, nullptr};
  napi_get_cb_info(env, info, &result.count, result.values, nullptr, &result.data);
  return result;
}

napi_value poll(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  static_cast<Loop*>(data)->poll();
  return nullptr;
}

napi_value flush(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  static_cast<Loop*>(data)->engine().flush();
  return nullptr;
}

napi_value flush_slot(napi_env env, napi_callback_info info) {
  const Arguments given = arguments(env, info, 1);
  uint32_t slot = kNone;
  napi_get_value_uint32(env, given.values[0], &slot);
  static_cast<Loop*>(given.data)->engine().flush_slot(slot);
  return nullptr;
}

// copy(slab, offset, source, sourceOffset, length): garbage-free where JavaScript has no call for a part of an array.
napi_value copy(napi_env env, napi_callback_info info) {
  const Arguments given = arguments(env, info, 5);
  uint32_t slab = kNone;
  uint32_t offset = 0;
  uint32_t source_offset = 0;
  uint32_t length = 0;
  napi_typedarray_type type = napi_uint8_array;
  size_t size = 0;
  void* source = nullptr;
  const bool read = napi_get_value_uint32(env, given.values[0], &slab) == napi_ok &&
                    napi_get_value_uint32(env, given.values[1], &offset) == napi_ok &&
                    napi_get_typedarray_info(env, given.values[2], &type, &size, &source, nullptr, nullptr) == napi_ok &&
                    napi_get_value_uint32(env, given.values[3], &source_offset) == napi_ok &&
                    napi_get_value_uint32(env, given.values[4], &length) == napi_ok;
  uint8_t* const target = read ? static_cast<Loop*>(given.data)->engine().slab_range(slab, offset, length) : nullptr;
  if (target == nullptr || type != napi_uint8_array || uint64_t{source_offset} + length > size) return nullptr;
  std::memmove(target, static_cast<const uint8_t*>(source) + source_offset, length);
  return nullptr;
}

template <Napi::Value (*Function)(const Napi::CallbackInfo&)>
void method(const Napi::Object& target, const char* name, Loop* loop) {
  target.Set(name, Napi::Function::New<Function>(target.Env(), name, loop));
}

template <void (*Function)(const Napi::CallbackInfo&)>
void method(const Napi::Object& target, const char* name, Loop* loop) {
  target.Set(name, Napi::Function::New<Function>(target.Env(), name, loop));
}

void hot_method(const Napi::Object& target, const char* name, napi_callback function, Loop* loop) {
  napi_value made = nullptr;
  napi_create_function(target.Env(), name, NAPI_AUTO_LENGTH, function, loop, &made);
  target.Set(name, made);
}

// createEngine(options, dispatch, flush)
Napi::Value create_engine(const Napi::CallbackInfo& info) {
  const auto options = info[0].As<Napi::Object>();
  EngineOptions engine_options;
  engine_options.message_length_max = number(options, "maxMessageLength");
  engine_options.send_ring_bytes = number(options, "sendRingBytes");
  engine_options.assembly_bytes = number(options, "assemblyBytes");
  engine_options.arena_bytes = number(options, "receiveArenaBytes");
  engine_options.arena_offset = number(options, "arenaOffset");
  engine_options.events_capacity = number(options, "eventsCapacity");

  int error = 0;
  Loop* loop = nullptr;
  std::unique_ptr<Io> io = make_io(text(options.Get("backend")), error);
  if (io != nullptr) {
    loop = Loop::create(info.Env(), std::make_unique<Engine>(std::move(io), engine_options),
                        static_cast<WaitStrategy>(number(options, "waitStrategy")), uint64_t{number(options, "spinUs")} * 1000,
                        info[1], info[2], error);
  }
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("errno", std::abs(error));
  if (loop == nullptr) return result;
  method<add_slab>(result, "addSlab", loop);
  method<slab_refused>(result, "slabRefused", loop);
  method<slots_free>(result, "slotsFree", loop);
  method<listen>(result, "listen", loop);
  method<connect>(result, "connect", loop);
  method<unlisten>(result, "unlisten", loop);
  method<server_slots>(result, "serverSlots", loop);
  method<forget_server>(result, "forgetServer", loop);
  method<admit>(result, "admit", loop);
  method<close>(result, "close", loop);
  method<abort>(result, "abort", loop);
  method<addresses>(result, "addresses", loop);
  method<set_active>(result, "setActive", loop);
  method<set_driven>(result, "setDriven", loop);
  hot_method(result, "poll", poll, loop);
  hot_method(result, "flush", flush, loop);
  hot_method(result, "flushSlot", flush_slot, loop);
  hot_method(result, "copy", copy, loop);
  result.Set("backend", loop->engine().io().name());
  return result;
}

// probeBackend(name)
Napi::Value probe_backend(const Napi::CallbackInfo& info) {
  int error = 0;
  (void)make_io(text(info[0]), error);
  return Napi::Number::New(info.Env(), error);
}

// clock(words) returns a function that writes the time in nanoseconds into the first of these float64 words.
Napi::Value make_clock(const Napi::CallbackInfo& info) {
  auto words = info[0].As<Napi::Float64Array>();
  Napi::Persistent(info[0].As<Napi::Object>()).SuppressDestruct();
  napi_value made = nullptr;
  napi_create_function(
      info.Env(), "stamp", NAPI_AUTO_LENGTH,
      [](napi_env env, napi_callback_info call) -> napi_value {
        void* word = nullptr;
        napi_get_cb_info(env, call, nullptr, nullptr, nullptr, &word);
        *static_cast<double*>(word) = static_cast<double>(monotonic_ns());
        return nullptr;
      },
      words.Data(), &made);
  return {info.Env(), made};
}

Napi::Object layout_of(Napi::Env env) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("errorTooManyServers", layout::kErrorTooManyServers);
  result.Set("serversMax", layout::kServersMax);
  result.Set("engineCountersOffset", layout::kEngineCountersOffset);
  result.Set("serverCountersOffset", layout::kServerCountersOffset);
  result.Set("serverCountersBytes", layout::kServerCountersBytes);
  result.Set("slotsMax", layout::kSlotsMax);
  result.Set("dirtyOffset", layout::kDirtyOffset);
  result.Set("eventsOffset", layout::kEventsOffset);
  result.Set("eventWords", layout::kEventWords);
  result.Set("slotBytes", layout::kSlotBytes);
  result.Set("slotCountersOffset", layout::kSlotCountersOffset);
  result.Set("sparePerSlab", AssemblyPool::kSparePerSlab);
  return result;
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("createEngine", Napi::Function::New<create_engine>(env, "createEngine"));
  exports.Set("makeClock", Napi::Function::New<make_clock>(env, "makeClock"));
  exports.Set("probeBackend", Napi::Function::New<probe_backend>(env, "probeBackend"));
  Napi::Array backends = Napi::Array::New(env);
  for (const std::string_view name : backend_names()) backends.Set(backends.Length(), std::string(name));
  exports.Set("backends", backends);
  exports.Set("layout", layout_of(env));
  return exports;
}

}  // namespace
}  // namespace zerio

static Napi::Object initialise(Napi::Env env, Napi::Object exports) { return zerio::init(env, exports); }

NODE_API_MODULE(zerio, initialise)
