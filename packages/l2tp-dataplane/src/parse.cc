// L2TP, PPP, IP and TCP headers, bounds first. RFC 2661 §3.1, RFC 1661 §2, RFC 791, RFC 8200, RFC 9293.
#include "parse.h"

namespace dp {

namespace {
// RFC 2661 §3.1, first octet.
constexpr uint8_t kT = 0x80, kL = 0x40, kS = 0x08, kO = 0x02;
constexpr size_t kControlHeader = 12;
}  // namespace

L2tpResult parse_l2tp(const uint8_t* p, size_t n, L2tpHeader& out) {
  if (n < 2) return L2tpResult::too_short;
  if ((p[1] & 0x0f) != 2) return L2tpResult::bad_version;
  out.control = (p[0] & kT) != 0;
  if (out.control) {
    if (n < kControlHeader) return L2tpResult::too_short;
    out.begin = 0;
    out.end = n;
    return L2tpResult::ok;
  }
  size_t at = 2;
  out.end = n;
  if (p[0] & kL) {
    if (n < 4) return L2tpResult::too_short;
    // Length is of the whole message; what lies beyond it is not part of the message.
    out.end = get16(p + 2);
    if (out.end > n) return L2tpResult::too_short;
    at = 4;
  }
  if (out.end < at + 4) return L2tpResult::too_short;
  out.tunnel = get16(p + at);
  out.session = get16(p + at + 2);
  at += 4;
  out.sequenced = (p[0] & kS) != 0;
  if (out.sequenced) {
    if (out.end < at + 4) return L2tpResult::too_short;
    out.ns = get16(p + at);  // Nr is reserved (§3.1)
    at += 4;
  }
  if (p[0] & kO) {
    if (out.end < at + 2) return L2tpResult::too_short;
    at += 2 + size_t{get16(p + at)};
  }
  if (at > out.end) return L2tpResult::too_short;
  out.begin = at;
  return L2tpResult::ok;
}

bool parse_ppp(const uint8_t* p, size_t n, uint16_t& protocol, size_t& begin) {
  size_t at = 0;
  if (n >= 2 && p[0] == 0xff && p[1] == 0x03) at = 2;
  if (n < at + 1 || p[at] == 0xff) return false;  // 00ff is never assigned, because of ff03 (RFC 1661 §6.5)
  if (p[at] & 1) {
    protocol = p[at];
    begin = at + 1;
    return true;
  }
  if (n < at + 2) return false;
  protocol = get16(p + at);
  begin = at + 2;
  return true;
}

namespace {

bool parse_ipv4(const uint8_t* p, size_t n, IpHeader& out) {
  if (n < 20) return false;
  out.family = Family::v4;
  out.header = size_t{static_cast<uint8_t>(p[0] & 0x0f)} * 4;
  out.length = get16(p + 2);
  if (out.header < 20 || out.length < out.header || out.length > n) return false;
  out.protocol = p[9];
  const uint16_t fragment = get16(p + 6);
  out.dont_fragment = (fragment & 0x4000) != 0;
  out.later = (fragment & 0x1fff) != 0;
  out.fragment = (fragment & 0x3fff) != 0;
  // No datagram reaches beyond 65535 octets (RFC 791 §3.1): cut again, the end of such a fragment would become a first one.
  if (size_t{static_cast<uint16_t>(fragment & 0x1fff)} * 8 + out.length > 65535) return false;
  out.source = Address::v4(p + 12);
  out.destination = Address::v4(p + 16);
  return true;
}

bool parse_ipv6(const uint8_t* p, size_t n, IpHeader& out) {
  if (n < 40) return false;
  out.family = Family::v6;
  out.header = 40;
  out.length = 40 + size_t{get16(p + 4)};
  if (out.length > n) return false;
  out.protocol = p[6];
  out.dont_fragment = true;  // only the source fragments (RFC 8200 §5)
  out.fragment = out.later = false;
  out.source = Address::v6(p + 8);
  out.destination = Address::v6(p + 24);
  return true;
}

}  // namespace

bool parse_ip(const uint8_t* p, size_t n, IpHeader& out) {
  if (n < 1) return false;
  switch (p[0] >> 4) {
    case 4:
      return parse_ipv4(p, n, out);
    case 6:
      return parse_ipv6(p, n, out);
    default:
      return false;
  }
}

bool is_multicast(const Address& a) {
  if (a.family == Family::v6) return a.bytes[0] == 0xff;
  return (a.bytes[0] & 0xf0) == 0xe0 || get32(a.bytes.data()) == 0xffffffff;
}

uint16_t udp_destination_port(const uint8_t* p, const IpHeader& ip) {
  if (ip.protocol != kUdp || ip.fragment || ip.length < ip.header + 8) return 0;
  return get16(p + ip.header + 2);
}

bool is_small(const uint8_t* p, size_t n) {
  constexpr size_t kSmall = 256;
  IpHeader ip;
  if (n > kSmall || !parse_ip(p, n, ip) || ip.fragment) return false;
  if (ip.protocol != kTcp) return true;
  if (ip.length < ip.header + 20) return false;
  const size_t header = size_t{static_cast<uint8_t>(p[ip.header + 12] >> 4)} * 4;
  return ip.header + header == ip.length && (p[ip.header + 13] & 0x17) == 0x10;  // ACK without SYN, FIN, RST
}

bool is_solicitation(const uint8_t* p, const IpHeader& ip) {
  if (ip.family != Family::v6 || ip.protocol != kIcmpv6 || ip.length < 48 || p[7] != 255) return false;
  return p[40] == 133 || p[40] == 135;
}

bool clamp_mss(uint8_t* p, const IpHeader& ip, uint16_t mss) {
  if (ip.protocol != kTcp || ip.later || ip.length < ip.header + 20) return false;
  uint8_t* tcp = p + ip.header;
  const size_t options_end = size_t{static_cast<uint8_t>(tcp[12] >> 4)} * 4;
  if ((tcp[13] & 0x02) == 0 || options_end < 20 || ip.header + options_end > ip.length) return false;
  for (size_t at = 20; at < options_end;) {
    const uint8_t kind = tcp[at];
    if (kind == 0) break;
    if (kind == 1) {
      at++;
      continue;
    }
    if (at + 2 > options_end) break;
    const size_t length = tcp[at + 1];
    if (length < 2 || at + length > options_end) break;
    if (kind == 2 && length == 4) {
      const uint16_t asked = get16(tcp + at + 2);
      if (asked <= mss) return false;
      put16(tcp + at + 2, mss);
      update_checksum(tcp + 16, asked, mss, (at & 1) != 0);
      return true;
    }
    at += length;
  }
  return false;
}

uint64_t pseudo_header(const uint8_t* p, const IpHeader& ip, uint8_t protocol, size_t length) {
  const uint64_t addresses = ip.family == Family::v4 ? sum(p + 12, 8) : sum(p + 8, 32);
  return addresses + protocol + length;
}

}  // namespace dp
