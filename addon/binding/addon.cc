// The addon's JavaScript face: createEngine, wakers, the shared layout, and the clock. src/engine/native.ts types it.
#include <node_api.h>
#include <uv.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>

#include "../engine/layout.h"
#include "../engine/status.h"
#include "../io/clock.h"
#include "../io/conditions/conditioned_io.h"
#include "../io/io.h"
#include "border.h"
#include "engine_handle.h"
#include "message_path.h"
#include "values.h"
#include "wakers.h"

namespace zerio {
namespace {

// Options come from src/options/options.ts, which has checked them.
SocketOptions socket_options(const Value& options) {
  return {
      options.get("noDelay").flag(),       options.get("socketSendBytes").number(), options.get("socketReceiveBytes").number(),
      options.get("keepAliveMs").number(), options.get("userTimeoutMs").number(),   {}};
}

bool address_of(const Value& options, const char* host, const char* port, Address& out) {
  return Address::parse(options.get(host).text(), static_cast<uint16_t>(options.get(port).number()), out);
}

// Where connections are made memory is allocated, and may be refused: that is an error like those of the system.
template <class Function>
int guarded(Function function) {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return layout::kErrorOutOfMemory;
  }
}

// `memory` is a Uint8Array over all of a WebAssembly.Memory.
int add_slab_to(Engine& engine, const Value& memory, const Value& slab) {
  const std::span<uint8_t> bytes = memory.bytes();
  const SlabParts parts = {slab.get("slotsOffset").number(), slab.get("ringsOffset").number(),
                           slab.get("assembliesOffset").number(), slab.get("count").number()};
  // JavaScript keeps the memory for as long as the engine lives, and the engine keeps that part of JavaScript (dispatch).
  return bytes.data() != nullptr && engine.add_slab(bytes.data(), bytes.size(), parts) ? 0 : layout::kErrorNoSlot;
}

// addSlab(memory, slab) returns 0 or an error.
napi_value add_slab(const Call& call) {
  return call.number(guarded([&] { return add_slab_to(engine_of(call), call[0], call[1]); }));
}

napi_value slots_free(const Call& call) { return call.number(engine_of(call).slots_free()); }

void slab_refused(const Call& call) { engine_of(call).slab_refused(); }

napi_value remove_slab(const Call& call) { return call.flag(engine_of(call).remove_slab()); }

int listen_on(Engine& engine, const Value& options, uint32_t& server, Address& bound) {
  ServerOptions server_options;
  server_options.id = options.get("id").text();
  server_options.listen.backlog = options.get("backlog").number();
  server_options.listen.ipv6_only = options.get("ipv6Only").flag();
  server_options.listen.reuse_port = options.get("reusePort").flag();
  const Value descriptor = options.get("fd");
  if (descriptor.is_number()) server_options.listen.descriptor = static_cast<int>(descriptor.number());
  server_options.listen.socket = socket_options(options);
  server_options.peers_max = options.get("maxPeers").number();
  server_options.handshakes_max = options.get("maxHandshakes").number();
  server_options.handshake_timeout_ms = options.get("handshakeTimeoutMs").number();
  server_options.linger_ms = options.get("lingerMs").number();
  server_options.heartbeat_ms = options.get("heartbeatMs").number();
  server_options.idle_timeout_ms = options.get("idleTimeoutMs").number();
  server_options.half_open = options.get("allowHalfOpen").flag();
  server_options.replace_duplicates = options.get("replaceDuplicates").flag();
  server_options.asks_for_verdict = options.get("asksForVerdict").flag();
  server_options.allow_classic = options.get("allowClassic").flag();
  server_options.sessions_max = options.get("sessionsMax").number();
  server_options.resume_ms_max = options.get("resumeMsMax").number();
  Address address;
  const bool parsed = server_options.listen.descriptor >= 0 || address_of(options, "host", "port", address);
  if (!parsed) return UV_EINVAL;
  const Value also = options.get("server");
  if (!also.is_number()) return engine.listen(std::move(server_options), address, server, bound);
  server = also.number();
  return engine.listen_also(server, address, server_options.listen.descriptor, bound);
}

napi_value listen(const Call& call) {
  Address bound;
  uint32_t server = 0;
  const int error = guarded([&] { return listen_on(engine_of(call), call[0], server, bound); });
  Object result(call.env());
  result.set("errno", std::abs(error));
  result.set("server", server);
  result.set("host", std::string_view(bound.host().text));
  result.set("port", bound.port());
  return result.raw();
}

int connect_to(Engine& engine, const Value& options, uint32_t& slot) {
  ClientOptions client_options;
  const std::span<uint8_t> credential = options.get("credential").bytes();
  client_options.id = options.get("id").text();
  client_options.credential.assign(credential.begin(), credential.end());
  client_options.socket = socket_options(options);
  client_options.classic = options.get("classic").flag();
  client_options.holds_hello = options.get("holdsHello").flag();
  client_options.connect_timeout_ms = options.get("connectTimeoutMs").number();
  client_options.linger_ms = options.get("lingerMs").number();
  client_options.heartbeat_ms = options.get("heartbeatMs").number();
  client_options.idle_timeout_ms = options.get("idleTimeoutMs").number();
  client_options.half_open = options.get("allowHalfOpen").flag();
  client_options.resume_ms = options.get("resumeMs").number();
  client_options.resumes = options.get("resumes").number(kNone);
  Address address;
  bool parsed = address_of(options, "host", "port", address);
  if (options.get("sourceHost").is_text())
    parsed = parsed && address_of(options, "sourceHost", "sourcePort", client_options.socket.source);
  return parsed ? engine.connect(std::move(client_options), address, slot) : UV_EINVAL;
}

napi_value connect(const Call& call) {
  uint32_t slot = 0;
  const int error = guarded([&] { return connect_to(engine_of(call), call[0], slot); });
  return call.number(error == 0 ? static_cast<double>(slot) : -std::abs(static_cast<double>(error)));
}

void unlisten(const Call& call) { engine_of(call).unlisten(argument(call, 0)); }
void close_peers(const Call& call) { engine_of(call).close_peers(argument(call, 0), static_cast<uint16_t>(argument(call, 1))); }
napi_value server_is_over(const Call& call) { return call.flag(engine_of(call).server_is_over(argument(call, 0))); }
void forget_server(const Call& call) { engine_of(call).forget_server(argument(call, 0)); }
void greet(const Call& call) { engine_of(call).greet(argument(call, 0)); }
napi_value adopt(const Call& call) { return call.flag(engine_of(call).adopt(argument(call, 0), argument(call, 1))); }
void postpone(const Call& call) { engine_of(call).postpone(argument(call, 0)); }
void admit(const Call& call) { engine_of(call).admit(argument(call, 0), call[1].flag()); }
// A text argument of at most so many bytes as a reason or a name has.
struct ShortText {
  ShortText(const Call& call, size_t index) {
    napi_get_value_string_utf8(call.env(), call[index].raw(), bytes, sizeof bytes, &size);
  }
  [[nodiscard]] std::string_view view() const { return {bytes, size}; }

  char bytes[kReasonBytesMax + 1] = {};
  size_t size = 0;
};
void close(const Call& call) {
  const ShortText reason(call, 2);
  engine_of(call).close(argument(call, 0), static_cast<uint16_t>(argument(call, 1)), reason.view());
}
// requestTopic(slot, opcode, request, name)
void request_topic(const Call& call) {
  const ShortText name(call, 3);
  engine_of(call).request_topic(argument(call, 0), static_cast<Opcode>(argument(call, 1)), argument(call, 2), name.view());
}
// answerTopic(slot, request, code, reason)
void answer_topic(const Call& call) {
  const ShortText reason(call, 3);
  engine_of(call).answer_topic(argument(call, 0), argument(call, 1), static_cast<uint16_t>(argument(call, 2)), reason.view());
}
void pause(const Call& call) { engine_of(call).pause(argument(call, 0), call[1].flag()); }
void ask(const Call& call) { engine_of(call).ask(argument(call, 0)); }
void ask_no_more(const Call& call) { engine_of(call).ask_no_more(argument(call, 0)); }
void end(const Call& call) { engine_of(call).end(argument(call, 0)); }
void abort(const Call& call) { engine_of(call).abort(argument(call, 0)); }
// configure(slot, setting, value)
void configure(const Call& call) {
  engine_of(call).configure(argument(call, 0), static_cast<Setting>(argument(call, 1)), argument(call, 2));
}
void hand_over(const Call& call) { engine_of(call).hand_over(); }
void hand_over_slot(const Call& call) { engine_of(call).hand_over_slot(argument(call, 0)); }
napi_value locked_bytes(const Call& call) { return call.number(static_cast<double>(engine_of(call).io().locked_bytes())); }
// openScope(ofServer, index), closeScope(ofServer, index)
void open_scope(const Call& call) {
  (void)guarded([&] {
    loop_of(call.data())->open_scope(call[0].flag(), argument(call, 1));
    return 0;
  });
}
void close_scope(const Call& call) { loop_of(call.data())->close_scope(call[0].flag(), argument(call, 1)); }
// openWaker(function) returns the waker's number, 0 when it is refused.
napi_value open_waker(const Call& call) { return call.number(loop_of(call.data())->open_waker(call[0].raw())); }
void open_waker_scope(const Call& call) { loop_of(call.data())->open_waker_scope(); }
void set_active(const Call& call) { loop_of(call.data())->set_active(call[0].flag()); }
void set_referenced(const Call& call) { loop_of(call.data())->set_referenced(call[0].flag()); }
void set_driven(const Call& call) { loop_of(call.data())->set_driven(call[0].flag()); }
void close_engine(const Call& call) {
  auto* const handle = static_cast<EngineHandle*>(call.data());
  Loop* const loop = handle->loop;
  handle->loop = nullptr;
  loop->close();
}

napi_value addresses(const Call& call) {
  Address local;
  Address remote;
  engine_of(call).addresses(argument(call, 0), local, remote);
  Object result(call.env());
  result.set("localHost", std::string_view(local.host().text));
  result.set("localPort", local.port());
  result.set("remoteHost", std::string_view(remote.host().text));
  result.set("remotePort", remote.port());
  return result.raw();
}

// refusedPeer(place)
napi_value refused_peer(const Call& call) {
  const RefusedPeer* const peer = engine_of(call).refused_peer(argument(call, 0));
  if (peer == nullptr) return nullptr;
  Object result(call.env());
  result.set("id", peer->id());
  result.set("remoteHost", std::string_view(peer->remote.host().text));
  result.set("remotePort", peer->remote.port());
  return result.raw();
}

// The array that readStatus() fills, or nothing when it is too short.
std::optional<StatusArray> status_array(const Value& value) {
  const std::span<double> values = value.doubles();
  if (values.size() < StatusArray::kCount) return std::nullopt;
  return StatusArray(values.first<StatusArray::kCount>());
}

// readTcpStatus(slot, target)
void read_tcp_status(const Call& call) {
  std::optional<StatusArray> target = status_array(call[1]);
  if (target) target->write(engine_of(call).tcp_status(argument(call, 0)));
}

template <napi_value (*Function)(const Call&)>
napi_value enter(napi_env env, napi_callback_info info) {
  return Function(Call(env, info));
}

// Functions of an engine; those of a closed one do nothing.
void after_call(const Call& call) {
  if (Loop* const loop = loop_of(call.data())) loop->after_call();
}

template <napi_value (*Function)(const Call&)>
napi_value enter_engine(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  if (loop_of(call.data()) == nullptr) return nullptr;
  const napi_value result = Function(call);
  after_call(call);
  return result;
}

template <void (*Function)(const Call&)>
napi_value enter_engine(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  if (loop_of(call.data()) == nullptr) return nullptr;
  Function(call);
  after_call(call);
  return nullptr;
}

// With conditions it is a backend over that of the system.
std::unique_ptr<Io> with_conditions(std::unique_ptr<Io> io, const Value& options) {
  if (!options.get("lagMs").is_number()) return io;
  const Conditions conditions = {.lag_ms = options.get("lagMs").number(),
                                 .jitter_ms = options.get("jitterMs").number(),
                                 .stall_every_ms = options.get("stallEveryMs").number(),
                                 .stall_ms = options.get("stallMs").number(),
                                 .reset_percent = options.get("resetPercent").number(),
                                 .reset_within_ms = options.get("resetWithinMs").number(),
                                 .seed = options.get("seed").number()};
  return std::make_unique<ConditionedIo>(std::move(io), conditions, -UV_ECONNRESET);
}

int make_loop(const Call& call, Loop*& loop) {
  const Value options = call[2];
  EngineOptions engine_options;
  engine_options.message_length_max = options.get("maxMessageLength").number();
  engine_options.send_ring_bytes = options.get("sendRingBytes").number();
  engine_options.assembly_bytes = options.get("assemblyBytes").number();
  engine_options.arena_bytes = options.get("receiveArenaBytes").number();
  engine_options.arena_offset = options.get("arenaOffset").number();
  engine_options.events_capacity = options.get("eventsCapacity").number();

  int error = 0;
  std::unique_ptr<Io> io = make_io(options.get("backend").text(), error);
  if (io == nullptr) return error;
  auto engine = std::make_unique<Engine>(with_conditions(std::move(io), options), engine_options);
  // The engine goes to the loop, which lives as long as the thread, only when it has its first slab.
  error = add_slab_to(*engine, call[0], call[1]);
  if (error != 0) return error;
  auto driver = options.get("portableLoop").flag() ? make_portable_driver() : make_uv_driver();
  if (driver == nullptr) return UV_ENOTSUP;
  loop = Loop::create(call.env(), std::move(engine), std::move(driver),
                      static_cast<WaitStrategy>(options.get("waitStrategy").number()),
                      uint64_t{options.get("spinUs").number()} * 1000, {call[3].raw(), call[4].raw(), call[5].raw()}, error);
  return error;
}

struct Method {
  const char* name;
  napi_callback function;
};
constexpr Method kMethods[] = {
    {"addSlab", enter_engine<add_slab>},
    {"slabRefused", enter_engine<slab_refused>},
    {"removeSlab", enter_engine<remove_slab>},
    {"slotsFree", enter_engine<slots_free>},
    {"listen", enter_engine<listen>},
    {"connect", enter_engine<connect>},
    {"unlisten", enter_engine<unlisten>},
    {"closePeers", enter_engine<close_peers>},
    {"serverIsOver", enter_engine<server_is_over>},
    {"forgetServer", enter_engine<forget_server>},
    {"greet", enter_engine<greet>},
    {"adopt", enter_engine<adopt>},
    {"admit", enter_engine<admit>},
    {"postpone", enter_engine<postpone>},
    {"close", enter_engine<close>},
    {"requestTopic", enter_engine<request_topic>},
    {"answerTopic", enter_engine<answer_topic>},
    {"end", enter_engine<end>},
    {"abort", enter_engine<abort>},
    {"pause", enter_engine<pause>},
    {"ask", enter_engine<ask>},
    {"askNoMore", enter_engine<ask_no_more>},
    {"configure", enter_engine<configure>},
    {"addresses", enter_engine<addresses>},
    {"refusedPeer", enter_engine<refused_peer>},
    {"readTcpStatus", enter_engine<read_tcp_status>},
    {"openScope", enter_engine<open_scope>},
    {"closeScope", enter_engine<close_scope>},
    {"openWaker", enter_engine<open_waker>},
    {"openWakerScope", enter_engine<open_waker_scope>},
    {"handOver", enter_engine<hand_over>},
    {"handOverSlot", enter_engine<hand_over_slot>},
    {"lockedBytes", enter_engine<locked_bytes>},
    {"setActive", enter_engine<set_active>},
    {"setReferenced", enter_engine<set_referenced>},
    {"setDriven", enter_engine<set_driven>},
    {"closeEngine", enter_engine<close_engine>},
    {"poll", poll},
    {"flush", flush},
    {"flushSlot", flush_slot},
    {"share", share},
    {"copy", copy},
    {"sendStraight", send_straight},
    {"copyBytes", copy_bytes},
};

// createEngine(memory, first slab, options, dispatch, go on, flush)
napi_value create_engine(const Call& call) {
  std::unique_ptr<EngineHandle> handle;
  const int error = guarded([&] {
    // Before the loop, which nothing would close if this were refused.
    handle = std::make_unique<EngineHandle>();
    return make_loop(call, handle->loop);
  });
  Object result(call.env());
  result.set("errno", std::abs(error));
  if (error != 0) return result.raw();
  Loop* const loop = handle->loop;
  const auto finalize = [](napi_env, void* data, void*) { delete static_cast<EngineHandle*>(data); };
  if (napi_add_finalizer(call.env(), result.raw(), handle.get(), finalize, nullptr, nullptr) != napi_ok) {
    // The thread is being terminated.
    loop->close();
    return result.raw();
  }
  for (const auto& [name, function] : kMethods) result.set(name, function, handle.get());
  (void)handle.release();
  result.set("backend", std::string_view(loop->engine().io().name()));
  result.set("copiesAtOnce", call.flag(loop->engine().io().copies_at_once()));
  return result.raw();
}

// probeBackend(name)
napi_value probe_backend(const Call& call) {
  return call.number(guarded([&] {
    int refusal = 0;
    (void)make_io(call[0].text(), refusal);
    return refusal;
  }));
}

napi_value stamp(napi_env env, napi_callback_info info) {
  void* word = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &word);
  *static_cast<double*>(word) = static_cast<double>(monotonic_ns());
  return nullptr;
}

// clock(words) returns a function that writes the time in nanoseconds into the first of these float64 words.
napi_value make_clock(const Call& call) {
  const std::span<double> words = call[0].doubles();
  if (words.empty()) return nullptr;
  call[0].keep();
  napi_value made = nullptr;
  (void)napi_create_function(call.env(), "stamp", NAPI_AUTO_LENGTH, stamp, words.data(), &made);
  return made;
}

// readStatus(target, counters, connection, pendingBytes): all but what the system's TCP knows.
napi_value read_status(const Call& call) {
  std::optional<StatusArray> target = status_array(call[0]);
  const std::span<double> counters = call[1].doubles();
  if (!target || counters.size() < layout::kSlotCounters) return nullptr;
  target->write(argument(call, 2), counters.first<layout::kSlotCounters>(), call[3].number(),
                static_cast<double>(monotonic_ns()));
  target->write(TcpStatus{});
  return nullptr;
}

// wake(number) returns whether there is such a waker.
napi_value wake(const Call& call) { return call.flag(wakers::wake(call[0].number())); }

napi_value layout_of(napi_env env) {
  Object result(env);
  for (const auto& [name, value] : kBorder) result.set(name, value);
  return result.raw();
}

napi_value backends_of(napi_env env) {
  napi_value names = nullptr;
  (void)napi_create_array(env, &names);
  uint32_t count = 0;
  for (const std::string_view name : backend_names()) {
    napi_value made = nullptr;
    (void)napi_create_string_utf8(env, name.data(), name.size(), &made);
    (void)napi_set_element(env, names, count++, made);
  }
  return names;
}

napi_value initialise(napi_env env, napi_value exports) {
  Object result(env, exports);
  result.set("createEngine", enter<create_engine>, nullptr);
  result.set("makeClock", enter<make_clock>, nullptr);
  result.set("probeBackend", enter<probe_backend>, nullptr);
  result.set("readStatus", enter<read_status>, nullptr);
  result.set("wake", enter<wake>, nullptr);
  result.set("backends", backends_of(env));
  result.set("layout", layout_of(env));
  return exports;
}

}  // namespace
}  // namespace zerio

NAPI_MODULE_INIT() { return zerio::initialise(env, exports); }
