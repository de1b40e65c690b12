// Memory that ends where a page without access begins.
#pragma once

#include <cstddef>
#include <cstdint>

// Exactly `size` bytes in front of a page without access.
class Guarded {
 public:
  explicit Guarded(size_t size);
  ~Guarded();
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  [[nodiscard]] uint8_t* data() const { return data_; }

 private:
  uint8_t* base_ = nullptr;
  uint8_t* data_ = nullptr;
  size_t mapped_ = 0;
};
