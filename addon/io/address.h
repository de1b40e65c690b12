// A socket address of either family, made from a numeric host and a port.
#pragma once

#include <cstdint>
#include <string>

namespace zerio {

class Address {
 public:
  static constexpr uint32_t kBytesMax = 128;  // sizeof(sockaddr_storage) on every system

  // `host` is numeric: IPv4, or IPv6 with an optional %scope. Returns false when it is neither. Never asks a name server.
  [[nodiscard]] static bool parse(const std::string& host, uint16_t port, Address& out);

  struct Host {
    char text[96] = {};
  };
  [[nodiscard]] Host host() const;
  [[nodiscard]] uint16_t port() const;
  [[nodiscard]] bool is_ipv6() const;

  // For the system calls: the bytes of a sockaddr, and how many of them count.
  [[nodiscard]] uint8_t* data() { return bytes_; }
  [[nodiscard]] const uint8_t* data() const { return bytes_; }
  [[nodiscard]] uint32_t size() const { return size_; }
  void set_size(uint32_t size) { size_ = size; }

 private:
  alignas(8) uint8_t bytes_[kBytesMax] = {};
  uint32_t size_ = 0;
};

}  // namespace zerio
