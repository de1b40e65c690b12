// Requests for topics, as src/topics/subscriptions.ts makes and src/topics/requests.ts answers them. Who is in which topic is
// no part of the engine, so this program only checks that each request arrives as it was made, and that its answer comes once
// and in order.
#include "engine_model.h"
#include "reference.h"

namespace zerio::simulation {
namespace {

// Long and short ones, which both sides can make from the number.
std::string topic_of(uint32_t request) { return "topic " + std::to_string(request) + std::string(request * 37 % 240, 'x'); }
Opcode opcode_of(uint32_t request) { return request % 3 == 0 ? Opcode::Unsubscribe : Opcode::Subscribe; }
uint16_t code_of(uint32_t request) { return request % 4 == 0 ? static_cast<uint16_t>(Code::SubscribeRefused) : 0; }
std::string reason_of(uint32_t request) { return std::string(request % 8 == 0 ? 256 : 0, 'r'); }

}  // namespace

void EngineModel::ask_topic(Connection& connection) {
  if (connection.side != kClientSide || !connection.has_topics || !connection.open() || connection.suspended) return;
  if (connection.topic_requests.size() == kTopicRequestsMax) return;
  const uint32_t request = connection.topics_asked++;
  trace_.add('e', number, "slot # asks for topic #", {connection.slot, request});
  connection.topic_requests.push_back(request);
  engine_->request_topic(connection.slot, opcode_of(request), request, topic_of(request));
}

// On the next connection of a session.
void EngineModel::ask_topics_again(Connection& connection, const Connection& old) {
  connection.topics_asked = old.topics_asked;
  connection.topic_requests = old.topic_requests;
  for (const uint32_t request : connection.topic_requests)
    engine_->request_topic(connection.slot, opcode_of(request), request, topic_of(request));
}

void EngineModel::topic_asked(uint32_t slot, const int32_t* event) {
  const Connection* const connection = connections_[slot].get();
  require(connection != nullptr && connection->connected && !connection->disconnected, "a request comes while connected");
  require(connection->server != kNone && connection->has_topics, "a server is asked, by a client with topics");
  const auto request = static_cast<uint32_t>(event[5]);
  const auto length = static_cast<uint32_t>(event[4]);
  const uint8_t* const name = slabs_[static_cast<uint32_t>(event[2])].memory.get() + event[3];
  trace_.add('e', number, "slot # is asked for topic #", {slot, request});
  require(length >= 1 && length <= 255 && naive_utf8(name, length, false), "a topic's name is text");
  if (network_.link(connection->ledger_link).raw || ledger_.stream(connection->ledger_link, 0).spoiled()) {
    engine_->answer_topic(slot, request, 0, "");
    return;
  }
  require(std::string(reinterpret_cast<const char*>(name), length) == topic_of(request), "a topic's name arrives as it was sent");
  require(event[6] == static_cast<int32_t>(opcode_of(request)), "a request is of the kind that was sent");
  engine_->answer_topic(slot, request, code_of(request), reason_of(request));
}

void EngineModel::topic_answered(uint32_t slot, const int32_t* event) {
  Connection* const connection = connections_[slot].get();
  const auto request = static_cast<uint32_t>(event[5]);
  require(connection != nullptr && connection->connected && !connection->disconnected, "an answer comes while connected");
  trace_.add('e', number, "slot # has its answer for topic #", {slot, request});
  // A frame of the other side's overwritten ring may have taken the answers before for its own bytes.
  if (!connection->receiving || ledger_.stream(connection->ledger_link, 0).spoiled()) return;
  require(!connection->topic_requests.empty() && connection->topic_requests.front() == request,
          "answers come once, in the order of the requests");
  connection->topic_requests.pop_front();
  require(event[6] == code_of(request), "an answer has the code that was sent");
  require_equal(static_cast<uint64_t>(event[4]), reason_of(request).size(), "an answer has the reason that was sent");
}

}  // namespace zerio::simulation
