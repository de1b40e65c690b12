// What the engine knows of one connection. Peers live as long as their slab and are reused, life after life.
#pragma once

#include <algorithm>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>

#include "codes.h"
#include "deadlines.h"
#include "framing.h"
#include "handshake.h"
#include "peer_list.h"
#include "send_ring.h"

namespace zerio {

inline constexpr uint32_t kNone = 0xffffffff;
inline constexpr uint64_t kMillisecondNs = 1'000'000;

// Whether there was memory for it.
inline bool keep(std::string& in, std::string_view text) {
  try {
    in = text;
    return true;
  } catch (const std::bad_alloc&) {
    in.clear();
    return false;
  }
}

enum class State : uint8_t {
  Free,
  Connecting,  // client: the system is connecting
  Greeting,    // server: waiting for HELLO or a classic id; client: waiting for the answer
  Open,        // messages flow
  Draining,    // what was accepted is being sent; received bytes are ignored
  Lingering,   // everything is sent, and so is the end of stream; waiting for the other side's
};

// Among which connections of its server one is counted; the first four in the order in which they make place for newcomers.
enum class Place : uint8_t {
  Lingering,  // ended: only the other side's end is waited for
  Silent,     // a newcomer of whom nothing was received
  Speaking,   // a newcomer whose first frame is not complete
  Draining,   // ended by the other side or by a rule, and what it should still get is not sent
  Peer,       // connected
  None,       // ended by the program, which was promised that all is sent
};
inline constexpr size_t kDispensablePlaces = 4;
inline constexpr size_t kPlaces = 5;

enum class Protocol : uint8_t { Unknown, Native, Classic };

// Control frames on their way out. They enter the stream between two data frames: at `barrier`, a position in the send ring.
struct ControlOut {
  static constexpr uint32_t kCapacity = kControlFrameBytesMax + 64;

  uint16_t size = 0;
  uint16_t sent = 0;
  uint32_t barrier = 0;
  uint8_t bytes[kCapacity] = {};

  [[nodiscard]] bool empty() const { return sent == size; }
  [[nodiscard]] bool fits(uint32_t frame_bytes) const { return size + frame_bytes <= kCapacity; }
  void clear() { size = sent = 0; }
};

// Who looks at whether something came, each for itself. To receive sets them all with one store.
inline constexpr uint8_t kHeardByHeartbeat = 1;
inline constexpr uint8_t kHeardByIdle = 2;
inline constexpr uint8_t kHeardByQuestion = 4;
inline constexpr uint8_t kHeardByAll = kHeardByHeartbeat | kHeardByIdle | kHeardByQuestion;

struct Peer {
  // What each message touches stands first, in few cache lines.
  SendRing ring;               // made with the slab, empty in each life
  double* counters = nullptr;  // made with the slab
  uint32_t slot = kNone;       // made with the slab
  uint32_t server = kNone;
  State state = State::Free;
  Protocol protocol = Protocol::Unknown;
  bool of_server = false;
  bool send_failed = false;      // nothing can be sent any more; what the system received is still read
  bool send_blocked = false;     // the system took less than all; on_sent() follows
  bool send_prepared = false;    // is in the batch that a flush is putting together
  bool farewell_queued = false;  // it is among the control frames, and nothing follows it
  bool farewell_due = false;     // a CLOSE or REJECT frame follows the last data
  bool awaits_verdict = false;   // the program has not said yet whether it takes this peer
  bool holds_hello = false;      // client: says nothing before the program has chosen this connection
  uint8_t heard = 0;             // who has not looked yet since something came (kHeardBy…)
  bool ring_noted = false;       // is in the engine's list of rings to be given back; outlives the connection
  uint32_t blocked_bytes = 0;    // of the ring, given to the blocked send and not taken yet
  uint32_t blocked_end = 0;      // where they end
  FrameReader reader{0};
  uint32_t told_batch = 0;  // the last batch in which the program hears of this peer, and may answer
  ControlOut control;       // its sizes stand first

  uint32_t slab = 0;
  bool connected = false;        // `Connected` was reported and `Disconnected` was not
  bool refused = false;          // a server's connection that never became a peer
  bool end_received = false;     // the other side sends nothing any more
  bool end_deferred = false;     // and that is to be reported in the next poll
  bool close_requested = false;  // by the program, to be carried out in the next poll
  bool deferred = false;         // is in the engine's list of those whose end is to be carried out
  bool reset_on_close = false;
  Place place = Place::None;
  PeerLinks place_links;
  PeerLinks deferred_links;
  Opcode farewell = Opcode::Close;
  uint8_t silent_heartbeats = 0;
  uint8_t silent_looks = 0;  // of the idle limit
  uint16_t close_code = 0;
  uint32_t linger_ms = 0;
  uint32_t heartbeat_ms = 0;
  uint32_t idle_timeout_ms = 0;
  int send_error = 0;  // the errno value behind send_failed
  Deadline deadline;   // of Connecting, Greeting, Draining and Lingering, and of an Open one on probation or half dead
  Deadline heartbeat;  // of an Open one, as all that follow
  Deadline idle;
  Deadline question;
  uint32_t remote_length_max = 0;  // what the other side's greeting said
  uint32_t hello_slab = 0;         // where the greeting's id lies, until the batch is over
  uint32_t hello_offset = 0;
  uint32_t hello_credential_bytes = 0;
  uint8_t* held = nullptr;  // received behind a HELLO that waits for its verdict
  size_t held_bytes = 0;
  std::string id;           // the peer's on a server's side, our own on a client's
  std::string credential;   // client: kept until HELLO is written
  std::string reason;       // for the CLOSE frame
  double sends_seen = 0;    // at the last look at the ring
  bool ring_quiet = false;  // it was empty then, and nothing was sent since the look before

  // Gives back the memory of long words.
  void forget_words() {
    for (std::string* const words : {&id, &credential, &reason}) std::string().swap(*words);
  }

  void begin_life() {
    state = State::Free;
    protocol = Protocol::Unknown;
    of_server = connected = awaits_verdict = refused = end_received = end_deferred = send_failed = send_blocked =
        close_requested = deferred = reset_on_close = farewell_queued = farewell_due = holds_hello = false;
    heard = silent_heartbeats = silent_looks = 0;
    place = Place::None;
    place_links = deferred_links = {};
    send_error = 0;
    close_code = 0;
    told_batch = 0;
    server = kNone;
    linger_ms = heartbeat_ms = idle_timeout_ms = blocked_bytes = blocked_end = 0;
    held = nullptr;
    held_bytes = 0;
    control.clear();
    id.clear();
    credential.clear();
    reason.clear();
    ring.reset();
    std::fill_n(counters, layout::kSlotCounters, 0.0);
  }
};

}  // namespace zerio
