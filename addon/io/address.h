// The address of a socket: a numeric host of either family and a port, or the path of a Unix domain socket.
#pragma once

#include <cstdint>
#include <string>

namespace zerio {

class Address {
 public:
  static constexpr uint32_t kBytesMax = 128;  // sizeof(sockaddr_storage) on every system

  // What stands before a path.
  static constexpr char kPathPrefix[] = "unix:";

  // `host` is numeric: IPv4, or IPv6 with an optional %scope. Or it is "unix:" and a path, in which a zero byte comes first for a
  // name of Linux' abstract namespace, and nowhere else. Returns false when it is none of them. Never asks a name server.
  [[nodiscard]] static bool parse(const std::string& host, uint16_t port, Address& out);

  struct Host {
    char text[kBytesMax] = {};
  };
  // A path has its prefix, and @ for the zero byte; a socket without a name has the prefix alone.
  [[nodiscard]] Host host() const;
  [[nodiscard]] uint16_t port() const;
  [[nodiscard]] bool is_ipv4() const;
  [[nodiscard]] bool is_ipv6() const;
  [[nodiscard]] bool is_path() const;

  // For the system calls: the bytes of a sockaddr, and how many of them count.
  [[nodiscard]] uint8_t* data() { return bytes_; }
  [[nodiscard]] const uint8_t* data() const { return bytes_; }
  [[nodiscard]] uint32_t size() const { return size_; }
  void set_size(uint32_t size) { size_ = size; }

 private:
  // Each system has its own.
  [[nodiscard]] static bool parse_path(const std::string& path, Address& out);
  [[nodiscard]] Host path_text() const;

  alignas(8) uint8_t bytes_[kBytesMax] = {};
  uint32_t size_ = 0;
};

}  // namespace zerio
