// Values that JavaScript passes to the engine and gets from it, over Node-API.
//
// While a thread is being terminated, any call of Node-API may fail. Values that are read are empty then, and those that are made
// are nullptr, which no JavaScript can see any more. (node-addon-api ends the process in that case.)
#pragma once

#include <node_api.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace zerio {

// An argument or a property. A missing one, or one of another type, reads as 0, false or empty.
class Value {
 public:
  Value(napi_env env, napi_value value) : env_(env), value_(value) {}

  [[nodiscard]] napi_value raw() const { return value_; }

  [[nodiscard]] Value get(const char* name) const {
    napi_value found = nullptr;
    (void)napi_get_named_property(env_, value_, name, &found);
    return {env_, found};
  }

  [[nodiscard]] uint32_t number(uint32_t otherwise = 0) const {
    uint32_t found = 0;
    return napi_get_value_uint32(env_, value_, &found) == napi_ok ? found : otherwise;
  }

  [[nodiscard]] bool is_number() const { return type() == napi_number; }
  [[nodiscard]] bool is_text() const { return type() == napi_string; }

  [[nodiscard]] bool flag() const {
    bool found = false;
    return napi_get_value_bool(env_, value_, &found) == napi_ok && found;
  }

  [[nodiscard]] std::string text() const {
    size_t size = 0;
    if (napi_get_value_string_utf8(env_, value_, nullptr, 0, &size) != napi_ok) return {};
    std::string found(size, '\0');
    return napi_get_value_string_utf8(env_, value_, found.data(), size + 1, &size) == napi_ok ? found : std::string();
  }

  // The memory of a Uint8Array.
  [[nodiscard]] std::span<uint8_t> bytes() const { return elements<uint8_t>(napi_uint8_array); }
  // The memory of an Int32Array.
  [[nodiscard]] std::span<int32_t> integers() const { return elements<int32_t>(napi_int32_array); }
  // The memory of a Float64Array.
  [[nodiscard]] std::span<double> doubles() const { return elements<double>(napi_float64_array); }

  // Keeps an object for as long as the thread lives.
  void keep() const {
    napi_ref kept = nullptr;
    (void)napi_create_reference(env_, value_, 1, &kept);
  }

 private:
  [[nodiscard]] napi_valuetype type() const {
    napi_valuetype found = napi_undefined;
    (void)napi_typeof(env_, value_, &found);
    return found;
  }

  template <class Element>
  [[nodiscard]] std::span<Element> elements(napi_typedarray_type wanted) const {
    napi_typedarray_type type = napi_int8_array;
    size_t count = 0;
    void* found = nullptr;
    const bool read = napi_get_typedarray_info(env_, value_, &type, &count, &found, nullptr, nullptr) == napi_ok;
    if (!read || type != wanted) return {};
    return {static_cast<Element*>(found), count};
  }

  napi_env env_;
  napi_value value_;
};

// A call from JavaScript: its arguments, and the data that the function was made with.
class Call {
 public:
  static constexpr size_t kArgumentsMax = 6;

  // Reads `count` arguments; the others are missing.
  Call(napi_env env, napi_callback_info info, size_t count = kArgumentsMax) : env_(env) {
    (void)napi_get_cb_info(env, info, &count, values_, nullptr, &data_);
  }

  [[nodiscard]] napi_env env() const { return env_; }
  [[nodiscard]] void* data() const { return data_; }
  [[nodiscard]] Value operator[](size_t index) const { return {env_, values_[index]}; }

  [[nodiscard]] napi_value flag(bool value) const {
    napi_value made = nullptr;
    (void)napi_get_boolean(env_, value, &made);
    return made;
  }

  [[nodiscard]] napi_value number(double value) const {
    napi_value made = nullptr;
    (void)napi_create_double(env_, value, &made);
    return made;
  }

 private:
  napi_env env_;
  napi_value values_[kArgumentsMax] = {};
  void* data_ = nullptr;
};

// An object for JavaScript.
class Object {
 public:
  explicit Object(napi_env env) : env_(env) { (void)napi_create_object(env, &object_); }
  Object(napi_env env, napi_value object) : env_(env), object_(object) {}

  [[nodiscard]] napi_value raw() const { return object_; }

  void set(const char* name, napi_value value) { (void)napi_set_named_property(env_, object_, name, value); }
  void set(const char* name, double number) {
    napi_value made = nullptr;
    if (napi_create_double(env_, number, &made) == napi_ok) set(name, made);
  }
  void set(const char* name, std::string_view text) {
    napi_value made = nullptr;
    if (napi_create_string_utf8(env_, text.data(), text.size(), &made) == napi_ok) set(name, made);
  }
  void set(const char* name, napi_callback function, void* data) {
    napi_value made = nullptr;
    if (napi_create_function(env_, name, NAPI_AUTO_LENGTH, function, data, &made) == napi_ok) set(name, made);
  }

 private:
  napi_env env_;
  napi_value object_ = nullptr;
};

}  // namespace zerio
