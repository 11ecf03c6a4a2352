// The packet code alone: longest match against a slow model, limits, cutting frames, marks, the upcall queue.
#include <algorithm>
#include <map>

#include "../../src/upcalls.h"
#include "../../fuzz/targets.h"
#include "world.h"

using namespace dp;

namespace {

// ---- addresses and checksum

void addresses() {
  const char* same[] = {"0.0.0.0", "255.255.255.255", "::", "::1", "2001:db8::1", "fe80::1:2:3:4", "1:2:3:4:5:6:7:8"};
  for (const char* text : same) {
    Address a;
    CHECK(parse_address(text, a));
    CHECK(to_text(a) == text);
  }
  for (const char* text : {"", "1.2.3", "1.2.3.4.5", "1.2.3.256", ":", "1::2::3", "fe80::1%lo", "g::"}) {
    Address a;
    CHECK(!parse_address(text, a));
  }
  for (const char* text : {"1.2.3.4/33", "::/129", "1.2.3.4/", "1.2.3.4/-1", "1.2.3.4/1a", "1.2.3.4/0001", "/8"}) {
    Prefix p;
    CHECK(!parse_prefix(text, p));
  }
  Prefix p;
  CHECK(parse_prefix("10.255.255.255/9", p) && to_text(p.address) == "10.128.0.0" && p.length == 9);
  CHECK(parse_prefix("2001:db8:ffff::1/33", p) && to_text(p.address) == "2001:db8:8000::");
  CHECK(parse_prefix("192.0.2.1", p) && p.length == 32);
}

// RFC 1624 §3: updated = computed anew, for every word and offset.
void incremental_checksum() {
  Random random(1);
  for (int round = 0; round < 2000; round++) {
    Bytes b(64);
    for (auto& o : b) o = static_cast<uint8_t>(random.next());
    if (round == 0) std::fill(b.begin(), b.end(), 0);
    put16(&b[0], 0);
    put16(&b[0], checksum(sum(b.data(), b.size())));
    const size_t at = 2 + random.below(61);
    const uint16_t before = get16(&b[at]), after = static_cast<uint16_t>(random.next());
    put16(&b[at], after);
    update_checksum(&b[0], before, after, at % 2 != 0);
    EQ(fold(sum(b.data(), b.size())), 0xffff);
  }
  EQ(checksum(sum(hex("0001 f203 f4f5 f6f7").data(), 8)), 0x220d);  // RFC 1071 §3
  EQ(fold(sum(hex("01").data(), 1)), 0x0100);
}

// ---- longest match

struct Model {
  struct Row {
    Prefix prefix;
    Session* owner;
  };
  std::vector<Row> rows;  // oldest first

  const Row* best(const Address& a) const {
    const Row* found = nullptr;
    for (const Row& r : rows) {
      if (r.prefix.contains(a) && (found == nullptr || r.prefix.length >= found->prefix.length)) found = &r;
    }
    return found;
  }
};

Address random_address(Random& random, bool v6) {
  Address a;
  a.family = v6 ? Family::v6 : Family::v4;
  // Few values per octet, so that prefixes meet.
  for (unsigned i = 0; i < a.bits() / 8; i++) a.bytes[i] = static_cast<uint8_t>(random.below(3) * 127);
  return a;
}

void routes_against_model() {
  Random random(2);
  for (int world = 0; world < 40; world++) {
    std::vector<Session> sessions(5);
    Routes routes;
    Model model;
    for (int step = 0; step < 300; step++) {
      const bool v6 = random.below(2) != 0;
      Session* s = &sessions[random.below(sessions.size())];
      if (random.below(3) > 0) {
        const Address a = random_address(random, v6);
        const auto length = static_cast<uint8_t>(random.below(4) == 0 ? 0 : random.below(a.bits() + 1));
        const Prefix p{a.masked(length), length};
        if (std::find(s->prefixes.begin(), s->prefixes.end(), p) != s->prefixes.end()) continue;
        s->prefixes.push_back(p);
        routes.add(p, s);
        model.rows.push_back({p, s});
      } else if (!s->prefixes.empty()) {
        const size_t i = random.below(s->prefixes.size());
        const Prefix p = s->prefixes[i];
        s->prefixes.erase(s->prefixes.begin() + static_cast<long>(i));
        routes.remove(p, s);
        model.rows.erase(std::find_if(model.rows.begin(), model.rows.end(),
                                      [&](const Model::Row& r) { return r.owner == s && r.prefix == p; }));
      }
      const Address a = random_address(random, v6);
      const Model::Row* best = model.best(a);
      CHECK(routes.find(a) == (best == nullptr ? nullptr : best->owner));
      for (const Session& each : sessions) {
        const bool own = best != nullptr && std::find(each.prefixes.begin(), each.prefixes.end(), best->prefix) != each.prefixes.end();
        EQ(routes.may_use(a, &each), own);
      }
    }
    for (Session& s : sessions) {
      for (const Prefix& p : s.prefixes) routes.remove(p, &s);
    }
    EQ(routes.size(), 0u);
    CHECK(routes.find(random_address(random, false)) == nullptr);
  }
}

// ---- table and limits

// Few places for many keys, the last ones of the array too: entries are displaced, and come back when others go.
void flat_map_against_model() {
  struct Crowd {
    size_t operator()(uint32_t key) const { return key % 5 == 0 ? ~size_t{0} : key % 7; }
  };
  Random random(4);
  for (int world = 0; world < 40; world++) {
    FlatMap<uint32_t, std::unique_ptr<int>, Crowd> map;
    std::map<uint32_t, int> model;
    for (int step = 0; step < 500; step++) {
      const auto key = static_cast<uint32_t>(random.below(40));
      map.expect(key);
      if (random.below(5) < 3) {
        CHECK(map.add(key, std::make_unique<int>(step)) == model.emplace(key, step).second);
      } else {
        CHECK(map.remove(key) == (model.erase(key) == 1));
      }
      EQ(map.size(), model.size());
      for (uint32_t k = 0; k < 40; k++) {
        const auto* found = map.find(k);
        const auto wanted = model.find(k);
        CHECK((found == nullptr) == (wanted == model.end()));
        if (found != nullptr) EQ(**found, wanted->second);
      }
    }
  }
}

void table_and_tunnels() {
  SessionTable table;
  Random random(3);
  std::vector<uint32_t> model;
  for (int step = 0; step < 20000; step++) {
    const Ids ids{static_cast<uint16_t>(1 + random.below(8)), static_cast<uint16_t>(1 + random.below(64))};
    const auto at = std::find(model.begin(), model.end(), ids.key());
    if (random.below(2) != 0) {
      auto s = std::make_unique<Session>();
      s->ours = ids;
      EQ(table.add(std::move(s)) != nullptr, at == model.end());
      if (at == model.end()) model.push_back(ids.key());
    } else {
      EQ(table.remove(ids), at != model.end());
      if (at != model.end()) model.erase(at);
    }
    EQ(table.size(), model.size());
    std::vector<uint32_t> chained, wanted;
    for (const Session* s = table.of_tunnel(ids.tunnel); s != nullptr; s = s->next_of_tunnel) {
      chained.push_back(s->ours.key());
      CHECK(table.find(s->ours) == s);
    }
    for (const uint32_t key : model) {
      if (key >> 16 == ids.tunnel) wanted.push_back(key);
    }
    std::sort(chained.begin(), chained.end());
    std::sort(wanted.begin(), wanted.end());
    CHECK(chained == wanted);
  }
}

void limits() {
  Limit limit(10, 20);
  const auto taken = [&](uint64_t now) {
    int n = 0;
    while (limit.take(now)) n++;
    return n;
  };
  EQ(taken(1), 20);
  EQ(taken(1), 0);
  EQ(taken(100), 0);
  EQ(taken(101), 1);
  EQ(taken(1101), 10);
  EQ(taken(1000), 0);  // a clock that went back gives nothing
  EQ(taken(~uint64_t{0}), 20);
}

void rates() {
  Rate r;
  CHECK(r.take(65535, 1) && r.take(65535, 1) && r.take(65535, 1));  // none
  const auto taken = [&](uint64_t now) {
    size_t n = 0;
    while (r.take(1000, now)) n++;
    return n;
  };
  r.set(8'000'000);
  EQ(taken(10), 131u);
  EQ(taken(11), 1u);
  EQ(taken(21), 10u);
  EQ(taken(20), 0u);
  EQ(taken(1'000'000), 131u);
  r.set(80'000'000);
  EQ(taken(1'000'000), 1000u);
  r.set(~uint64_t{0});
  EQ(taken(2'000'000), 12'500'000u);
  r.set(1);
  EQ(taken(3'000'000), 131u);
  EQ(taken(3'000'000 + 600'000'000), 75u);  // at one bit per second
  EQ(taken(~uint64_t{0}), 131u);
  r.set(0);
  CHECK(r.take(65535, 0));
}

// RFC 2661 §5.4
void sequences() {
  Sequence s;
  for (size_t i = 0; i < 65540; i++) EQ(s.next(), i & 0xffff);
  CHECK(s.take(65530) && !s.take(65530) && s.take(65531));
  CHECK(s.take(65535) && !s.take(65533));  // a gap is a loss
  CHECK(s.take(0) && s.take(3) && !s.take(65535) && !s.take(2));
  CHECK(s.take(3 + 0x8000) && !s.take(4));
  // The same late number again and again is a repeat; a run of them is a peer that has begun anew.
  for (int i = 0; i < 20; i++) CHECK(!s.take(9));
  for (uint16_t i = 100; i < 104; i++) CHECK(!s.take(i));
  CHECK(s.take(104) && s.take(105) && !s.take(104));
  // A train that comes twice is taken once, however long; 1025 behind is far.
  for (uint16_t i = 200; i < 1224; i++) CHECK(s.take(i));
  for (uint16_t i = 200; i < 1224; i++) CHECK(!s.take(i));
  CHECK(s.take(1224));
  for (uint16_t i = 200; i < 204; i++) CHECK(!s.take(i));
  CHECK(!s.take(204) && s.take(1225));
  for (uint16_t i = 190; i < 194; i++) CHECK(!s.take(i));
  CHECK(s.take(194));
}

// ---- cutting

Bytes ip_packet(bool v6, uint8_t protocol, const Bytes& payload, uint16_t fragment = 0) {
  Bytes p = v6 ? hex("60000000 0000 00 40 fd000000000000000000000000000001 fd090000000000000000000000000002")
               : hex("45000000 1234 0000 40 00 0000 0a090001 0a090002");
  if (v6) {
    put16(&p[4], payload.size());
    p[6] = protocol;
  } else {
    put16(&p[2], 20 + payload.size());
    put16(&p[6], fragment);
    p[9] = protocol;
    put16(&p[10], checksum(sum(p.data(), 20)));
  }
  p.insert(p.end(), payload.begin(), payload.end());
  return p;
}

Bytes numbered(size_t n) {
  Bytes b(n);
  for (size_t i = 0; i < n; i++) b[i] = static_cast<uint8_t>(i * 7 + (i >> 8));
  return b;
}

Bytes inner(const World::Sent& s) {
  return Bytes(s.data.begin() + 12, s.data.end());
}

void check_transport(const Bytes& p) {
  IpHeader ip;
  CHECK(parse_ip(p.data(), p.size(), ip));
  if (ip.family == Family::v4) EQ(fold(sum(p.data(), ip.header)), 0xffff);
  const size_t n = ip.length - ip.header;
  EQ(fold(pseudo_header(p.data(), ip, ip.protocol, n) + sum(p.data() + ip.header, n)), 0xffff);
}

// What the kernel hands over: the checksum field holds the folded sum of the pseudo header.
VnetHeader partial(Bytes& p, bool v6, bool tcp, uint16_t gso_size) {
  IpHeader ip;
  CHECK(parse_ip(p.data(), p.size(), ip));
  VnetHeader v{kNeedsChecksum, 0, 7 /* a lie */, gso_size, static_cast<uint16_t>(ip.header),
               static_cast<uint16_t>(tcp ? 16 : 6)};
  if (gso_size > 0) v.gso_type = tcp ? (v6 ? kGsoTcp6 : kGsoTcp4) : kGsoUdp;
  put16(&p[ip.header + v.csum_offset], fold(pseudo_header(p.data(), ip, tcp ? kTcp : kUdp, ip.length - ip.header)));
  return v;
}

Bytes tcp_segment(const Bytes& data, uint8_t flags) {
  Bytes t = hex("9c40 0050 ffffff00 00000001 8000 ffff 0000 0000 0101080a 0000000100000002");
  t[13] = flags;
  t.insert(t.end(), data.begin(), data.end());
  return t;
}

Bytes udp_datagram(const Bytes& data) {
  Bytes u = hex("1388 1770 0000 0000");
  put16(&u[4], 8 + data.size());
  u.insert(u.end(), data.begin(), data.end());
  return u;
}

struct Way {
  World world;
  Session* session;
  explicit Way(uint16_t mtu) {
    world.forwarder.marks.confirm(1);
    session = world.add({1, 2}, path_of(1), {"10.9.0.2/32", "fd09::2/128"});
    session->mtu = mtu;
  }
};

void tcp_segmentation() {
  for (const bool v6 : {false, true}) {
    Way w(1400);
    const size_t headers = (v6 ? 40u : 20u) + 32;
    const size_t mss = 1400 - headers;
    const Bytes data = numbered(20 * mss + 17);
    Bytes p = ip_packet(v6, kTcp, tcp_segment(data, 0x80 | 0x10 | 0x08 | 0x01), 0x4000);
    VnetHeader v = partial(p, v6, true, static_cast<uint16_t>(mss));
    v.gso_type |= kGsoEcn;
    w.world.from_tun(&v, p);
    EQ(w.world.sent.size(), 21u);
    Bytes whole;
    for (size_t i = 0; i < w.world.sent.size(); i++) {
      const Bytes q = inner(w.world.sent[i]);
      check_transport(q);
      const size_t t = v6 ? 40 : 20;
      EQ(get32(&q[t + 4]), static_cast<uint32_t>(0xffffff00 + whole.size()));
      // CWR on the first, FIN and PSH on the last.
      EQ(q[t + 13], (i == 0 ? 0x80 : 0) | 0x10 | (i == 20 ? 0x09 : 0));
      if (!v6) EQ(get16(&q[4]), 0x1234 + i);
      whole.insert(whole.end(), q.begin() + static_cast<long>(headers), q.end());
    }
    CHECK(whole == data);
  }
}

void udp_segmentation() {
  for (const bool v6 : {false, true}) {
    Way w(1400);
    const Bytes data = numbered(10 * 1000 + 1);
    Bytes p = ip_packet(v6, kUdp, udp_datagram(data));
    const VnetHeader v = partial(p, v6, false, 1000);
    w.world.from_tun(&v, p);
    EQ(w.world.sent.size(), 11u);
    Bytes whole;
    for (const World::Sent& s : w.world.sent) {
      const Bytes q = inner(s);
      check_transport(q);
      const size_t t = v6 ? 40 : 20;
      EQ(get16(&q[t + 4]), q.size() - t);
      whole.insert(whole.end(), q.begin() + static_cast<long>(t + 8), q.end());
    }
    CHECK(whole == data);
  }
}

// Segments larger than the session's MTU: an error with DF; without, TCP is cut finer and datagrams are fragmented.
void segments_beyond_the_mtu() {
  {
    Way w(600);
    Bytes p = ip_packet(false, kTcp, tcp_segment(numbered(5000), 0x10), 0x4000);
    const VnetHeader v = partial(p, false, true, 1348);
    w.world.from_tun(&v, p);
    EQ(w.world.sent.size(), 0u);
    EQ(w.world.tun.size(), 1u);
    EQ(get16(&w.world.tun[0][26]), 600);
  }
  {
    Way w(600);
    Bytes p = ip_packet(false, kTcp, tcp_segment(numbered(5000), 0x10));
    const VnetHeader v = partial(p, false, true, 1348);
    w.world.from_tun(&v, p);
    EQ(w.world.sent.size(), (5000 + 547) / 548u);
    for (const World::Sent& s : w.world.sent) check_transport(inner(s));
  }
  {
    // RFC 8200 §5: IPv6 has 1280 whatever the path has.
    Way w(600);
    for (const uint16_t over : {0, 1}) {
      Bytes p = ip_packet(true, kTcp, tcp_segment(numbered(5000), 0x10));
      const size_t head = 40 + (p[52] >> 4) * 4u;
      const VnetHeader v = partial(p, true, true, static_cast<uint16_t>(1280 - head + over));
      w.world.from_tun(&v, p);
      EQ(w.world.sent.size(), (p.size() - head + 1280 - head - 1) / (1280 - head));
      for (const World::Sent& s : w.world.sent) check_transport(inner(s));
    }
    EQ(w.world.tun.size(), 1u);
    EQ(get32(&w.world.tun[0][44]), 1280u);
  }
  Way w(600);
  const Bytes data = numbered(2500);
  Bytes p = ip_packet(false, kUdp, udp_datagram(data));
  const VnetHeader v = partial(p, false, false, 1000);
  w.world.from_tun(&v, p);
  // 1008 octets of UDP in 576 + 432, twice; then the rest of 500 + 8 in one.
  EQ(w.world.sent.size(), 5u);
  Bytes whole;
  for (size_t i = 0; i < 5; i++) {
    const Bytes q = inner(w.world.sent[i]);
    EQ(fold(sum(q.data(), 20)), 0xffff);
    EQ(get16(&q[6]), i == 4 ? 0 : i % 2 == 0 ? 0x2000 : 72);
    whole.insert(whole.end(), q.begin() + (i % 2 == 0 ? 28 : 20), q.end());
  }
  CHECK(whole == data);
}

void partial_checksums() {
  for (const bool v6 : {false, true}) {
    for (const size_t n : {0u, 1u, 7u, 1000u}) {
      Way w(1400);
      Bytes p = ip_packet(v6, kTcp, tcp_segment(numbered(n), 0x10));
      VnetHeader v = partial(p, v6, true, 0);
      w.world.from_tun(&v, p);
      EQ(w.world.sent.size(), 1u);
      check_transport(inner(w.world.sent[0]));
      v.csum_start = static_cast<uint16_t>(p.size());
      w.world.from_tun(&v, p);
      v.csum_start = 20;
      v.csum_offset = static_cast<uint16_t>(p.size());
      w.world.from_tun(&v, p);
      EQ(w.world.sent.size(), 1u);
      EQ(w.world.drops(w.session, SessionDrop::malformed), 2u);
    }
  }
}

void frames_that_lie() {
  Way w(1400);
  const auto refused = [&](auto edit) {
    Bytes p = ip_packet(false, kTcp, tcp_segment(numbered(3000), 0x10));
    VnetHeader v = partial(p, false, true, 1000);
    edit(v, p);
    const uint64_t before = w.world.drops(w.session, SessionDrop::malformed);
    w.world.from_tun(&v, p);
    EQ(w.world.drops(w.session, SessionDrop::malformed), before + 1);
  };
  refused([](VnetHeader& v, Bytes&) { v.gso_size = 0; });
  refused([](VnetHeader& v, Bytes&) { v.flags = 0; });
  refused([](VnetHeader& v, Bytes&) { v.gso_type = 3; });
  refused([](VnetHeader& v, Bytes&) { v.csum_start = 0; });
  refused([](VnetHeader& v, Bytes&) { v.csum_start = 3040; });
  refused([](VnetHeader& v, Bytes&) { v.csum_start = 0xffff; });
  refused([](VnetHeader&, Bytes& p) { p[32] = 0x10; });                   // data offset 4
  refused([](VnetHeader&, Bytes& p) { p[6] = 0x20; });                    // a fragment
  // Heads longer than kMaxHead.
  refused([](VnetHeader& v, Bytes& p) {
    v.csum_start = 150;
    p[162] = 0x50;
  });
  EQ(w.world.sent.size(), 0u);
}

// RFC 791 §3.2: a fragment cut again keeps its place and its MF.
void fragment_of_a_fragment() {
  Way w(68);
  const Bytes data = numbered(100);
  w.world.from_tun(nullptr, ip_packet(false, kUdp, data, 0x2000 | 10));
  EQ(w.world.sent.size(), 3u);
  Bytes whole;
  for (const World::Sent& s : w.world.sent) {
    const Bytes q = inner(s);
    EQ(get16(&q[6]), 0x2000 | (10 + whole.size() / 8));
    whole.insert(whole.end(), q.begin() + 20, q.end());
  }
  CHECK(whole == data);
}

// ---- marks and upcalls

// Neither kind of listener reaches the other's sessions, with the same addresses and ports.
void raw_and_marked() {
  World w;
  const ListenerPolicy ipsec;
  ListenerPolicy raw;
  raw.raw = true;
  raw.peers.emplace_back();
  CHECK(parse_prefix("198.51.100.2/32", raw.peers[0]));
  w.forwarder.marks.confirm(7);
  Session* marked = w.add({1, 1}, path_of(7), {"10.9.0.2/32"});
  Session* bare = w.add({2, 2}, path_of(0), {"10.9.0.3/32"});
  const Bytes to_marked = hex("0002 0001 0001 ff03 c021 0501 0004"), to_bare = hex("0002 0002 0002 ff03 c021 0501 0004");
  w.datagram(raw, path_of(0), to_marked);
  EQ(w.drops(marked, SessionDrop::path), 1u);
  w.datagram(ipsec, path_of(7), to_bare);
  EQ(w.drops(bare, SessionDrop::path), 1u);
  w.datagram(ipsec, path_of(0), to_bare);
  EQ(w.counters.get(GlobalDrop::mark_zero), 1u);
  for (const World::Up& up : w.ups) CHECK(up.kind == 'v');
  w.datagram(raw, path_of(0, "198.51.100.3"), to_bare);
  EQ(w.counters.get(GlobalDrop::raw_peer), 1u);
  for (const uint32_t mark : {0, 7}) {
    Path nowhere = path_of(mark);
    nowhere.port = 0;
    w.datagram(mark == 0 ? raw : ipsec, nowhere, to_bare);
    w.datagram(mark == 0 ? raw : ipsec, nowhere, hex("c802 000c 0000 0000 0000 0000"));
  }
  EQ(w.counters.get(GlobalDrop::port_zero), 4u);
  w.ups.clear();
  w.datagram(ipsec, path_of(7), to_marked);
  w.datagram(raw, path_of(0), to_bare);
  EQ(w.ups.size(), 2u);
}

void marks() {
  World w;
  const ListenerPolicy ipsec;
  Session* a = w.add({1, 1}, path_of(1), {"10.0.0.1/32"});
  Session* b = w.add({2, 1}, path_of(2), {"10.0.0.2/32"});
  w.forwarder.marks.confirm(1);
  w.forwarder.marks.confirm(2);
  w.forwarder.marks.confirm(0);  // nobody can confirm 0
  const Bytes zlb = hex("c802 000c 0001 0000 0000 0000");
  const Bytes to_a = hex("0002 0001 0001 ff03 0021 45000014 0000 0000 40 11 0000 0a000001 0a000009");
  w.datagram(ipsec, path_of(0), zlb);
  w.datagram(ipsec, path_of(0), to_a);
  EQ(w.counters.get(GlobalDrop::mark_zero), 2u);
  w.datagram(ipsec, path_of(7), zlb);
  w.datagram(ipsec, path_of(1), zlb);
  EQ(w.ups.size(), 2u);
  CHECK(!w.ups[0].confirmed && w.ups[0].path.mark == 7 && w.ups[1].confirmed);
  w.datagram(ipsec, path_of(7), to_a);
  EQ(w.counters.get(GlobalDrop::mark_unknown), 1u);
  // The twin behind the same NAT, from the same address and port, does not get into a's session.
  w.datagram(ipsec, path_of(2), to_a);
  EQ(w.drops(a, SessionDrop::path), 1u);
  CHECK(w.ups.back().kind == 'v' && w.ups.back().path == path_of(2));
  w.datagram(ipsec, path_of(1), to_a);
  EQ(w.tun.size(), 1u);
  EQ(w.drops(b, SessionDrop::path), 0u);
  w.forwarder.marks.forget(1);
  w.datagram(ipsec, path_of(1), to_a);
  EQ(w.counters.get(GlobalDrop::mark_unknown), 2u);
  w.forwarder.marks.confirm(1);
  w.tun_works = false;
  w.datagram(ipsec, path_of(1), to_a);
  EQ(w.drops(a, SessionDrop::tun), 1u);
  EQ(a->counters->packets_in.get(), 1u);
  w.room = false;
  w.datagram(ipsec, path_of(1), zlb);
  EQ(w.counters.get(GlobalDrop::queue_full), 1u);
}

// A client that floods its own SA gets its share of the queue, the others theirs.
void control_rate() {
  World w;
  const ListenerPolicy ipsec;
  w.forwarder.marks.confirm(1);
  w.forwarder.marks.confirm(2);
  const Bytes zlb = hex("c802 000c 0001 0000 0000 0000");
  for (int i = 0; i < 5000; i++) w.datagram(ipsec, path_of(1), zlb);
  EQ(w.ups.size(), 512u);
  EQ(w.counters.get(GlobalDrop::control_rate), 4488u);
  w.datagram(ipsec, path_of(2), zlb);
  EQ(w.ups.size(), 513u);
  w.forwarder.marks.confirm(1);  // again: no new allowance
  w.datagram(ipsec, path_of(1), zlb);
  EQ(w.ups.size(), 513u);
  w.now += 100;
  for (int i = 0; i < 5000; i++) w.datagram(ipsec, path_of(1), zlb);
  EQ(w.ups.size(), 713u);
  // What is large counts more: the queue's room is octets too.
  w.ups.clear();
  w.now += 1000;
  Bytes large(65507);
  std::copy(zlb.begin(), zlb.end(), large.begin());
  put16(&large[2], large.size());
  for (int i = 0; i < 100; i++) w.datagram(ipsec, path_of(1), large);
  EQ(w.ups.size(), 8u);
}

// However many sessions one client opens before it has said who it is, another's frames go up.
void frame_rate() {
  World w;
  std::vector<Session*> many;
  for (uint16_t i = 1; i <= 20; i++) many.push_back(w.add({1, i}, path_of(1), {}, false));
  w.add({2, 1}, path_of(2), {}, false);
  for (const uint32_t mark : {1, 2}) w.forwarder.marks.confirm(mark);
  Bytes lcp = hex("0002 0001 0001 ff03 c021");
  const auto flood = [&](int each) {
    w.ups.clear();
    for (int i = 0; i < each * 20; i++) {
      put16(&lcp[4], 1 + i % 20);
      w.datagram({}, path_of(1), lcp);
    }
    return w.ups.size();
  };
  EQ(flood(100), 1000u);
  uint64_t lost = 0;
  for (const Session* s : many) lost += w.drops(s, SessionDrop::rate);
  EQ(lost, 1000u);
  w.datagram({}, path_of(2), hex("0002 0002 0001 ff03 c021"));
  EQ(w.ups.size(), 1001u);
  w.now += 100;
  EQ(flood(100), 400u);
  // Without a mark there is the session's limit alone.
  ListenerPolicy raw;
  raw.raw = true;
  raw.peers.emplace_back();
  CHECK(parse_prefix("198.51.100.2/32", raw.peers[0]));
  for (Session* s : many) {
    s->path = path_of(0);
    s->frames = Limit{200, 200};
  }
  w.ups.clear();
  for (int i = 0; i < 2000; i++) {
    put16(&lcp[4], 1 + i % 20);
    w.datagram(raw, path_of(0), lcp);
  }
  EQ(w.ups.size(), 2000u);
}

// Each part of the path counts. A report comes once per mark and interval, whomever it is about.
void violations() {
  World w;
  Session* s = w.add({1, 1}, path_of(1), {"10.0.0.1/32"});
  const auto of_two = std::make_shared<Counter>();
  for (uint32_t m = 1; m <= 20; m++) w.forwarder.marks.confirm(m, m == 2 ? of_two : std::make_shared<Counter>());
  const Bytes lcp = hex("0002 0001 0001 ff03 c021");
  Path other_port = path_of(1);
  other_port.port = 4500;
  for (const Path& p : {path_of(2), path_of(1, "198.51.100.3"), path_of(1, "198.51.100.2", "198.51.100.9"), other_port}) {
    w.datagram({}, p, lcp);
    w.datagram({}, p, lcp);
  }
  EQ(w.drops(s, SessionDrop::path), 8u);
  EQ(w.ups.size(), 2u);
  EQ(of_two->get(), 2u);
  for (uint32_t m = 2; m <= 20; m++) w.datagram({}, path_of(m), lcp);
  EQ(w.ups.size(), 20u);
  w.add({2, 2}, path_of(3), {"10.0.0.2/32"});
  w.datagram({}, path_of(2), hex("0002 0002 0002 ff03 c021"));
  EQ(w.ups.size(), 20u);
  EQ(of_two->get(), 4u);
  w.now += kViolationInterval;
  w.datagram({}, other_port, lcp);
  w.datagram({}, other_port, lcp);
  EQ(w.ups.size(), 21u);
  // Confirmed anew it is another peer.
  w.forwarder.marks.forget(2);
  w.forwarder.marks.confirm(2);
  for (int i = 0; i < 2; i++) w.datagram({}, path_of(2), lcp);
  EQ(w.ups.size(), 22u);
  EQ(of_two->get(), 4u);
  // Raw: whoever it is, once for each session.
  ListenerPolicy raw;
  raw.raw = true;
  raw.peers.emplace_back();
  CHECK(parse_prefix("198.51.100.0/24", raw.peers[0]));
  for (const char* peer : {"198.51.100.7", "198.51.100.8"}) w.datagram(raw, path_of(0, peer), lcp);
  EQ(w.ups.size(), 23u);
}

// A flood of one kind leaves the room of the others alone.
void upcall_room() {
  UpcallQueue q;
  const Bytes data(100);
  const auto push = [&](UpcallKind kind, bool confirmed, uint32_t mark) {
    return q.push({kind, confirmed, {}, path_of(mark), 0, 0}, nullptr, 0, data.data(), data.size());
  };
  const auto fill = [&](UpcallKind kind, bool confirmed, uint32_t mark = 1) {
    size_t n = 0;
    while (push(kind, confirmed, mark)) n++;
    return n;
  };
  for (int round = 0; round < 2; round++) {
    EQ(fill(UpcallKind::punt, true), 1024u);
    CHECK(!push(UpcallKind::violation, true, 1));
    EQ(fill(UpcallKind::frame, true), 4096u);
    EQ(fill(UpcallKind::control, false), 256u);
    EQ(fill(UpcallKind::control, true, 0), 4096u);
    EQ(fill(UpcallKind::control, true), 4096u);
    CHECK(q.should_notify());
    CHECK(!q.should_notify());
    UpcallBatch batch;
    q.take(batch);
    EQ(batch.items.size(), 1024u + 4096u + 256u + 2 * 4096u);
    EQ(batch.bytes.size(), batch.items.size() * data.size());
    CHECK(!q.should_notify());
  }
  const Bytes large(65000);
  size_t n = 0;
  while (q.push({UpcallKind::control, false, {}, {}, 0, 0}, nullptr, 0, large.data(), large.size())) n++;
  EQ(n, (512u << 10) / 65000u);
}

// RFC 2983 §3, RFC 6040 §4.1: the DSCP inside is the one outside, ECN is not; in every segment and fragment too.
void outer_class() {
  Way w(1400);
  Session* s = w.world.forwarder.sessions.find({1, 2});
  const auto sent = [&](const VnetHeader* vnet, const Bytes& packet) {
    w.world.sent.clear();
    w.world.from_tun(vnet, packet);
    CHECK(!w.world.sent.empty());
    for (const World::Sent& one : w.world.sent) EQ(one.traffic_class, w.world.sent[0].traffic_class);
    return w.world.sent[0].traffic_class;
  };
  Bytes v4 = ip_packet(false, kUdp, hex("1388 1770 0008 0000")), v6 = ip_packet(true, kUdp, hex("1388 1770 0008 0000"));
  v4[1] = 0xbb;  // EF and CE
  v6[0] = 0x6b, v6[1] = 0xb0 | (v6[1] & 15);
  Bytes long4 = ip_packet(false, kUdp, Bytes(3000));
  long4[1] = 0x2a;
  const VnetHeader tso{kNeedsChecksum, kGsoTcp4, 40, 1000, 20, 16};
  Bytes tcp = hex("03e8 0050 00000001 00000000 5010 ffff 0000 0000");
  tcp.resize(20 + 3000);
  Bytes tso4 = ip_packet(false, kTcp, tcp);
  tso4[1] = 0x4b;
  EQ(sent(nullptr, v4), 0);
  s->dscp = kCopyDscp;
  EQ(sent(nullptr, v4), 0xb8);
  EQ(sent(nullptr, v6), 0xb8);
  EQ(sent(nullptr, long4), 0x28);
  EQ(sent(&tso, tso4), 0x48);
  w.world.sent.clear();
  w.world.forwarder.frame_to_peer(*s, hex("c021 0901").data(), 4);
  EQ(w.world.sent[0].traffic_class, 0);
  s->dscp = 46;
  long4[1] = 3;
  EQ(sent(nullptr, long4), 0xb8);
  w.world.sent.clear();
  w.world.forwarder.frame_to_peer(*s, hex("c021 0901").data(), 4);
  EQ(w.world.sent[0].traffic_class, 0xb8);
}

// Fragments, options, extension headers, UDP without checksum, odd lengths, jumbo: the octets that come are those that go, each way.
void as_they_are() {
  for (const bool coalesces : {false, true}) {
    Way w(65'000);
    w.world.forwarder.coalesces = coalesces;
    std::vector<Bytes> packets;
    for (const size_t n : {8u, 9u, 100u, 1473u, 8973u, 64'900u}) {
      for (const bool v6 : {false, true}) {
        Bytes udp = udp_datagram(numbered(n));
        put16(&udp[6], 0);
        packets.push_back(ip_packet(v6, kUdp, udp));
        packets.push_back(ip_packet(v6, kTcp, tcp_segment(numbered(n), 0x10)));
      }
      packets.push_back(ip_packet(false, kUdp, numbered(n & ~7u), 0x2000));
      packets.push_back(ip_packet(false, kUdp, numbered(n), 0x0010));
      Bytes options = ip_packet(false, kUdp, udp_datagram(numbered(n)));
      const Bytes router_alert = hex("94040000");
      options.insert(options.begin() + 20, router_alert.begin(), router_alert.end());
      options[0] = 0x46;
      put16(&options[2], options.size());
      put16(&options[10], 0);
      put16(&options[10], checksum(sum(options.data(), 24)));
      packets.push_back(options);
      Bytes extension = hex("1100 0104 00000000");  // destination options, UDP behind
      const Bytes udp = udp_datagram(numbered(n));
      extension.insert(extension.end(), udp.begin(), udp.end());
      packets.push_back(ip_packet(true, 60, extension));
      packets.push_back(ip_packet(true, 44, numbered(n + 8)));
    }
    const VnetHeader none{};
    for (const Bytes& p : packets) {
      w.world.sent.clear();
      w.world.from_tun(coalesces ? &none : nullptr, p);
      EQ(w.world.sent.size(), 1u);
      CHECK(inner(w.world.sent[0]) == p);

      Bytes up = p;
      const size_t at = p[0] >> 4 == 4 ? 12 : 8, size = p[0] >> 4 == 4 ? 4 : 16;
      for (size_t i = 0; i < size; i++) std::swap(up[at + i], up[at + size + i]);
      Bytes d = hex("0002 0001 0002 ff03 0021");
      if (size == 16) d.back() = 0x57;
      d.insert(d.end(), up.begin(), up.end());
      w.world.tun.clear();
      w.world.datagram({}, path_of(1), d);
      EQ(w.world.tun.size(), 1u);
      CHECK(w.world.tun[0] == up);
    }
    EQ(w.world.dropped(w.session), 0u);
  }
}

// ---- reordering

struct Numbers {
  Way w{1400};
  std::vector<uint16_t> got;
  explicit Numbers(size_t most) {
    w.session->sequence.on = true;
    w.session->frames = Limit(1'000'000, 1'000'000);
    w.world.forwarder.set_reorder(*w.session, most, w.world.now);
  }
  void put(uint16_t ns) {
    Bytes d = hex("0802 0001 0002 0000 0000 c021 0000");
    put16(&d[6], ns);
    put16(&d[12], ns);
    w.world.datagram({}, path_of(1), d);
    take();
  }
  void pass(uint64_t ms) {
    w.world.now += ms;
    w.world.forwarder.expire(w.world.now);
    take();
  }
  void take() {
    for (const World::Up& up : w.world.ups) got.push_back(get16(up.data.data()));
    w.world.ups.clear();
  }
  uint64_t lost() const { return w.world.drops(w.session, SessionDrop::sequence); }
  bool is(std::initializer_list<uint16_t> want) { return got == std::vector<uint16_t>(want); }
};

// RFC 2661 §5.4: what comes before its time waits for what is missing, which is given up without room and after a while.
void reordering() {
  Numbers n(3);
  for (const uint16_t ns : {65534, 0, 65535, 2, 2, 1}) n.put(ns);
  CHECK(n.is({65534, 65535, 0, 1, 2}));
  EQ(n.lost(), 1u);
  CHECK(!n.w.world.forwarder.holds());
  // Full: the first gap is given up, not the second.
  for (const uint16_t ns : {4, 5, 7, 8}) n.put(ns);
  CHECK(n.is({65534, 65535, 0, 1, 2, 4, 5}));
  n.put(3);
  EQ(n.lost(), 2u);
  n.put(6);
  CHECK(n.is({65534, 65535, 0, 1, 2, 4, 5, 6, 7, 8}));
  // Full, and the message is the one that is next then.
  for (const uint16_t ns : {10, 11, 12, 13}) n.put(ns);
  CHECK(n.got.back() == 13 && !n.w.world.forwarder.holds());
  n.got.clear();
  // Time.
  n.put(15);
  EQ(n.w.world.forwarder.holds_until(), n.w.world.now + kReorderFor);
  n.pass(kReorderFor / 2);
  n.put(17);
  n.pass(kReorderFor / 2);
  CHECK(n.is({}));
  n.pass(1);
  CHECK(n.is({15, 17}) && !n.w.world.forwarder.holds());
  n.put(18);
  // A peer that begins anew: what is held is of before.
  n.put(20);
  for (const uint16_t ns : {40000, 40001, 40002, 40003}) n.put(ns);
  CHECK(n.is({15, 17, 18}));
  n.put(40004);
  CHECK(n.got.back() == 40004 && !n.w.world.forwarder.holds());
  // Off: what was held goes on.
  n.put(40006);
  n.w.world.forwarder.set_reorder(*n.w.session, 0, n.w.world.now);
  n.take();
  CHECK(n.got.back() == 40006 && !n.w.world.forwarder.holds());
  // A session that goes takes it along.
  Numbers gone(4);
  gone.put(1);
  gone.put(3);
  CHECK(gone.w.world.forwarder.holds());
  CHECK(gone.w.world.forwarder.remove_session({1, 2}));
  CHECK(!gone.w.world.forwarder.holds());
  // What is held goes on though its mark is forgotten meanwhile.
  Numbers forgotten(4);
  for (const uint16_t ns : {0, 2}) forgotten.put(ns);
  forgotten.w.world.forwarder.marks.forget(1);
  forgotten.pass(kReorderFor + 1);
  CHECK(forgotten.is({0, 2}));
}

// One session's large messages do not take the room of the others: the first gap is given up, then as many more as must be.
void reordering_of_large_ones() {
  Numbers n(kMaxReorder);
  const auto put = [&](uint16_t ns, size_t octets) {
    Bytes d = hex("0802 0001 0002 0000 0000 c021 0000");
    put16(&d[6], ns);
    put16(&d[12], ns);
    d.resize(10 + octets);
    n.w.world.datagram({}, path_of(1), d);
    n.take();
  };
  n.put(0);
  for (const uint16_t ns : {2, 4}) put(ns, kReorderOfOne / 2);
  CHECK(n.is({0}));
  put(6, 4);
  CHECK(n.is({0, 2}));
  put(8, kReorderOfOne / 2);
  CHECK(n.is({0, 2, 4}));
  for (const uint16_t ns : {5, 7}) n.put(ns);
  CHECK(n.is({0, 2, 4, 5, 6, 7, 8}) && !n.w.world.forwarder.holds());
  // The message that found no room is the next one then: no more is given up.
  n.got.clear();
  n.put(10);
  put(12, kReorderOfOne / 2);
  put(14, kReorderOfOne / 2 - 4);
  CHECK(n.is({}));
  put(11, kReorderOfOne / 2);
  CHECK(n.is({10, 11, 12}));
  n.put(13);
  CHECK(n.is({10, 11, 12, 13, 14}));
  EQ(n.lost(), 0u);
}

// Packets held are the packets that go on, merged or not, whatever comes into the receive buffer meanwhile.
void reordered_packets() {
  Way w(1400);
  w.world.forwarder.coalesces = true;
  w.session->sequence.on = true;
  w.world.forwarder.set_reorder(*w.session, 8, w.world.now);
  const auto datagram = [&](uint16_t ns) {
    Bytes t = hex("03e8 0050 00000000 00000000 5010 ffff 0000 0000");
    t.resize(20 + 500, static_cast<uint8_t>(ns));
    put32(&t[4], ns * 500u);
    Bytes ip = ip_packet(false, kTcp, t, 0x4000);
    put32(&ip[12], 0x0a090002);
    put32(&ip[16], 0x0a090001);
    put16(&ip[10], 0);
    put16(&ip[10], checksum(sum(ip.data(), 20)));
    IpHeader h;
    CHECK(parse_ip(ip.data(), ip.size(), h));
    put16(&ip[36], checksum(pseudo_header(ip.data(), h, kTcp, t.size()) + sum(&ip[20], t.size())));
    Bytes d = hex("0802 0001 0002 0000 0000 ff03 0021");
    put16(&d[6], ns);
    d.insert(d.end(), ip.begin(), ip.end());
    return d;
  };
  for (const uint16_t ns : {0, 2, 3, 1, 5, 4}) w.world.datagram({}, path_of(1), datagram(ns));
  Bytes data;
  size_t merged = 0;
  for (const Bytes& p : w.world.tun) {
    merged += p.size() > 540;
    data.insert(data.end(), p.begin() + 40, p.end());
  }
  EQ(data.size(), 3000u);
  for (size_t i = 0; i < data.size(); i++) EQ(data[i], i / 500);
  CHECK(merged >= 2);
  EQ(w.session->counters->packets_in.get(), 6u);
}

// Any order and any loss over several sessions: numbers only grow, nothing is there twice, and what is not delivered is counted.
void reordering_at_random() {
  Random random(9);
  for (int round = 0; round < 200; round++) {
    const size_t most = 1 + random.below(16);
    Numbers n(most);
    const bool lossless = round % 2 == 0;
    std::vector<uint16_t> line;
    const auto start = static_cast<uint16_t>(random.next());
    for (uint16_t i = 0; i < 300; i++) {
      if (lossless || random.below(10) != 0) line.push_back(static_cast<uint16_t>(start + i));
      if (!lossless && random.below(20) == 0) line.push_back(static_cast<uint16_t>(start + i));
    }
    // Each moves back by less than the room there is.
    for (size_t i = 1; i < line.size(); i++) {
      if (random.below(3) != 0) continue;
      const size_t to = i + random.below(lossless ? most : 2 * most);
      if (to >= line.size()) continue;
      const uint16_t one = line[i];
      line.erase(line.begin() + static_cast<long>(i));
      line.insert(line.begin() + static_cast<long>(to), one);
      i = to;
    }
    n.put(static_cast<uint16_t>(start - 1));
    for (const uint16_t ns : line) {
      n.put(ns);
      if (!lossless && random.below(30) == 0) n.pass(random.below(150));
    }
    n.pass(kReorderFor + 1);
    CHECK(!n.w.world.forwarder.holds());
    EQ(n.got.size() + n.lost(), line.size() + 1);
    for (size_t i = 1; i < n.got.size(); i++) {
      const auto step = static_cast<uint16_t>(n.got[i] - n.got[i - 1]);
      CHECK(lossless ? step == 1 : step >= 1 && step < 0x8000);
    }
    if (lossless) EQ(n.lost(), 0u);
  }
}

// Any events of several sessions.
void reordering_against_the_model() {
  Random random(13);
  for (int round = 0; round < 400; round++) {
    Bytes input(1 + 3 * (1 + random.below(300)));
    for (auto& o : input) o = static_cast<uint8_t>(random.next());
    fuzz_reorder(input.data(), input.size());
  }
}

// Every prefix of a datagram is handled, and none makes the forwarder read beyond it.
// ---- what JS answers

Punt punt_of(const Bytes& packet) {
  // A copy of exactly its size, so that the sanitizer sees a look beyond it.
  std::unique_ptr<uint8_t[]> p(new uint8_t[packet.size()]);
  std::copy(packet.begin(), packet.end(), p.get());
  Address gateway;
  CHECK(parse_address("10.9.0.1", gateway));
  IpHeader ip;
  return parse_ip(p.get(), packet.size(), ip) ? punt_kind(p.get(), ip, {gateway}) : Punt::none;
}

void punts() {
  const auto udp4 = [](const char* to, const char* port) {
    return hex(std::string("45000024 00000000 4011 0000 0a090002") + to + "0044" + port + "0010 0000 0102030405060708");
  };
  CHECK(punt_of(udp4("ffffffff", "0043")) == Punt::dhcp);
  CHECK(punt_of(udp4("0a090001", "0043")) == Punt::dhcp);
  CHECK(punt_of(udp4("0a080001", "0043")) == Punt::none);  // of a relay, to its server
  CHECK(punt_of(udp4("ffffffff", "0044")) == Punt::none);
  Bytes fragment = udp4("ffffffff", "0043");
  fragment[6] = 0x20;
  CHECK(punt_of(fragment) == Punt::none);
  const auto ip6 = [](const char* next, const char* hops, const char* to, const char* payload) {
    const Bytes body = hex(payload);
    Bytes p = hex(std::string("60000000 0000") + next + hops + "fe800000000000000000000000000002" + to);
    put16(&p[4], static_cast<uint16_t>(body.size()));
    p.insert(p.end(), body.begin(), body.end());
    return p;
  };
  const char* all = "ff020000000000000000000000010002";
  const char* one = "20010db8000000000000000000000067";
  CHECK(punt_of(ip6("11", "ff", all, "0222 0223 0008 0000")) == Punt::dhcpv6);
  CHECK(punt_of(ip6("11", "ff", one, "0222 0223 0008 0000")) == Punt::none);
  for (const char* type : {"85", "87"}) {
    const std::string body = std::string(type) + "000000 00000000";
    CHECK(punt_of(ip6("3a", "ff", all, body.c_str())) == Punt::solicitation);
    CHECK(punt_of(ip6("3a", "fe", all, body.c_str())) == Punt::none);
  }
  CHECK(punt_of(ip6("3a", "ff", all, "80000000 00000000")) == Punt::none);
  // Whatever its length says, nothing beyond the packet is looked at.
  for (const Bytes& whole : {udp4("ffffffff", "0043"), ip6("3a", "ff", all, "85000000 00000000"),
                             ip6("11", "ff", all, "0222 0223 0008 0000")}) {
    const size_t header = whole[0] >> 4 == 4 ? 20 : 40;
    for (size_t n = 0; n < whole.size(); n++) {
      Bytes cut(whole.begin(), whole.begin() + static_cast<long>(n));
      if (header == 20 && n >= 4) put16(&cut[2], static_cast<uint16_t>(n));
      if (header == 40 && n >= 40) put16(&cut[4], static_cast<uint16_t>(n - 40));
      if (n < header + 8) CHECK(punt_of(cut) == Punt::none);
    }
  }
}

void every_prefix() {
  Way w(1400);
  const Bytes syn = hex("c000 0050 00000001 00000000 6002 ffff 0000 0000 020405b4");
  for (const bool v6 : {false, true}) {
    Bytes d = hex("4b02 0000 0001 0002 1111 2222 0003 eeeeee ff03 0021");
    d.back() = v6 ? 0x57 : 0x21;
    const Bytes ip = ip_packet(v6, kTcp, syn);
    d.insert(d.end(), ip.begin(), ip.end());
    for (size_t n = 0; n <= d.size(); n++) {
      Bytes cut(d.begin(), d.begin() + static_cast<long>(n));
      if (n >= 4) put16(&cut[2], n);
      w.world.datagram({}, path_of(1), cut);
      w.world.from_tun(nullptr, Bytes(ip.begin(), ip.begin() + static_cast<long>(std::min(n, ip.size()))));
    }
  }
}

}  // namespace

// unit SEEDS ROUNDS
int main(int argc, char** argv) {
  if (argc != 3) return 2;
  cases({{"addresses", addresses},
                {"incremental checksum", incremental_checksum},
                {"routes against a slow model", routes_against_model},
                {"flat map against a slow model", flat_map_against_model},
                {"table and tunnels", table_and_tunnels},
                {"limits", limits},
                {"rates", rates},
                {"sequences", sequences},
                {"TCP segmentation", tcp_segmentation},
                {"UDP segmentation", udp_segmentation},
                {"segments beyond the MTU", segments_beyond_the_mtu},
                {"partial checksums", partial_checksums},
                {"frames that lie", frames_that_lie},
                {"fragment of a fragment", fragment_of_a_fragment},
                {"marks", marks},
                {"raw_and_marked", raw_and_marked},
                {"control_rate", control_rate},
                {"frame rate", frame_rate},
                {"violations", violations},
                {"upcall room", upcall_room},
                {"outer class", outer_class},
                {"as they are", as_they_are},
                {"reordering", reordering},
                {"reordering of large ones", reordering_of_large_ones},
                {"reordered packets", reordered_packets},
                {"reordering at random", reordering_at_random},
                {"reordering against the model", reordering_against_the_model},
                {"punts", punts},
                {"every prefix", every_prefix}});
  merge_cases();
  queue_cases();
  drive(fuzz_packets, argv[1], std::atol(argv[2]));
  return 0;
}
