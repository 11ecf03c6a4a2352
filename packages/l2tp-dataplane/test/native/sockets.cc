// The options of a socket that is open: UDP checksums and the outer DF bit. Needs no privileges.
#include <netinet/in.h>

#include "../../src/socket.h"
#include "check.h"

using namespace dp;

namespace {

int option(int fd, int level, int name) {
  int value = -1;
  socklen_t n = sizeof value;
  CHECK(getsockopt(fd, level, name, &value, &n) == 0);
  return value;
}

void open_at(const char* address, Socket& socket) {
  ListenSpec spec;
  CHECK(parse_address(address, spec.address));
  spec.port = 0;
  spec.policy.raw = true;
  spec.interface = "lo";
  spec.receive_buffer = 65536;
  const Failure failure = socket.open(spec);
  if (failure) std::fprintf(stderr, "%s: %d\n", failure.call, failure.error);
  CHECK(!failure);
}

// RFC 2661 §8.1 MUST: for control and data; a socket is for both.
void checksums() {
  Socket v4, v6;
  open_at("127.0.0.1", v4);
  EQ(option(v4.fd(), SOL_SOCKET, SO_NO_CHECK), 0);
  open_at("::1", v6);
  EQ(option(v6.fd(), SOL_SOCKET, SO_NO_CHECK), 0);
  constexpr int kNoCheck6Tx = 101;  // UDP_NO_CHECK6_TX
  EQ(option(v6.fd(), IPPROTO_UDP, kNoCheck6Tx), 0);
}

void dont_fragment() {
  Socket v4, v6;
  open_at("127.0.0.1", v4);
  open_at("::1", v6);
  const auto is = [&](int want4, int want6) {
    EQ(option(v4.fd(), IPPROTO_IP, IP_MTU_DISCOVER), want4);
    EQ(option(v6.fd(), IPPROTO_IPV6, IPV6_MTU_DISCOVER), want6);
  };
  is(IP_PMTUDISC_DONT, IPV6_PMTUDISC_DONT);
  EQ(set_dont_fragment(v4.fd(), Family::v4, true), 0);
  EQ(set_dont_fragment(v6.fd(), Family::v6, true), 0);
  is(IP_PMTUDISC_PROBE, IPV6_PMTUDISC_PROBE);
  EQ(set_dont_fragment(v4.fd(), Family::v4, false), 0);
  EQ(set_dont_fragment(v6.fd(), Family::v6, false), 0);
  is(IP_PMTUDISC_DONT, IPV6_PMTUDISC_DONT);
}

}  // namespace

int main() { cases({{"UDP checksums", checksums}, {"the outer DF bit", dont_fragment}}); }
