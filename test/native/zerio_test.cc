// Framing, handshakes, the send ring and the learned times of spinning without sockets, for test/wire/framing_alone.test.mjs,
// test/wire/handshake_alone.test.mjs, test/engine/send_ring_alone.test.mjs and test/engine/spin_window_alone.test.mjs. Input and
// assembly buffers end where a page without access begins, so that a read or write beyond them ends the process.
#include <napi.h>
#ifdef __linux__
#include <sys/socket.h>
#endif

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

#include "../../addon/binding/spin_window.h"
#include "../../addon/engine/framing.h"
#include "../../addon/engine/handshake.h"
#include "../../addon/engine/id_table.h"
#include "../../addon/engine/send_ring.h"
#include "guarded.h"

namespace {

uint32_t number(const Napi::CallbackInfo& info, size_t index) {
  return info[index].IsNumber() ? info[index].As<Napi::Number>().Uint32Value() : 0;
}

std::string_view text(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsTypedArray()) return {};
  auto bytes = info[index].As<Napi::Uint8Array>();
  return {reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength()};
}

std::unique_ptr<Guarded> guard(std::string_view bytes) {
  auto guarded = std::make_unique<Guarded>(bytes.size());
  if (!bytes.empty()) std::memcpy(guarded->data(), bytes.data(), bytes.size());
  return guarded;
}

Napi::Value buffer_of(Napi::Env env, std::string_view bytes) {
  const napi_value made = Napi::Buffer<char>::Copy(env, bytes.data(), bytes.size());
  return {env, made};
}

// new Reader(lengthMax, runs, classic)
class Reader : public Napi::ObjectWrap<Reader> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Reader",
                       {InstanceMethod<&Reader::feed>("feed"), InstanceMethod<&Reader::mid_frame>("midFrame"),
                        InstanceMethod<&Reader::set_length_max>("setLengthMax")});
  }

  explicit Reader(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<Reader>(info),
        reader_(number(info, 0)),
        assembly_(zerio::kHeaderBytes + std::max(number(info, 0), zerio::kControlLengthMax)),
        runs_(info[1].ToBoolean()) {
    if (info[2].ToBoolean()) reader_.set_classic();
  }

 private:
  struct Sink {
    Reader& owner;
    Napi::Env env;
    Napi::Array frames;
    std::string_view input;
    bool stray = false;

    [[nodiscard]] bool runs() const { return owner.runs_; }

    bool on_run(const uint8_t* first, size_t bytes, uint32_t count) {
      check(first, bytes);
      // Walked as src/engine/dispatch.ts does.
      uint32_t walked = 0;
      for (size_t at = 0; at + zerio::kHeaderBytes <= bytes; ++walked) {
        const auto header = zerio::load<uint32_t>(first + at);
        add(header, first + at + zerio::kHeaderBytes, false);
        at += zerio::kHeaderBytes + zerio::frame_length(header);
      }
      if (walked != count) stray = true;
      return true;
    }

    bool on_frame(uint32_t header, uint8_t* payload, bool assembled) {
      if (assembled) {
        if (payload != owner.assembly_.data() + zerio::kHeaderBytes) stray = true;
        owner.assembling_ = false;
      } else {
        check(payload, zerio::frame_length(header));
      }
      // A program that reads frames itself finds each message behind its header.
      if (!zerio::frame_is_control(header) && zerio::load<uint32_t>(payload - zerio::kHeaderBytes) != header) stray = true;
      add(header, payload, assembled);
      return true;
    }

    uint8_t* assembly() {
      if (owner.assembling_) stray = true;
      owner.assembling_ = true;
      return owner.assembly_.data();
    }

    void check(const uint8_t* at, size_t bytes) {
      const auto* begin = reinterpret_cast<const uint8_t*>(input.data());
      if (at < begin || at + bytes > begin + input.size()) stray = true;
    }

    void add(uint32_t header, const uint8_t* payload, bool assembled) {
      Napi::Object frame = Napi::Object::New(env);
      frame.Set("header", header);
      frame.Set("payload", buffer_of(env, {reinterpret_cast<const char*>(payload), zerio::frame_length(header)}));
      frame.Set("assembled", assembled);
      frames.Set(frames.Length(), frame);
    }
  };

  // feed(bytes): { result: 'ok' | 'stopped' | 'too long', frames, stray }
  Napi::Value feed(const Napi::CallbackInfo& info) {
    const std::string_view given = text(info, 0);
    const auto input = guard(given);
    const std::string_view bytes(reinterpret_cast<const char*>(input->data()), given.size());
    Sink sink = {*this, info.Env(), Napi::Array::New(info.Env()), bytes};
    const zerio::ReadResult result = reader_.read(input->data(), given.size(), sink);
    Napi::Object answer = Napi::Object::New(info.Env());
    const char* const names[] = {"ok", "stopped", "too long"};
    answer.Set("result", names[static_cast<size_t>(result)]);
    answer.Set("frames", sink.frames);
    answer.Set("stray", sink.stray);
    return answer;
  }

  Napi::Value mid_frame(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), reader_.mid_frame()); }

  void set_length_max(const Napi::CallbackInfo& info) { reader_.set_length_max(number(info, 0)); }

  zerio::FrameReader reader_;
  Guarded assembly_;
  bool runs_;
  bool assembling_ = false;
};

// new Ring(memory, ringOffset, capacity, wordsOffset)
class Ring : public Napi::ObjectWrap<Ring> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Ring",
                       {InstanceMethod<&Ring::pending>("pending"), InstanceMethod<&Ring::advance>("advance"),
                        InstanceMethod<&Ring::tail>("tail"), InstanceMethod<&Ring::head>("head"),
                        InstanceMethod<&Ring::empty>("empty"), InstanceMethod<&Ring::drained>("drained"),
                        InstanceMethod<&Ring::discard>("discard"), InstanceMethod<&Ring::reset>("reset")});
  }

  explicit Ring(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Ring>(info) {
    auto memory = info[0].As<Napi::Uint8Array>();
    memory_ = Napi::Persistent(info[0].As<Napi::Object>());
    base_ = memory.Data();
    ring_ = zerio::SendRing(base_ + number(info, 1), number(info, 2), reinterpret_cast<int32_t*>(base_ + number(info, 3)));
    ring_.reset();
  }

 private:
  // pending(end): { corrupt, slices: [offset in memory, size, …] }
  Napi::Value pending(const Napi::CallbackInfo& info) {
    const zerio::SendRing::Pending found = ring_.pending(number(info, 0));
    Napi::Object answer = Napi::Object::New(info.Env());
    Napi::Array slices = Napi::Array::New(info.Env());
    for (uint32_t i = 0; i < found.count; ++i) {
      slices.Set(2 * i, static_cast<double>(found.slices[i].data - base_));
      slices.Set(2 * i + 1, static_cast<double>(found.slices[i].size));
    }
    answer.Set("corrupt", found.corrupt);
    answer.Set("slices", slices);
    return answer;
  }
  void advance(const Napi::CallbackInfo& info) { ring_.advance(number(info, 0), number(info, 1)); }
  void discard(const Napi::CallbackInfo& info) { ring_.discard(); }
  void reset(const Napi::CallbackInfo& info) { ring_.reset(); }
  Napi::Value tail(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), ring_.tail()); }
  Napi::Value head(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), ring_.head()); }
  Napi::Value empty(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), ring_.empty()); }
  Napi::Value drained(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), ring_.drained()); }

  Napi::ObjectReference memory_;
  uint8_t* base_ = nullptr;
  zerio::SendRing ring_;
};

// readGreeting(payload): { code, lengthMax, id, credential }; id and credential only when the code is 0.
Napi::Value read_greeting(const Napi::CallbackInfo& info) {
  const std::string_view given = text(info, 0);
  const auto input = guard(given);
  zerio::Greeting greeting;
  const zerio::Code code = zerio::read_greeting(input->data(), static_cast<uint32_t>(given.size()), greeting);
  Napi::Object answer = Napi::Object::New(info.Env());
  answer.Set("code", static_cast<uint32_t>(code));
  if (code != zerio::Code::None) return answer;
  answer.Set("lengthMax", greeting.length_max);
  answer.Set("id", buffer_of(info.Env(), greeting.id));
  answer.Set("credential", buffer_of(info.Env(), greeting.credential));
  return answer;
}

// readFarewell(payload): { code, number, reason }; the latter two only when the code is 0.
Napi::Value read_farewell(const Napi::CallbackInfo& info) {
  const std::string_view given = text(info, 0);
  const auto input = guard(given);
  zerio::Farewell farewell;
  const zerio::Code code = zerio::read_farewell(input->data(), static_cast<uint32_t>(given.size()), farewell);
  Napi::Object answer = Napi::Object::New(info.Env());
  answer.Set("code", static_cast<uint32_t>(code));
  if (code != zerio::Code::None) return answer;
  answer.Set("number", static_cast<uint32_t>(farewell.code));
  answer.Set("reason", buffer_of(info.Env(), farewell.reason));
  return answer;
}

// writeGreeting(opcode, lengthMax, id, credential): the frame
Napi::Value write_greeting(const Napi::CallbackInfo& info) {
  const Guarded out(zerio::kControlFrameBytesMax);
  const uint32_t size = zerio::write_greeting(out.data(), static_cast<zerio::Opcode>(number(info, 0)),
                                              {number(info, 1), text(info, 2), text(info, 3)});
  return buffer_of(info.Env(), {reinterpret_cast<const char*>(out.data()), size});
}

// writeFarewell(opcode, code, reason): the frame
Napi::Value write_farewell(const Napi::CallbackInfo& info) {
  const Guarded out(zerio::kControlFrameBytesMax);
  const uint32_t size = zerio::write_farewell(out.data(), static_cast<zerio::Opcode>(number(info, 0)),
                                              {static_cast<uint16_t>(number(info, 1)), text(info, 2)});
  return buffer_of(info.Env(), {reinterpret_cast<const char*>(out.data()), size});
}

template <bool (*Check)(std::string_view)>
Napi::Value check(const Napi::CallbackInfo& info) {
  const std::string_view given = text(info, 0);
  const auto input = guard(given);
  return Napi::Boolean::New(info.Env(), Check({reinterpret_cast<const char*>(input->data()), given.size()}));
}

#ifdef __linux__
// socketOption(fd, level, name): an integer, or undefined where there is none.
Napi::Value socket_option(const Napi::CallbackInfo& info) {
  int value = 0;
  socklen_t size = sizeof value;
  const int refused = ::getsockopt(static_cast<int>(number(info, 0)), static_cast<int>(number(info, 1)),
                                   static_cast<int>(number(info, 2)), &value, &size);
  return refused == 0 ? Napi::Number::New(info.Env(), value) : info.Env().Undefined();
}
#endif
// sipHash(low half of the key, high half, bytes, compressions): with 1 or 2 rounds for each word, as a BigInt
Napi::Value sip_hash(const Napi::CallbackInfo& info) {
  bool lossless = true;
  const zerio::SipKey key = {info[0].As<Napi::BigInt>().Uint64Value(&lossless),
                             info[1].As<Napi::BigInt>().Uint64Value(&lossless)};
  const std::string_view given = text(info, 2);
  const auto input = guard(given);
  const std::string_view bytes(reinterpret_cast<const char*>(input->data()), given.size());
  const uint64_t hash = number(info, 3) == 1 ? zerio::sip_hash(key, bytes) : zerio::sip_hash<2, 4>(key, bytes);
  return Napi::BigInt::New(info.Env(), hash);
}

// mostInOneBucket(ids): how many of these ids one look-up may have to compare
Napi::Value most_in_one_bucket(const Napi::CallbackInfo& info) {
  zerio::IdTable table(0, zerio::IdHash{zerio::SipKey::random()});
  const auto ids = info[0].As<Napi::Array>();
  for (uint32_t i = 0; i < ids.Length(); ++i) {
    const Napi::Value id = ids[i];
    table.emplace(id.As<Napi::String>().Utf8Value(), i);
  }
  size_t most = 0;
  for (size_t bucket = 0; bucket < table.bucket_count(); ++bucket) most = std::max(most, table.bucket_size(bucket));
  return Napi::Number::New(info.Env(), static_cast<double>(most));
}

// new SpinWindow(worthUs). Times are whole microseconds.
class SpinWindow : public Napi::ObjectWrap<SpinWindow> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "SpinWindow",
                       {InstanceMethod<&SpinWindow::on_event>("onEvent"), InstanceMethod<&SpinWindow::on_sent>("onSent"),
                        InstanceMethod<&SpinWindow::on_woken>("onWoken"), InstanceMethod<&SpinWindow::sleep_fails>("sleepFails"),
                        InstanceMethod<&SpinWindow::contains>("contains"), InstanceMethod<&SpinWindow::begins>("begins")});
  }

  explicit SpinWindow(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<SpinWindow>(info), window_(zerio::SpinWindow::learned(time(info))) {}

 private:
  static uint64_t time(const Napi::CallbackInfo& info) { return uint64_t{number(info, 0)} * 1000; }

  void on_event(const Napi::CallbackInfo& info) { window_.on_event(time(info), info[1].ToBoolean()); }
  void on_sent(const Napi::CallbackInfo& info) { window_.on_sent(time(info)); }
  void on_woken(const Napi::CallbackInfo& info) { window_.on_woken(time(info)); }
  void sleep_fails(const Napi::CallbackInfo& /*info*/) { window_.sleep_fails(); }
  Napi::Value contains(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), window_.contains(time(info))); }
  // In microseconds; -1 for never.
  Napi::Value begins(const Napi::CallbackInfo& info) {
    const uint64_t at = window_.begins_ns(time(info));
    return Napi::Number::New(info.Env(), at == zerio::SpinWindow::kNever ? -1.0 : static_cast<double>(at) / 1000);
  }

  zerio::SpinWindow window_;
};

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  exports.Set("Reader", Reader::define(env));
  exports.Set("Ring", Ring::define(env));
  exports.Set("SpinWindow", SpinWindow::define(env));
  exports.Set("readGreeting", Napi::Function::New<read_greeting>(env));
  exports.Set("readFarewell", Napi::Function::New<read_farewell>(env));
  exports.Set("writeGreeting", Napi::Function::New<write_greeting>(env));
  exports.Set("writeFarewell", Napi::Function::New<write_farewell>(env));
  exports.Set("sipHash", Napi::Function::New<sip_hash>(env));
  exports.Set("mostInOneBucket", Napi::Function::New<most_in_one_bucket>(env));
  exports.Set("isUtf8", Napi::Function::New<check<zerio::is_utf8>>(env));
  exports.Set("isNativeId", Napi::Function::New<check<zerio::is_native_id>>(env));
  exports.Set("isClassicId", Napi::Function::New<check<zerio::is_classic_id>>(env));
#ifdef __linux__
  exports.Set("socketOption", Napi::Function::New<socket_option>(env));
#endif
  return exports;
}

}  // namespace

NODE_API_MODULE(zerio_test, initialise)
