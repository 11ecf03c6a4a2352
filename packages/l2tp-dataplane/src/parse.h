// What the packet thread reads of a datagram: L2TP header (RFC 2661 §3.1), PPP header (RFC 1661 §2, RFC 1662 §3.1),
// IP and TCP. Every function looks at the length before it touches an octet; none keeps a pointer.
#pragma once
#include "address.h"
#include "bytes.h"

namespace dp {

constexpr uint16_t kPppIpv4 = 0x0021;
constexpr uint16_t kPppIpv6 = 0x0057;
constexpr uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kIcmpv6 = 58;

struct L2tpHeader {
  bool control = false;
  uint16_t tunnel = 0;
  uint16_t session = 0;
  bool sequenced = false;  // S: `ns` is the message's number (§5.4)
  uint16_t ns = 0;
  // The payload is [begin, end) of the datagram; `end` comes from the Length field when there is one.
  size_t begin = 0;
  size_t end = 0;
};
enum class L2tpResult { ok, too_short, bad_version };

// Control messages are only recognised (their payload is the whole datagram): the control machine reads them.
L2tpResult parse_l2tp(const uint8_t* p, size_t n, L2tpHeader& out);

// Tolerates a missing ff03 and a one-octet protocol field whether negotiated or not (RFC 1661 §6.5, §6.6).
// `begin` is where the information field starts. False: no protocol field there.
bool parse_ppp(const uint8_t* p, size_t n, uint16_t& protocol, size_t& begin);

struct IpHeader {
  Family family = Family::v4;
  size_t header = 0;  // octets, IPv4 options included; IPv6 extension headers are not
  size_t length = 0;  // of the whole packet, by its own word; never beyond what was received
  uint8_t protocol = 0;
  bool dont_fragment = false;
  bool fragment = false;  // a fragment, first or later (IPv4)
  bool later = false;     // not the first one: no transport header
  Address source;
  Address destination;
};

bool parse_ip(const uint8_t* p, size_t n, IpHeader& out);

bool is_multicast(const Address& a);  // 255.255.255.255 included

// The destination port, or 0 when the packet is not UDP, is a fragment, or has no room for the UDP header.
uint16_t udp_destination_port(const uint8_t* p, const IpHeader& ip);

// At most 256 octets and no data of a TCP connection: what its others wait for, like acknowledgments, names and voice.
bool is_small(const uint8_t* p, size_t n);

// RFC 4861 §6.1.1, §7.1.1: for a router or a neighbour (types 133, 135), with hop limit 255.
bool is_solicitation(const uint8_t* p, const IpHeader& ip);

// Lowers the MSS option of a TCP SYN to `mss` and repairs the checksum (RFC 9293 §3.7.1). True when it changed.
bool clamp_mss(uint8_t* p, const IpHeader& ip, uint16_t mss);

// The sum of the pseudo header for `length` octets of transport header and data (RFC 9293 §3.1, RFC 8200 §8.1).
uint64_t pseudo_header(const uint8_t* p, const IpHeader& ip, uint8_t protocol, size_t length);

}  // namespace dp
