// Addresses and prefixes from and to text: RFC 5952 for IPv6.
#include "address.h"

#include <arpa/inet.h>

namespace dp {

Address Address::masked(unsigned length) const {
  Address a = *this;
  const unsigned whole = length / 8;
  for (unsigned i = whole; i < 16; i++) a.bytes[i] = 0;
  if (length % 8 != 0 && whole < 16) a.bytes[whole] = static_cast<uint8_t>(bytes[whole] & (0xff00 >> (length % 8)));
  return a;
}

bool parse_address(const std::string& text, Address& out) {
  Address a;
  a.family = text.find(':') == std::string::npos ? Family::v4 : Family::v6;
  if (inet_pton(a.family == Family::v4 ? AF_INET : AF_INET6, text.c_str(), a.bytes.data()) != 1) return false;
  out = a;
  return true;
}

bool parse_prefix(const std::string& text, Prefix& out) {
  const size_t slash = text.find('/');
  Address address;
  if (!parse_address(text.substr(0, slash), address)) return false;
  unsigned length = address.bits();
  if (slash != std::string::npos) {
    const std::string digits = text.substr(slash + 1);
    if (digits.empty() || digits.size() > 3 || digits.find_first_not_of("0123456789") != std::string::npos) return false;
    length = static_cast<unsigned>(std::stoul(digits));
    if (length > address.bits()) return false;
  }
  out = Prefix{address.masked(length), static_cast<uint8_t>(length)};
  return true;
}

std::string to_text(const Address& address) {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(address.family == Family::v4 ? AF_INET : AF_INET6, address.bytes.data(), text, sizeof text);
  return text;
}

}  // namespace dp
