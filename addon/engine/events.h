// The event ring's writer: what the engine reports to JavaScript. src/engine/dispatch.ts reads it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "check.h"
#include "layout.h"

namespace zerio {

enum class EventKind : int32_t {
  Run = 1,            // consecutive data frames
  Message = 2,        // one payload
  Connected = 3,      // a connection is open
  Disconnected = 4,   // an open connection has ended
  Drain = 5,          // a send ring has room again for what it refused
  ConnectFailed = 6,  // a client's connection has ended before it was open
  Released = 7,       // the next life of the slot may begin
  Refused = 8,        // a server has refused connections
  AcceptError = 9,    // the system refuses to accept
  SlotsLow = 10,      // JavaScript should add a slab; a server waits for it
  Asked = 11,         // the program is to say whether it takes this peer
  Reached = 12,       // a client that holds its HELLO has a connection; greet() or abort() follows
  SlabIdle = 13,      // JavaScript may let go of the last slab
  Pong = 14,          // the PING that the program asked for is answered
  Suspended = 15,     // the connection of a session broke
  Resumed = 16,       // a peer's session has a new connection; adopt() follows
  Idle = 17,          // nothing came for the idle limit; the connection ends unless configure() sets another one now
  Ended = 18,         // the other side sends nothing any more, and this side still can
  TopicRequest = 19,  // a peer wants to be in a topic, or not any more; answer_topic() follows
  TopicAnswer = 20,   // a server has answered such a request
};

// Events, word by word. The mirror of the names is in src/engine/layout.ts; addon/binding/border.h exports the places.

// How each event begins, and all that some of them are: Drain, SlotsLow, Reached, SlabIdle, Pong, Idle and
// Ended.
struct Event {
  EventKind kind = EventKind::SlabIdle;
  uint32_t owner = 0;  // the slot or the server that it is about
};

// Run.
struct RunEvent {
  EventKind kind = EventKind::Run;
  uint32_t slot = 0;
  uint32_t slab = 0;
  uint32_t offset = 0;    // of the first header
  uint32_t bytes = 0;     // headers included
  uint32_t count = 0;     // of frames
  uint32_t before = 0;    // how many messages the connection or session had received before, modulo 2^32
  uint32_t after_ns = 0;  // when this was received: so long after the word kEngineReceivedNs
};

// Message.
struct MessageEvent {
  EventKind kind = EventKind::Message;
  uint32_t slot = 0;
  uint32_t slab = 0;
  uint32_t offset = 0;  // of the payload
  uint32_t length = 0;
  uint32_t channel = 0;
  uint32_t before = 0;  // as in a run, and the next one, too
  uint32_t after_ns = 0;
};

// Connected and Asked.
struct GreetingEvent {
  EventKind kind = EventKind::Connected;
  uint32_t slot = 0;
  uint32_t slab = 0;
  uint32_t offset = 0;  // of the id
  uint32_t id_bytes = 0;
  uint32_t credential_bytes = 0;  // right behind the id
  uint32_t origin = 0;            // origin_of(), kInSession and kHasTopics
  uint32_t length_max = 0;        // the longest payload that the other side accepts

  static constexpr uint32_t kInSession = 0x80;
  static constexpr uint32_t kHasTopics = 0x40;
  // The protocol, and above its 8 bits the number of the server plus 1; 0 for a client's greeting.
  [[nodiscard]] static uint32_t origin_of(uint32_t protocol, uint32_t server_plus_one) { return protocol | server_plus_one << 8; }
  [[nodiscard]] uint32_t server_plus_one() const { return origin >> 8; }
};

// Disconnected, Suspended and ConnectFailed.
struct EndEvent {
  EventKind kind = EventKind::Disconnected;
  uint32_t slot = 0;
  uint32_t slab = 0;
  uint32_t offset = 0;  // of the reason
  uint32_t length = 0;
  uint32_t code = 0;
  uint32_t error = 0;           // the system's errno, or 0
  uint32_t unacknowledged = 0;  // messages of a session that has ended which the other side may not have received
};

// Resumed.
struct ResumedEvent {
  EventKind kind = EventKind::Resumed;
  uint32_t slot = 0;  // of the suspended connection
  uint32_t by = 0;    // the slot of the new one
  uint32_t length_max = 0;
};

// Released.
struct ReleasedEvent {
  EventKind kind = EventKind::Released;
  uint32_t slot = 0;
  uint32_t server = 0;      // or kNone
  uint32_t slots_left = 0;  // of this server
};

// Refused.
struct RefusedEvent {
  EventKind kind = EventKind::Refused;
  uint32_t server = 0;
  uint32_t peer = 0;  // for Engine::refused_peer()
  uint32_t unused[2] = {};
  uint32_t code = 0;
  uint32_t error = 0;  // the system's errno, or 0
  uint32_t count = 0;  // of refusals with this code for which this event stands
};

// AcceptError.
struct AcceptErrorEvent {
  EventKind kind = EventKind::AcceptError;
  uint32_t server = 0;
  uint32_t unused[4] = {};
  uint32_t error = 0;  // the system's errno
};

// TopicRequest and TopicAnswer.
struct TopicEvent {
  EventKind kind = EventKind::TopicRequest;
  uint32_t slot = 0;
  uint32_t slab = 0;
  uint32_t offset = 0;  // of the topic's name, or of the reason
  uint32_t length = 0;
  uint32_t request = 0;  // the client's number
  uint32_t what = 0;     // the opcode of a request, or the code of an answer
};

class EventRing {
 public:
  void set(int32_t* words, int32_t* engine_words, uint32_t capacity) {
    words_ = words;
    engine_words_ = engine_words;
    capacity_ = capacity;
  }

  template <class AnyEvent>
  void push(const AnyEvent& event) {
    static_assert(std::is_trivially_copyable_v<AnyEvent> && sizeof event <= layout::kEventBytes && sizeof event % 4 == 0);
    check(count_ < capacity_, "a batch has more events than there is room for");
    int32_t* const at = words_ + static_cast<size_t>(count_) * layout::kEventWords;
    std::memcpy(at, &event, sizeof event);
    std::fill(at + sizeof event / 4, at + layout::kEventWords, 0);
    publish(count_ + 1);
  }

  // How many of the batch JavaScript has not dispatched yet. The word is JavaScript's: any value is possible.
  [[nodiscard]] uint32_t unconsumed() const {
    const auto consumed = static_cast<uint32_t>(
        std::atomic_ref<int32_t>(engine_words_[layout::kWordEventsConsumed]).load(std::memory_order_acquire));
    return consumed < count_ ? count_ - consumed : 0;
  }

  // The next event that JavaScript is to dispatch. JavaScript can have overwritten it.
  template <class AnyEvent>
  [[nodiscard]] AnyEvent next() const {
    const uint32_t next = std::min(count_ - unconsumed(), capacity_ - 1);
    AnyEvent event = {};
    std::memcpy(static_cast<void*>(&event), words_ + static_cast<size_t>(next) * layout::kEventWords, sizeof event);
    return event;
  }

  // Whether an event of this kind and owner is among them. JavaScript can have overwritten it, and another one to look like it.
  [[nodiscard]] bool has_unconsumed(EventKind kind, uint32_t owner) const {
    for (uint32_t i = count_ - unconsumed(); i < count_; ++i) {
      Event event = {};
      std::memcpy(static_cast<void*>(&event), words_ + static_cast<size_t>(i) * layout::kEventWords, sizeof event);
      if (event.kind == kind && event.owner == owner) return true;
    }
    return false;
  }

  void begin_batch() {
    std::atomic_ref<int32_t>(engine_words_[layout::kWordEventsConsumed]).store(0, std::memory_order_release);
    publish(0);
  }

  [[nodiscard]] uint32_t count() const { return count_; }
  [[nodiscard]] uint32_t room() const { return capacity_ - count_; }

 private:
  void publish(uint32_t count) {
    count_ = count;
    std::atomic_ref<int32_t>(engine_words_[layout::kWordEventsProduced])
        .store(static_cast<int32_t>(count), std::memory_order_release);
  }

  int32_t* words_ = nullptr;
  int32_t* engine_words_ = nullptr;
  uint32_t capacity_ = 0;
  uint32_t count_ = 0;
};

}  // namespace zerio
