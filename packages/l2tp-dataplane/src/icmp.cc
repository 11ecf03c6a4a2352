// ICMP fragmentation needed (RFC 792, RFC 1191 §4) and ICMPv6 packet too big (RFC 4443 §3.2).
#include "icmp.h"

#include <algorithm>

namespace dp {

namespace {

constexpr uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kDestinationOptions = 60;
constexpr int kMaxExtensions = 8;

// RFC 4443 §2.4 (e.1): never about an ICMPv6 error, also not about one behind extension headers. What cannot be followed to
// its upper-layer header gets none either.
bool may_answer_ipv6(const uint8_t* p, const IpHeader& ip) {
  uint8_t next = ip.protocol;
  size_t at = ip.header;
  for (int i = 0; i < kMaxExtensions; i++) {
    if (next == kIcmpv6) return at < ip.length && p[at] >= 128;
    if (next != kHopByHop && next != kRouting && next != kFragment && next != kDestinationOptions) return at < ip.length;
    if (at + 8 > ip.length) return false;
    if (next == kFragment && (get16(p + at + 2) & 0xfff8) != 0) return false;  // not the first: no such header
    const size_t length = next == kFragment ? 8 : (size_t{p[at + 1]} + 1) * 8;
    next = p[at];
    at += length;
  }
  return false;
}

}  // namespace

bool may_answer_with_error(const uint8_t* p, const IpHeader& ip) {
  const Address& from = ip.source;
  if (from.any() || is_multicast(from) || is_multicast(ip.destination) || ip.later) return false;
  if (ip.family == Family::v6) return may_answer_ipv6(p, ip);
  if (from.bytes[0] == 0 || from.bytes[0] == 127 || from.bytes[0] >= 240) return false;
  if (ip.protocol != kIcmp) return true;
  if (ip.length < ip.header + 1) return false;
  const uint8_t type = p[ip.header];
  return type == 0 || type == 8 || (type >= 13 && type <= 18);  // queries and their replies
}

namespace {

size_t frag_needed(const uint8_t* p, const IpHeader& ip, uint16_t mtu, uint8_t* out) {
  const size_t quoted = std::min<size_t>(ip.length, 576 - 28);
  const size_t total = 28 + quoted;
  std::memset(out, 0, 28);
  out[0] = 0x45;
  out[1] = 0xc0;  // internetwork control (RFC 1812 §4.3.2.5)
  put16(out + 2, total);
  out[8] = 64;
  out[9] = kIcmp;
  std::memcpy(out + 12, p + 16, 4);
  std::memcpy(out + 16, p + 12, 4);
  put16(out + 10, checksum(sum(out, 20)));
  out[20] = 3;
  out[21] = 4;
  put16(out + 26, mtu);
  std::memcpy(out + 28, p, quoted);
  put16(out + 22, checksum(sum(out + 20, 8 + quoted)));
  return total;
}

size_t packet_too_big(const uint8_t* p, const IpHeader& ip, uint16_t mtu, uint8_t* out) {
  const size_t quoted = std::min<size_t>(ip.length, kMaxIcmpError - 48);
  std::memset(out, 0, 48);
  out[0] = 0x60;
  put16(out + 4, 8 + quoted);
  out[6] = kIcmpv6;
  out[7] = 64;
  std::memcpy(out + 8, p + 24, 16);
  std::memcpy(out + 24, p + 8, 16);
  out[40] = 2;
  put32(out + 44, mtu);
  std::memcpy(out + 48, p, quoted);
  put16(out + 42, checksum(sum(out + 8, 32, kIcmpv6 + 8 + quoted) + sum(out + 40, 8 + quoted)));
  return 48 + quoted;
}

}  // namespace

size_t too_big_error(const uint8_t* p, const IpHeader& ip, uint16_t mtu, uint8_t* out) {
  return ip.family == Family::v4 ? frag_needed(p, ip, mtu, out) : packet_too_big(p, ip, mtu, out);
}

}  // namespace dp
