// A listener without IPsec on the loopback device, for a peer that is there, too.
#pragma once
#include "../../src/socket.h"
#include "check.h"

namespace dp {

inline ListenSpec loopback_listener() {
  ListenSpec spec;
  CHECK(parse_address("127.0.0.1", spec.address));
  spec.interface = "lo";
  spec.policy.raw = true;
  spec.policy.peers.resize(1);
  CHECK(parse_prefix("127.0.0.2", spec.policy.peers[0]));
  return spec;
}

}  // namespace dp
