// What the engine knows of one connection: what was made with its slab and stays, and its life, which is reset as one value.
#pragma once

#include <algorithm>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>

#include "../io/clock.h"
#include "codes.h"
#include "connection_list.h"
#include "deadlines.h"
#include "framing.h"
#include "handshake.h"
#include "send_ring.h"

namespace zerio {

inline constexpr uint32_t kNone = 0xffffffff;

// Copies `text`. Returns false, and leaves `in` empty, when there is no memory for it.
inline bool keep(std::string& in, std::string_view text) {
  try {
    in = text;
    return true;
  } catch (const std::bad_alloc&) {
    in.clear();
    return false;
  }
}

// Makes room for so many bytes. Returns false when there is no memory for them.
inline bool reserve(std::string& in, size_t bytes) {
  try {
    in.reserve(bytes);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

enum class State : uint8_t {
  Free,
  Connecting,  // client: the system is connecting
  Greeting,    // server: waiting for HELLO or a classic id; client: waiting for the answer
  Open,        // messages flow
  Ended,       // this side has sent its end of stream, and the other one's messages still come
  Draining,    // what was accepted is being sent; received bytes are ignored
  Lingering,   // everything is sent, and so is the end of stream; the other side's is waited for
  Suspended,   // its connection broke, and its session waits for the next one
};

// Whether messages still come in this state.
[[nodiscard]] constexpr bool receives(State state) { return state == State::Open || state == State::Ended; }

// In which list of its server a connection is. The connections of the first four lists make room for a newcomer, in this order.
enum class Place : uint8_t {
  Lingering,  // ended, and all is sent: only the other side's end of stream is missing
  Silent,     // a newcomer that has sent nothing yet
  Speaking,   // a newcomer whose first frame is not complete
  Draining,   // ended by the other side or by a rule, with bytes that are not sent yet
  Asked,      // a newcomer whose verdict the program has not given yet
  Peer,       // connected
  None,       // ended by the program: everything is to be sent, so this one makes no room
};
inline constexpr size_t kDispensablePlaces = 4;
inline constexpr size_t kPlaces = 6;

enum class Protocol : uint8_t { Unknown, Native, Classic };

// Control frames that are to be sent. They enter the stream between two data frames: at `barrier`, a position in the send ring.
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

// Three rules ask whether bytes have arrived since they looked last. A receive sets all their bits with one store, and each rule
// clears its own.
inline constexpr uint8_t kHeardByHeartbeat = 1;
inline constexpr uint8_t kHeardByIdle = 2;
inline constexpr uint8_t kHeardByQuestion = 4;
inline constexpr uint8_t kHeardByAll = kHeardByHeartbeat | kHeardByIdle | kHeardByQuestion;

// Whether the program admits a connection to a server that asks for a verdict.
enum class Verdict : uint8_t {
  None,       // not asked, or done
  Asked,      // in this batch, and the program has not answered
  Postponed,  // the program answers later
  Admitted,   // later, and the next poll carries it out
  Refused,    // likewise
};

// What two connections of one session have in common (engine_sessions.cc).
struct Session {
  SessionToken token;
  uint64_t confirmed = 0;   // messages of this side that the other side has, as the head of the ring says
  uint64_t credential = 0;  // server: a keyed hash of what the session was opened with
  uint32_t keep_ms = 0;     // how long it waits for its next connection; a client asks for a session by setting it
  // Of the present connection.
  uint64_t announced = 0;             // what the other side says it has received, while the ring is not there yet
  uint32_t unacknowledged_bytes = 0;  // received since the last ACK
  uint64_t early = 0;                 // the other side has so many, but the system has not said yet that it took them
  uint32_t old_slot = 0xffffffff;     // of the connection before, until JavaScript has moved its ring
  bool resumes = false;               // HELLO: an existing session is asked for
  bool awaits_ring = false;           // JavaScript has not moved the ring of the connection before to this one yet
  bool closing = false;               // the system still holds the socket of a suspended connection
};

// One life of a connection: from taking its slot until the slot is taken again. What the path of a message needs stands first.
struct Life {
  uint32_t server = kNone;
  State state = State::Free;
  Protocol protocol = Protocol::Unknown;
  bool of_server = false;
  bool send_failed = false;      // nothing can be sent any more; what the system has received is still read
  bool send_blocked = false;     // the system took less than all; on_sent() follows
  bool send_prepared = false;    // is in the batch that a flush is putting together
  bool farewell_queued = false;  // it is among the control frames, and nothing follows it
  bool farewell_due = false;     // a CLOSE or REJECT frame follows the last data
  bool in_session = false;
  bool control_due = false;  // the next send takes along what queue_due() has
  bool paused = false;       // by the program: nothing is received
  Verdict verdict = Verdict::None;
  bool holds_hello = false;       // client: sends nothing before the program has chosen this connection
  uint8_t heard = 0;              // which rules have not looked since bytes arrived (kHeardBy…)
  uint32_t blocked_bytes = 0;     // of the ring, given to the blocked send and not taken yet
  uint32_t blocked_end = 0;       // where they end
  FrameReader reader{0};          // empty while no frame is expected
  uint32_t drain_batch = 0;       // the last batch that reports room in the ring
  uint32_t last_event_batch = 0;  // the last batch whose events the program may answer by sending on this connection
  uint64_t received = 0;          // messages of the other side, in a session those over earlier connections, too
  ControlOut control;             // its sizes stand first

  bool connected = false;        // `Connected` was reported and `Disconnected` was not
  bool refused = false;          // a server's connection that never became a peer
  bool half_open = false;        // the end of the other side's stream leaves this side's open
  bool end_requested = false;    // of this side's stream, by the program: it follows what was accepted
  bool end_sent = false;         // and was sent
  bool end_received = false;     // the other side sends nothing any more
  bool end_deferred = false;     // and a later poll carries that out
  bool close_requested = false;  // by the program, the next poll carries it out
  bool is_idle = false;          // its idle limit was reached, the next poll ends it
  bool deferred = false;         // is in the engine's list of connections whose end is to be carried out
  bool reset_on_close = false;
  Place place = Place::None;
  Opcode farewell = Opcode::Close;
  uint8_t silent_heartbeats = 0;
  uint8_t silent_looks = 0;  // of the idle limit
  uint16_t close_code = 0;
  uint16_t end_code = 0;  // of the end that a later poll carries out, and its errno value
  int end_error = 0;
  uint32_t linger_ms = 0;
  uint32_t heartbeat_ms = 0;
  uint32_t idle_timeout_ms = 0;
  uint64_t ping_ns = 0;            // when the PING was queued whose PONG is measured; 0: none is on its way
  bool ping_asked = false;         // by the program, which gets an event
  int send_error = 0;              // the errno value behind send_failed
  uint32_t remote_length_max = 0;  // what the other side's greeting said
  uint32_t hello_slab = 0;         // where the greeting's id lies, until the batch is over
  uint32_t hello_offset = 0;
  uint32_t hello_credential_bytes = 0;
  uint8_t* held = nullptr;  // received behind a HELLO that waits for its verdict within the batch
  size_t held_bytes = 0;
  std::string early;           // the same, of a HELLO whose verdict is postponed
  bool has_topics = false;     // both sides have said so
  uint8_t topic_requests = 0;  // server: those without an answer in `control`; client: unanswered ones
  std::string topic_frames;    // that are to be sent, and wait for room in `control`
  std::string id;              // the peer's on a server's side, our own on a client's
  std::string credential;      // client: kept until HELLO is written
  std::string reason;          // for the CLOSE frame
  Session session;

  template <class Options>
  void take(const Options& options) {
    linger_ms = options.linger_ms;
    heartbeat_ms = options.heartbeat_ms;
    idle_timeout_ms = options.idle_timeout_ms;
    half_open = options.half_open;
  }
};

// What a send touches of a connection.
inline constexpr size_t kHotConnectionBytes = 256;

struct Connection {
  // What each message touches stands first, in few cache lines.
  SendRing ring;               // empty at the start of each life
  double* counters = nullptr;  // JavaScript reads them after the end, too; a new life starts with zeros
  uint32_t slot = kNone;
  uint32_t slab = 0;
  Life life;

  // Between two lives none of these is set, and the connection is in no list.
  Deadline deadline;   // of Connecting, Greeting, Draining and Lingering, and of an Open one on probation or half dead
  Deadline heartbeat;  // of an Open one, as the two that follow
  Deadline idle;
  Deadline question;
  Deadline acknowledgement;  // of one in a session
  ConnectionLinks place_links;
  ConnectionLinks deferred_links;

  // The ring's pages are looked at after a life has ended, too.
  bool ring_noted = false;  // is in the engine's list of rings to be given back
  bool ring_quiet = false;  // it was empty at the last look, and nothing was sent since the look before
  double sends_seen = 0;    // at the last look

  void begin_life() {
    life = {};
    ring.reset();
    std::fill_n(counters, layout::kSlotCounters, 0.0);
  }

  // Gives back the memory of long texts before the next life begins.
  void free_texts() {
    for (std::string* const text : {&life.id, &life.credential, &life.reason, &life.early, &life.topic_frames})
      std::string().swap(*text);
  }
};

}  // namespace zerio
