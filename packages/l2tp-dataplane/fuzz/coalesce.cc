// The coalescer against the model: what goes in comes out again once the device has cut it, in the order of each flow.
// The input is a list of packets, eight octets each, that a few flows send; most of them can be merged.
#include <map>

#include "../test/native/model.h"
#include "../test/native/world.h"
#include "targets.h"

using namespace dp;

namespace {

struct Sender {
  uint32_t sequence = 0xffffe000;
  uint16_t id = 0xfff0;
};

// o[0] flow, family, protocol; o[1] flags; o[2..3] payload; o[4] what is unlike the packet before; o[5] with what.
Bytes packet_of(const uint8_t* o, std::map<uint8_t, Sender>& senders) {
  static const size_t kSizes[] = {0, 1, 7, 100, 536, 1000, 1348, 1460};
  const bool v6 = (o[0] & 1) != 0, tcp = (o[0] & 2) == 0;
  Sender& sender = senders[o[0] & 0x1f];
  const size_t n = (o[2] & 0x80) ? kSizes[o[2] & 7] : static_cast<size_t>(o[2] << 8 | o[3]) % 1460;
  Bytes p = v6 ? hex("60000000 0000 00 40 fd090000000000000000000000000002 fd000000000000000000000000000001")
               : hex("45000000 0000 4000 40 00 0000 0a090002 0a090001");
  p[v6 ? 6 : 9] = tcp ? kTcp : kUdp;
  if (!v6 && (o[0] & 0x20)) p[6] = 0;  // without DF
  p[p.size() - 1] = static_cast<uint8_t>(o[0] >> 2 & 1);
  if (!v6 && (o[4] & 15) == 1) {
    p[0] = 0x46;
    for (const uint8_t x : {1, 1, 1, 0}) p.push_back(x);
  }
  const size_t transport = p.size();
  Bytes t = tcp ? hex("9c40 0050 00000000 00000001 5010 ffff 0000 0000") : hex("1388 1770 0000 0000");
  t[1] = static_cast<uint8_t>(o[0] >> 3 & 3);
  if (tcp) {
    put32(&t[4], sender.sequence);
    if (o[1] & 0x40) {  // timestamps
      for (const uint8_t x : {1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, int(o[7] & 1)}) t.push_back(static_cast<uint8_t>(x));
      t[12] = 0x80;
    }
    if (o[1] & 0x80) t[13] = static_cast<uint8_t>(0x10 ^ o[1] << 1 ^ (o[1] & 1));
  }
  p.insert(p.end(), t.begin(), t.end());
  for (size_t i = 0; i < n; i++) p.push_back(static_cast<uint8_t>(i * 31 + o[6]));
  switch (o[4] & 15) {
    case 2: p[1] = o[5]; break;                                       // TOS, traffic class
    case 3: p[v6 ? 7 : 8] = o[5]; break;                              // TTL, hop limit
    case 4: if (!v6) p[6] = o[5] & 0x60; break;                       // fragment bits
    case 5: if (tcp) put32(&p[transport + 4], sender.sequence + static_cast<uint32_t>(static_cast<int8_t>(o[5]))); break;
    case 6: if (tcp) p[transport + 11] = o[5]; break;                 // acknowledgment
    case 7: if (tcp) p[transport + 15] = o[5]; break;                 // window
    case 8: if (tcp) p[transport + 12] ^= o[5] & 15; break;           // reserved bits
    case 9: if (tcp) p[transport + 19] = o[5]; break;                 // urgent pointer
    case 10: sender.id = static_cast<uint16_t>(sender.id + o[5]); break;
    case 11: if (v6) p[3] = o[5]; break;                              // flow label
    default: break;
  }
  if (!v6) put16(&p[4], sender.id);
  model::seal(p, transport, tcp);
  if ((o[4] & 15) == 12) p[p.size() - 1] ^= o[5];                     // a wrong checksum
  if ((o[4] & 15) == 13 && !tcp) p[transport + 6] = p[transport + 7] = 0;
  if ((o[4] & 15) == 14) p[o[5] % p.size()] ^= static_cast<uint8_t>(1 << (o[6] & 7));
  if (tcp) sender.sequence += static_cast<uint32_t>(n);
  if ((o[0] & 0x40) == 0) sender.id++;
  return p;
}

// The Identification of a packet with DF may come out as another one (RFC 6864 §4.1).
Bytes normal(Bytes p) {
  if (!model::v4(p) || (p[6] & 0x40) == 0) return p;
  const Bytes h(p.begin(), p.begin() + static_cast<long>(model::ip_header(p)));
  if (model::checksum(h) != 0) return p;
  p[4] = p[5] = p[10] = p[11] = 0;
  return p;
}

// Which packets must keep their order among each other: those of one flow, and with them whatever hides its ports.
bool hidden(const Bytes& p) {
  const uint8_t protocol = model::v4(p) ? p[9] : p[6];
  if (protocol != kTcp && protocol != kUdp) return true;
  if (model::v4(p) && (p[0] != 0x45 || (p[6] & 0x3f) != 0 || p[7] != 0)) return true;
  const size_t t = model::ip_header(p);
  if (p.size() < t + (protocol == kTcp ? 20 : 8)) return true;
  if (protocol == kUdp) return false;
  const size_t header = (p[t + 12] >> 4) * 4u;
  return header < 20 || p.size() < t + header;
}

Bytes flow_of(const Bytes& p) {
  Bytes key = model::addresses(p);
  key.push_back(model::v4(p) ? p[9] : p[6]);
  const size_t t = model::ip_header(p);
  key.insert(key.end(), p.begin() + static_cast<long>(t), p.begin() + static_cast<long>(t) + 4);
  return key;
}

std::vector<Bytes> among(const std::vector<Bytes>& all, const Bytes& flow, bool six, uint8_t protocol) {
  std::vector<Bytes> out;
  for (const Bytes& p : all) {
    const bool like = model::v4(p) != six && (six || p[9] == protocol);
    if (hidden(p) ? like : flow_of(p) == flow) out.push_back(normal(p));
  }
  return out;
}

}  // namespace

void fuzz_coalesce(const uint8_t* input, size_t size) {
  World w;
  w.forwarder.marks.confirm(1);
  Session* s = w.add({1, 2}, path_of(1), {"10.9.0.0/16", "fd09::/64"});
  s->clamp_mss = false;
  w.forwarder.coalesces = true;
  w.forwarder.coalescer.udp = size % 3 != 0;
  std::map<uint8_t, Sender> senders;
  std::vector<Bytes> in, out;
  std::vector<std::unique_ptr<uint8_t[]>> kept;
  for (size_t at = 0; at + 8 <= size && in.size() < 300; at += 8) {
    const Bytes p = packet_of(input + at, senders);
    Bytes d = hex("0002 0001 0002 ff03 0021");
    if (!model::v4(p)) d.back() = 0x57;
    d.insert(d.end(), p.begin(), p.end());
    kept.emplace_back(new uint8_t[d.size()]);
    std::memcpy(kept.back().get(), d.data(), d.size());
    const uint64_t dropped = w.dropped(s);
    w.forwarder.datagram({}, path_of(1), kept.back().get(), d.size(), w.now);
    if (IpHeader ip; w.dropped(s) == dropped && w.ups.empty() && parse_ip(p.data(), p.size(), ip)) {
      in.emplace_back(p.begin(), p.begin() + static_cast<long>(ip.length));
    }
    w.ups.clear();
  }
  w.forwarder.flush_inside(w.now);
  size_t octets = 0;
  for (size_t i = 0; i < w.tun.size(); i++) {
    model::check_whole(w.vnets[i], w.tun[i]);
    for (const Bytes& p : model::segments(w.vnets[i], w.tun[i], w.vnets[i].gso_size)) {
      octets += p.size();
      out.push_back(p);
    }
  }
  EQ(out.size(), in.size());
  EQ(s->counters->packets_in.get(), in.size());
  EQ(s->counters->octets_in.get(), octets);
  for (const Bytes& p : in) {
    if (hidden(p)) continue;
    const uint8_t protocol = model::v4(p) ? p[9] : p[6];
    const bool six = !model::v4(p);
    CHECK(among(in, flow_of(p), six, protocol) == among(out, flow_of(p), six, protocol));
  }
}
