// Topics on the wire: what greetings say of them, and the frames with which a client asks to be in one and a server answers.
// Who is in which topic is JavaScript's (src/topics/). The engine checks the frames, limits what is unanswered, and keeps what
// has no room yet.
#include <algorithm>

#include "engine.h"
#include "framing.h"

namespace zerio {

// What a HELLO asks for.
Code Engine::read_extensions(Connection& connection, const Greeting& greeting) const {
  const Code code = read_topics(greeting.extensions, connection.life.has_topics);
  return code == Code::None ? read_session_wish(connection, greeting) : code;
}

// What a greeting says besides. It lies in `buffer`. A client always says that it has topics, and a server says so to such a
// client.
std::string_view Engine::extensions_of(const Connection& connection, Opcode opcode, ExtensionsBuffer& buffer) {
  uint32_t bytes = write_session_extension(connection, opcode, buffer.data());
  if (opcode == Opcode::Hello || connection.life.has_topics) bytes += write_topics(buffer.data() + bytes);
  return {reinterpret_cast<const char*>(buffer.data()), bytes};
}

// ---- Receiving

// Returns false when the frame breaks the protocol.
bool Engine::on_topic_frame(Connection& connection, Opcode opcode, const uint8_t* payload, uint32_t length) {
  const Life& life = connection.life;
  if (!life.has_topics) return false;
  if (opcode == Opcode::Subscription) return !life.of_server && report_topic_answer(connection, payload, length);
  const bool is_request = opcode == Opcode::Subscribe || opcode == Opcode::Unsubscribe;
  return is_request && life.of_server && report_topic_request(connection, opcode, payload, length);
}

bool Engine::report_topic_request(Connection& connection, Opcode opcode, const uint8_t* payload, uint32_t length) {
  Life& life = connection.life;
  TopicRequest request;
  if (read_topic_request(payload, length, request) != Code::None || life.topic_requests == kTopicRequestsMax) return false;
  // Behind the end of the stream there is no answer.
  if (life.end_sent) return true;
  ++life.topic_requests;
  report_topic(connection, EventKind::TopicRequest, request.name, request.request, static_cast<uint32_t>(opcode));
  return true;
}

bool Engine::report_topic_answer(Connection& connection, const uint8_t* payload, uint32_t length) {
  Life& life = connection.life;
  TopicAnswer answer;
  if (read_topic_answer(payload, length, answer) != Code::None || life.topic_requests == 0) return false;
  --life.topic_requests;
  report_topic(connection, EventKind::TopicAnswer, answer.reason, answer.request, answer.code);
  return true;
}

void Engine::report_topic(Connection& connection, EventKind kind, std::string_view text, uint32_t request, uint32_t what) {
  connection.life.last_event_batch = batch_;
  const Location at = locate(text.data());
  events_.push(TopicEvent{.kind = kind,
                          .slot = connection.slot,
                          .slab = at.slab,
                          .offset = at.offset,
                          .length = static_cast<uint32_t>(text.size()),
                          .request = request,
                          .what = what});
}

// ---- Sending

void Engine::request_topic(uint32_t slot, Opcode opcode, uint32_t request, std::string_view name) {
  Connection* const connection = connection_at(slot);
  if (connection == nullptr || connection->life.of_server || !connection->life.has_topics || !is_topic_name(name)) return;
  if (connection->life.state != State::Open || connection->life.topic_requests == kTopicRequestsMax) return;
  ++connection->life.topic_requests;
  uint8_t frame[kControlFrameBytesMax];
  send_topic_frame(*connection, frame, write_topic_request(frame, opcode, {request, name}));
}

void Engine::answer_topic(uint32_t slot, uint32_t request, uint16_t code, std::string_view reason) {
  Connection* const connection = connection_at(slot);
  if (connection == nullptr || !connection->life.of_server || connection->life.topic_requests == 0) return;
  if (connection->life.state != State::Open) return;
  uint8_t frame[kControlFrameBytesMax];
  send_topic_frame(*connection, frame, write_topic_answer(frame, {request, code, reason}));
}

void Engine::send_topic_frame(Connection& connection, const uint8_t* frame, uint32_t bytes) {
  Life& life = connection.life;
  // JavaScript can answer more often than it was asked.
  const bool fits = life.topic_frames.size() + bytes <= size_t{kTopicRequestsMax} * kControlFrameBytesMax;
  if (life.send_failed || !fits) return;
  if (!reserve(life.topic_frames, life.topic_frames.size() + bytes)) {
    life.close_requested = life.reset_on_close = true;
    life.close_code = static_cast<uint16_t>(Code::OutOfMemory);
    defer(connection);
    return;
  }
  life.topic_frames.append(reinterpret_cast<const char*>(frame), bytes);
  life.control_due = true;
  pump(connection);
}

// Hands over as many as there is room for. A server's request counts as answered from here on, so that a client which does not
// read cannot make this side keep more than a few answers.
void Engine::queue_topic_frames(Connection& connection) {
  Life& life = connection.life;
  const auto* const frames = reinterpret_cast<const uint8_t*>(life.topic_frames.data());
  size_t moved = 0;
  while (moved < life.topic_frames.size()) {
    const uint32_t bytes = static_cast<uint32_t>(kHeaderBytes) + frame_length(load<uint32_t>(frames + moved));
    if (!queue_control(connection, frames + moved, bytes)) break;
    moved += bytes;
    if (life.of_server && life.topic_requests > 0) --life.topic_requests;
  }
  life.topic_frames.erase(0, moved);
  if (!life.topic_frames.empty()) life.control_due = true;
}

}  // namespace zerio
