// Coalescing: what is merged, what is not, and that the device's cutting gives everything back (../../fuzz/coalesce.cc).
#include <algorithm>
#include <functional>

#include "../../fuzz/targets.h"
#include "model.h"
#include "world.h"

using namespace dp;

namespace {

struct Way {
  World world;
  Session* session;
  std::vector<std::unique_ptr<uint8_t[]>> kept;

  Way() {
    world.forwarder.marks.confirm(1);
    world.forwarder.coalesces = true;
    session = world.add({1, 2}, path_of(1), {"10.9.0.0/16", "fd09::/64"});
  }
  void put(const Bytes& packet) {
    Bytes d = hex(model::v4(packet) ? "0002 0001 0002 ff03 0021" : "0002 0001 0002 ff03 0057");
    d.insert(d.end(), packet.begin(), packet.end());
    kept.emplace_back(new uint8_t[d.size()]);
    std::memcpy(kept.back().get(), d.data(), d.size());
    world.forwarder.datagram({}, path_of(1), kept.back().get(), d.size(), world.now);
  }
  // What the device makes of everything put in.
  std::vector<Bytes> cut() {
    world.forwarder.flush_inside(world.now);
    std::vector<Bytes> out;
    for (size_t i = 0; i < world.tun.size(); i++) {
      model::check_whole(world.vnets[i], world.tun[i]);
      for (const Bytes& p : model::segments(world.vnets[i], world.tun[i], world.vnets[i].gso_size)) out.push_back(p);
    }
    return out;
  }
};

// Packet `i` of a flow: octets 1000 i .. of a stream, or its datagram.
Bytes packet(bool v6, bool tcp, size_t i, size_t n = 1000, uint16_t port = 40000) {
  Bytes p = v6 ? hex("60000000 0000 00 40 fd090000000000000000000000000002 fd000000000000000000000000000001")
               : hex("45000000 0000 4000 40 00 0000 0a090002 0a090001");
  p[v6 ? 6 : 9] = tcp ? kTcp : kUdp;
  if (!v6) put16(&p[4], 0xfffe + i);
  const size_t t = p.size();
  const Bytes head = tcp ? hex("9c40 0050 00000000 00000009 8010 0200 0000 0000 0101080a 0000000100000002") : hex("9c40 0035 00000000");
  p.insert(p.end(), head.begin(), head.end());
  put16(&p[t], port);
  if (tcp) put32(&p[t + 4], static_cast<uint32_t>(0xfffff000 + 1000 * i));
  for (size_t k = 0; k < n; k++) p.push_back(static_cast<uint8_t>(k * 7 + i));
  model::seal(p, t, tcp);
  return p;
}

Bytes edited(Bytes p, const std::function<void(Bytes&)>& edit) {
  const bool tcp = p[model::v4(p) ? 9 : 6] == kTcp;
  edit(p);
  model::seal(p, model::ip_header(p), tcp);
  return p;
}

void a_run_is_one() {
  for (const bool v6 : {false, true}) {
    for (const bool tcp : {false, true}) {
      Way w;
      std::vector<Bytes> in;
      for (size_t i = 0; i < 21; i++) in.push_back(packet(v6, tcp, i, i == 20 ? 17 : 1000));
      const size_t flags = model::ip_header(in[0]) + 13;
      if (tcp) in[0] = edited(in[0], [&](Bytes& p) { p[flags] |= 0x80; });   // CWR
      if (tcp) in[20] = edited(in[20], [&](Bytes& p) { p[flags] |= 0x09; });  // PSH, FIN
      for (const Bytes& p : in) w.put(p);
      CHECK(w.cut() == in);
      EQ(w.world.tun.size(), 1u);
      const VnetHeader& v = w.world.vnets[0];
      EQ(v.gso_type, tcp ? (v6 ? kGsoTcp6 : kGsoTcp4) | kGsoEcn : kGsoUdp);
      EQ(v.gso_size, 1000u);
      EQ(v.flags, kNeedsChecksum);
      EQ(v.hdr_len, (v6 ? 40u : 20u) + (tcp ? 32u : 8u));
      EQ(w.session->counters->packets_in.get(), 21u);
      EQ(w.session->counters->octets_in.get(), 20 * in[0].size() + in[20].size());
    }
  }
}

void a_run_has_an_end() {
  Way w;
  std::vector<Bytes> in;
  for (size_t i = 0; i < 194; i++) in.push_back(packet(false, true, i));
  for (const Bytes& p : in) w.put(p);
  CHECK(w.cut() == in);
  EQ(w.world.tun.size(), 4u);  // by octets alone it would be three
  Way large;
  for (size_t i = 0; i < 8; i++) large.put(packet(true, true, i, 10000));
  large.world.forwarder.flush_inside(1);
  for (const Bytes& p : large.world.tun) CHECK(p.size() <= 65535);
}

void sender_with_one_identification() {
  Way w;
  for (size_t i = 0; i < 5; i++) w.put(edited(packet(false, true, i), [](Bytes& p) { put16(&p[4], 7); }));
  w.cut();
  EQ(w.world.tun.size(), 1u);
  Way moving;  // then it moves on: not the same any more
  for (const size_t id : {7u, 7u, 8u}) moving.put(edited(packet(false, true, moving.kept.size()), [&](Bytes& p) { put16(&p[4], id); }));
  moving.cut();
  EQ(moving.world.tun.size(), 2u);
  Way fragmentable;
  for (size_t i = 0; i < 2; i++) {
    fragmentable.put(edited(packet(false, true, i), [](Bytes& p) {
      put16(&p[4], 7);
      p[6] = 0;
    }));
  }
  fragmentable.cut();
  EQ(fragmentable.world.tun.size(), 2u);
}

// The second of two packets is unlike the first: both pass as they are, in their order.
void what_is_not_merged() {
  struct Row {
    int kind;  // 4 IPv4, 6 IPv6, 0 both
    bool tcp;
    std::function<void(Bytes&, size_t)> edit;  // of the packet and the offset of its transport header
  };
  const std::vector<Row> rows = {
      {4, true, [](Bytes& p, size_t) { p[1] = 1; }},                        // ECT(1)
      {4, true, [](Bytes& p, size_t) { p[1] = 3; }},                        // CE
      {4, true, [](Bytes& p, size_t) { p[8] = 63; }},                       // TTL
      {4, true, [](Bytes& p, size_t) { p[4] ^= 0x40; }},                    // Identification
      {4, true, [](Bytes& p, size_t) { p[6] = 0; }},                        // DF
      {4, true, [](Bytes& p, size_t) { p[6] |= 0x80; }},                    // reserved bit
      {4, true, [](Bytes& p, size_t) { p[6] |= 0x20; }},                    // a first fragment
      {6, true, [](Bytes& p, size_t) { p[1] = 0x30; }},                     // CE
      {6, true, [](Bytes& p, size_t) { p[3] = 1; }},                        // flow label
      {6, true, [](Bytes& p, size_t) { p[7] = 63; }},                       // hop limit
      {0, true, [](Bytes& p, size_t t) { p[t + 7] ^= 1; }},                 // sequence number
      {0, true, [](Bytes& p, size_t t) { p[t + 11] ^= 1; }},                // acknowledgment
      {0, true, [](Bytes& p, size_t t) { p[t + 12] ^= 1; }},                // reserved bits, AE
      {0, true, [](Bytes& p, size_t t) { p[t + 13] |= 0x80; }},             // CWR not at the beginning
      {0, true, [](Bytes& p, size_t t) { p[t + 13] |= 0x40; }},             // ECE
      {0, true, [](Bytes& p, size_t t) { p[t + 13] |= 0x20; }},             // URG
      {0, true, [](Bytes& p, size_t t) { p[t + 13] |= 0x04; }},             // RST
      {0, true, [](Bytes& p, size_t t) { p[t + 13] |= 0x02; }},             // SYN
      {0, true, [](Bytes& p, size_t t) { p[t + 13] = 0; }},                 // no ACK
      {0, true, [](Bytes& p, size_t t) { p[t + 15] ^= 1; }},                // window
      {0, true, [](Bytes& p, size_t t) { p[t + 19] ^= 1; }},                // urgent pointer
      {0, true, [](Bytes& p, size_t t) { p[t + 27] ^= 1; }},                // timestamp
      {0, true, [](Bytes& p, size_t) { p.push_back(0); }},                  // longer than the first
      {0, true, [](Bytes& p, size_t t) { p.resize(t + 32); }},              // a pure acknowledgment
      {0, false, [](Bytes& p, size_t) { p.push_back(0); }},
      {0, false, [](Bytes& p, size_t t) { p.resize(t + 8); }},
      {4, false, [](Bytes& p, size_t) { p[8] = 63; }},
  };
  for (const Row& row : rows) {
    for (const bool v6 : {false, true}) {
      if (row.kind == (v6 ? 4 : 6)) continue;
      const Bytes a = packet(v6, row.tcp, 0);
      const Bytes b = edited(packet(v6, row.tcp, 1), [&](Bytes& p) { row.edit(p, v6 ? 40 : 20); });
      Way w;
      w.put(a);
      w.put(b);
      w.cut();
      CHECK((w.world.tun == std::vector<Bytes>{a, b}));
    }
  }
}

void wrong_checksums_stay_wrong() {
  for (const bool v6 : {false, true}) {
    for (const bool tcp : {false, true}) {
      for (const size_t wrong : {0u, 1u}) {
        Bytes both[] = {packet(v6, tcp, 0), packet(v6, tcp, 1)};
        both[wrong].back() ^= 1;
        Way w;
        for (const Bytes& p : both) w.put(p);
        w.cut();
        CHECK((w.world.tun == std::vector<Bytes>{both[0], both[1]}));
      }
    }
  }
  Way w;  // of IPv4's own header
  Bytes p = packet(false, true, 1);
  p[10] ^= 1;
  w.put(packet(false, true, 0));
  w.put(p);
  w.cut();
  EQ(w.world.tun.size(), 2u);
  Way zero;  // UDP without a checksum
  for (size_t i = 0; i < 2; i++) {
    Bytes u = packet(false, false, i);
    u[26] = u[27] = 0;
    zero.put(u);
  }
  zero.cut();
  EQ(zero.world.tun.size(), 2u);
}

// Hundred flows in turns: more than are held. And one that loses a packet goes on merging behind the gap.
void flows_in_turns() {
  Way w;
  for (size_t i = 0; i < 4; i++) {
    for (uint16_t port = 1; port <= 100; port++) w.put(packet(port % 2 != 0, true, i, 100, port));
  }
  EQ(w.cut().size(), 400u);
  EQ(w.world.vnets.size(), w.world.tun.size());
  Way gap;
  for (const size_t i : {0u, 1u, 3u, 4u, 2u, 5u}) gap.put(packet(true, true, i));
  gap.cut();
  EQ(gap.world.tun.size(), 4u);  // 0 1, 3 4, 2, 5
}

void fragments_do_not_overtake() {
  for (const bool options : {false, true}) {
    Way w;
    const Bytes other = packet(false, true, 0);
    Bytes hidden = packet(false, false, 9);
    if (options) {
      const Bytes four = hex("01010100");
      hidden.insert(hidden.begin() + 20, four.begin(), four.end());
      hidden[0] = 0x46;
      model::seal(hidden, 24, false);
    } else {
      hidden[6] = 0x20;
    }
    std::vector<Bytes> in = {packet(false, false, 0), packet(false, false, 1), hidden, packet(false, false, 2)};
    w.put(other);
    for (const Bytes& p : in) w.put(p);
    std::vector<Bytes> out = w.cut();
    EQ(w.world.tun.size(), 4u);
    out.erase(std::find(out.begin(), out.end(), other));
    CHECK(out == in);
  }
}

void device_without_uso() {
  Way w;
  w.world.forwarder.coalescer.udp = false;
  for (size_t i = 0; i < 3; i++) w.put(packet(false, false, i));
  for (size_t i = 0; i < 3; i++) w.put(packet(false, true, i));
  w.cut();
  EQ(w.world.tun.size(), 4u);
}

void refused_by_the_device() {
  Way w;
  w.world.tun_works = false;
  for (size_t i = 0; i < 3; i++) w.put(packet(false, true, i));
  w.cut();
  EQ(w.world.drops(w.session, SessionDrop::tun), 3u);
  EQ(w.session->counters->packets_in.get(), 0u);
}

void against_the_model() {
  Random random(5);
  for (int round = 0; round < 300; round++) {
    Bytes input(8 * (1 + random.below(60)) + random.below(8));
    const uint64_t few = random.below(4);
    for (size_t i = 0; i < input.size(); i++) {
      input[i] = static_cast<uint8_t>(random.next());
      if (i % 8 == 0 && few > 0) input[i] &= 0x23;                     // few flows
      if (i % 8 == 1 && few > 0) input[i] &= 0x41;
      if (i % 8 == 2 && few > 1) input[i] = 0x83;
      if (i % 8 == 4 && few > 1) input[i] = random.below(20) == 0 ? input[i] : 0;
    }
    fuzz_coalesce(input.data(), input.size());
    for (auto& o : input) o = static_cast<uint8_t>(random.next());
    if (input.size() > 3) input[2] &= 0xfd;
    fuzz_segment(input.data(), input.size());
  }
}

}  // namespace

void merge_cases() {
  cases({{"a run is one", a_run_is_one},
         {"a run has an end", a_run_has_an_end},
         {"a sender with one Identification", sender_with_one_identification},
         {"what is not merged", what_is_not_merged},
         {"wrong checksums stay wrong", wrong_checksums_stay_wrong},
         {"flows in turns", flows_in_turns},
         {"fragments do not overtake", fragments_do_not_overtake},
         {"a device without USO", device_without_uso},
         {"refused by the device", refused_by_the_device},
         {"coalescing and cutting against the model", against_the_model}});
}
