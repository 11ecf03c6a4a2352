// The two ICMP errors of a router that cannot fit a packet: RFC 792 with RFC 1191 §4, RFC 4443 §3.2.
#pragma once
#include "parse.h"

namespace dp {

constexpr size_t kMaxIcmpError = 1280;  // RFC 4443 §2.4 (c); the IPv4 one stays within 576 (RFC 1812 §4.3.2.3)

// Whether RFC 1122 §3.2.2 / RFC 4443 §2.4 (e) allow an error about this packet at all.
bool may_answer_with_error(const uint8_t* p, const IpHeader& ip);

// Writes "fragmentation needed" or "packet too big" for the packet to `out` (kMaxIcmpError octets) and returns its
// length. Its source is the packet's destination: the gateway's own address would be a martian on the TUN device.
size_t too_big_error(const uint8_t* p, const IpHeader& ip, uint16_t mtu, uint8_t* out);

}  // namespace dp
