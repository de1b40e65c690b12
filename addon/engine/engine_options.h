// What an engine, a server and a client are made with, in the engine's terms: src/options has the program's.
#pragma once

#include <cstdint>
#include <string>

#include "../io/io.h"
#include "connection.h"

namespace zerio {

struct EngineOptions {
  uint32_t message_length_max = 0;
  uint32_t send_ring_bytes = 0;
  uint32_t assembly_bytes = 0;
  uint32_t assembly_kept_bytes = 1 << 20;  // so many bytes of used buffers are kept; the rest is given back
  uint32_t ring_kept_bytes = 16384;        // rings that were never filled further are kept, too
  uint32_t arena_bytes = 0;
  uint32_t arena_offset = 0;
  uint32_t events_capacity = 0;
  uint32_t ends_per_poll = 4;  // one takes some 20 microseconds, and all peers wait meanwhile
};

// Where a slab's parts begin, in bytes from the slab's start.
struct SlabParts {
  uint32_t slots_offset = 0;
  uint32_t rings_offset = 0;
  uint32_t assemblies_offset = 0;
  uint32_t count = 0;
};

struct ServerOptions {
  std::string id;
  ListenOptions listen;
  uint32_t peers_max = 0;
  uint32_t handshakes_max = 0;
  uint32_t handshake_timeout_ms = 0;
  uint32_t linger_ms = 0;
  uint32_t heartbeat_ms = 0;
  uint32_t idle_timeout_ms = 0;
  bool half_open = false;  // whether a connection outlives the other side's end of stream
  bool replace_duplicates = false;
  bool asks_for_verdict = false;
  bool allow_classic = true;
  uint32_t sessions_max = 0;   // 0: none are kept
  uint32_t resume_ms_max = 0;  // how long one waits for its next connection
};

struct ClientOptions {
  std::string id;
  std::string credential;
  SocketOptions socket;
  bool classic = false;
  uint32_t connect_timeout_ms = 0;
  uint32_t linger_ms = 0;
  uint32_t heartbeat_ms = 0;
  // Reports `Reached` when there is a connection, and sends nothing before greet().
  bool holds_hello = false;
  uint32_t idle_timeout_ms = 0;
  bool half_open = false;  // whether a connection outlives the other side's end of stream
  // A session is asked for when this is not 0: it waits so long for its next connection. `resumes` is the slot of a suspended
  // connection whose session is to go on.
  uint32_t resume_ms = 0;
  uint32_t resumes = kNone;
};

// What of these can change while there is a connection.
enum class Setting : uint32_t { LingerMs, HeartbeatMs, IdleTimeoutMs, NoDelay, KeepAliveMs, UserTimeoutMs };

}  // namespace zerio
