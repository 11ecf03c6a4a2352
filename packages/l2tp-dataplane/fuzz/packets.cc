// Everything the network and the TUN device can hand to the packet code, one at a time. First octet of the
// input: bit 0 datagram or TUN packet, bit 1 with virtio_net_hdr, bits 2.. state of the session. World checks what comes out.
#include "../test/native/world.h"
#include "targets.h"

using namespace dp;

void fuzz_packets(const uint8_t* input, size_t size) {
  if (size < 1) return;
  const uint8_t mode = input[0];
  static World* world = nullptr;
  static Session* session = nullptr;
  if (world == nullptr) {
    world = new World;
    world->forwarder.marks.confirm(1);
    world->forwarder.marks.confirm(2);
    session = world->add({1, 2}, path_of(1), {"10.9.0.0/16", "fd09::/64", "fe80::2/128"});
  }
  World& w = *world;
  session->open = (mode & 4) == 0;
  session->acfc = (mode & 8) != 0;
  session->sequence.on = (mode & 24) == 24;
  session->length_bit = (mode & 16) == 0;
  session->mtu = (mode & 32) ? 68 : (mode & 64) ? 600 : 1400;
  w.tun.clear();
  w.vnets.clear();
  w.forwarder.coalesces = (mode & 2) != 0;
  w.sent.clear();
  w.ups.clear();
  w.now += 50;
  const Bytes data(input + 1, input + size);
  if ((mode & 1) == 0) {
    w.datagram({}, path_of((mode & 128) ? 2 : 1), data);
    CHECK(w.tun.size() + w.sent.size() + w.ups.size() <= 1);
    CHECK(w.sent.empty());  // nothing a peer sends is answered here
    return;
  }
  if ((mode & 2) == 0) {
    w.from_tun(nullptr, data);
  } else if (data.size() > kVnetHeader) {
    VnetHeader v;
    std::memcpy(&v, data.data(), sizeof v);
    w.from_tun(&v, Bytes(data.begin() + kVnetHeader, data.end()));
  }
  CHECK(w.ups.empty());
}
