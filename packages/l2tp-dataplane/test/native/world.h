// A Sink that keeps what the forwarder does, and checks what must always hold. Buffers have exactly the size they are
// said to have, so that the address sanitizer sees every octet read or written outside.
#pragma once
#include <algorithm>
#include <cstring>
#include <memory>

#include "../../src/forward.h"
#include "check.h"

namespace dp {

struct World final : Sink {
  struct Sent {
    Session* session;
    Bytes data;
    size_t octets;
    uint8_t traffic_class;
  };
  struct Up {
    char kind;
    bool confirmed;
    Ids ids;
    Path path;
    Bytes data;
  };
  GlobalCounters counters;
  Forwarder forwarder{*this, counters};
  std::vector<Bytes> tun;
  std::vector<VnetHeader> vnets;  // of each in `tun`
  std::vector<Sent> sent;
  std::vector<Up> ups;
  bool tun_works = true;
  bool room = true;
  uint64_t now = 1;

  Session* add(Ids ids, const Path& path, std::initializer_list<const char*> prefixes, bool open = true) {
    auto s = std::make_unique<Session>();
    s->ours = ids;
    s->peers = {0x3333, 0x4444};
    s->path = path;
    s->open = open;
    s->counters = std::make_shared<SessionCounters>();
    Session* p = forwarder.sessions.add(std::move(s));
    std::vector<Prefix> list;
    for (const char* text : prefixes) {
      list.emplace_back();
      CHECK(parse_prefix(text, list.back()));
    }
    if (p != nullptr) forwarder.replace_prefixes(*p, list);
    return p;
  }

  // The datagram lies in an allocation of its own size; merged packets are written out at once.
  void datagram(const ListenerPolicy& listener, const Path& from, const Bytes& data) {
    std::unique_ptr<uint8_t[]> buffer(new uint8_t[data.size()]);
    if (!data.empty()) std::memcpy(buffer.get(), data.data(), data.size());
    for (int step = 0; step < Forwarder::kSteps; step++) forwarder.expect_datagram(step, buffer.get(), data.size());
    forwarder.datagram(listener, from, buffer.get(), data.size(), now);
    forwarder.flush_inside(now);
  }

  void from_tun(const VnetHeader* vnet, const Bytes& data) {
    std::unique_ptr<uint8_t[]> buffer(new uint8_t[data.size()]);
    if (!data.empty()) std::memcpy(buffer.get(), data.data(), data.size());
    for (int step = 0; step < Forwarder::kSteps; step++) forwarder.expect_packet(step, buffer.get(), data.size());
    forwarder.from_tun(vnet, buffer.get(), data.size(), now);
  }

  uint64_t dropped(const Session* s) const {
    uint64_t n = 0;
    for (const Counter& c : s->counters->drops) n += c.get();
    return n;
  }
  uint64_t drops(const Session* s, SessionDrop why) const { return s->counters->drops[static_cast<size_t>(why)].get(); }

  bool to_tun(const VnetHeader& vnet, const iovec* parts, size_t count) override {
    Bytes packet;
    for (size_t i = 0; i < count; i++) {
      const auto* p = static_cast<const uint8_t*>(parts[i].iov_base);
      packet.insert(packet.end(), p, p + parts[i].iov_len);
    }
    IpHeader ip;
    CHECK(parse_ip(packet.data(), packet.size(), ip) && ip.length == packet.size());
    CHECK((vnet.gso_type != 0) == (count > 1));
    tun.push_back(packet);
    vnets.push_back(vnet);
    return tun_works;
  }

  void to_peer(const Outgoing& out) override {
    CHECK(out.head_length <= kMaxDataHeader + kMaxHead);
    Bytes data(out.head, out.head + out.head_length);
    data.insert(data.end(), out.body, out.body + out.body_length);
    L2tpHeader h;
    CHECK(parse_l2tp(data.data(), data.size(), h) == L2tpResult::ok && !h.control);
    CHECK((data[0] & 0x03) == 0);  // never O or P
    CHECK(((data[0] & 0x08) != 0) == out.session.sequence.on);
    CHECK(h.end == data.size() && h.tunnel == 0x3333);
    uint16_t protocol;
    size_t begin;
    CHECK(parse_ppp(data.data() + h.begin, h.end - h.begin, protocol, begin));
    if (out.octets > 0) {
      IpHeader ip;
      CHECK(parse_ip(data.data() + h.begin + begin, h.end - h.begin - begin, ip));
      CHECK(ip.length == out.octets && out.session.open);
      CHECK(ip.length <= (ip.family == Family::v6 ? std::max<size_t>(out.session.mtu, 1280) : out.session.mtu));
    }
    sent.push_back({&out.session, data, out.octets, out.traffic_class});
  }

  void flush() override {}
  bool control(const Path& from, bool confirmed, const uint8_t* p, size_t n) override {
    ups.push_back({'c', confirmed, {}, from, Bytes(p, p + n)});
    return room;
  }
  bool frame(Ids ids, uint16_t protocol, const uint8_t* information, size_t n) override {
    CHECK(protocol != kPppIpv4 && protocol != kPppIpv6);
    ups.push_back({'f', true, ids, {}, Bytes(information, information + n)});
    return room;
  }
  bool punt(Ids ids, const uint8_t* packet, size_t n) override {
    ups.push_back({'p', true, ids, {}, Bytes(packet, packet + n)});
    return room;
  }
  bool violation(Ids ids, const Path& from) override {
    ups.push_back({'v', true, ids, from, {}});
    return room;
  }
};

inline Path path_of(uint32_t mark, const char* remote = "198.51.100.2", const char* local = "198.51.100.1") {
  Path p;
  p.mark = mark;
  p.port = 1701;
  CHECK(parse_address(local, p.local) && parse_address(remote, p.remote));
  return p;
}

}  // namespace dp
