// Addresses, prefixes and the path a session's packets must take (RFC 3193 §3.3).
#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace dp {

enum class Family : uint8_t { v4 = 4, v6 = 6 };

// The octets beyond an IPv4 address's four are always zero, so equality is one comparison.
struct Address {
  Family family = Family::v4;
  std::array<uint8_t, 16> bytes{};

  static Address v4(const uint8_t* p) {
    Address a;
    std::memcpy(a.bytes.data(), p, 4);
    return a;
  }
  static Address v6(const uint8_t* p) {
    Address a;
    a.family = Family::v6;
    std::memcpy(a.bytes.data(), p, 16);
    return a;
  }
  bool operator==(const Address& o) const { return family == o.family && bytes == o.bytes; }
  bool operator!=(const Address& o) const { return !(*this == o); }
  bool any() const { return bytes == std::array<uint8_t, 16>{}; }
  unsigned bits() const { return family == Family::v4 ? 32 : 128; }
  // The first `length` bits, the rest zero.
  Address masked(unsigned length) const;
};

// `address` has no bit set beyond `length`.
struct Prefix {
  Address address;
  uint8_t length = 0;

  bool contains(const Address& a) const { return a.family == address.family && a.masked(length) == address; }
  bool operator==(const Prefix& o) const { return length == o.length && address == o.address; }
};

// Where a datagram came from or goes to.
struct Path {
  uint32_t mark = 0;
  Address local;
  Address remote;
  uint16_t port = 0;

  bool operator==(const Path& o) const {
    return mark == o.mark && port == o.port && remote == o.remote && local == o.local;
  }
  bool operator!=(const Path& o) const { return !(*this == o); }
};

bool parse_address(const std::string& text, Address& out);
// `address/length`, or a bare address for all its bits. Host bits are cleared.
bool parse_prefix(const std::string& text, Prefix& out);
// IPv6 in the RFC 5952 form.
std::string to_text(const Address& address);

}  // namespace dp
