// RFC 2131 §4.1, RFC 4861 §6.1.1, RFC 8415 §7.1, §7.2.
#include "punt.h"

#include <algorithm>

namespace dp {

namespace {
constexpr uint16_t kDhcpServer = 67, kDhcpv6Server = 547;
}

Punt punt_kind(const uint8_t* p, const IpHeader& ip, const std::vector<Address>& gateway) {
  if (is_solicitation(p, ip)) return Punt::solicitation;
  const uint16_t port = udp_destination_port(p, ip);
  if (ip.family == Family::v6) return port == kDhcpv6Server && is_multicast(ip.destination) ? Punt::dhcpv6 : Punt::none;
  if (port != kDhcpServer) return Punt::none;
  const bool ours =
      is_multicast(ip.destination) || std::find(gateway.begin(), gateway.end(), ip.destination) != gateway.end();
  return ours ? Punt::dhcp : Punt::none;
}

}  // namespace dp
