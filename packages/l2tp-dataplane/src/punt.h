// Which packets from a peer JS answers instead of the network behind us: DHCP, DHCPv6, solicitations.
#pragma once
#include <vector>

#include "parse.h"

namespace dp {

enum class Punt : uint8_t { none, dhcp, dhcpv6, solicitation };

// DHCP to another server than us (a relay behind the peer asks it) and DHCPv6 that is not multicast (RFC 8415 §18.4) are
// transit. `gateway`: our own addresses inside.
Punt punt_kind(const uint8_t* p, const IpHeader& ip, const std::vector<Address>& gateway);

// Octets of the longest packet that goes up: what comes over a link of any usual MTU. Nothing JS answers needs more.
constexpr size_t kMaxPunt = 1500;

// A client that has no address yet may ask from the unspecified one (RFC 2131 §4.1, RFC 4861 §4.1).
inline bool may_be_unspecified(Punt kind) { return kind == Punt::dhcp || kind == Punt::solicitation; }

}  // namespace dp
