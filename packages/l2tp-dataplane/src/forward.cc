// The decisions of the packet thread. RFC 2661 §3.1, §5.3; RFC 3193 §3.3.
#include "forward.h"

#include <algorithm>

namespace dp {

namespace {

uint16_t ppp_protocol(Family f) { return f == Family::v4 ? kPppIpv4 : kPppIpv6; }

// Clamping leaves room for a header without options (RFC 6691): MSS does not count options.
uint16_t mss_for(const Session& s, Family f) {
  const uint16_t headers = f == Family::v4 ? 40 : 60;
  return static_cast<uint16_t>(std::max<int>(s.mtu - headers, 1));
}

// No IPv6 link has less than 1280, and hosts do not believe an error that says so (RFC 8200 §5, RFC 8201 §4): where the path
// carries less, fragments of the outer packet must do.
uint16_t mtu_for(const Session& s, Family f) { return f == Family::v4 ? s.mtu : std::max(s.mtu, kLeastMtu6); }

// RFC 2983 §3, RFC 2474 §3: the DSCP of the packet inside, if so wished. ECN stays Not-ECT: whether the peer takes a mark of
// the outer packet over to the inner one nobody has told (RFC 6040 §4.1, RFC 9601 §5).
uint8_t traffic_class(const Session& s, const uint8_t* ip) {
  if (s.dscp != kCopyDscp) return static_cast<uint8_t>(s.dscp << 2);
  const int inner = (ip[0] >> 4) == 4 ? ip[1] : ip[0] << 4 | ip[1] >> 4;
  return inner & 0xfc;
}

}  // namespace

size_t write_data_header(Session& s, uint16_t protocol, size_t n, uint8_t* out) {
  const bool compressed = s.acfc && (protocol == kPppIpv4 || protocol == kPppIpv6);
  const size_t ppp = compressed ? 2 : 4;
  size_t at = 2;
  out[0] = s.length_bit ? 0x40 : 0;
  out[1] = 2;
  if (s.length_bit) {
    put16(out + 2, (s.sequence.on ? 12 : 8) + ppp + n);
    at = 4;
  }
  put16(out + at, s.peers.tunnel);
  put16(out + at + 2, s.peers.session);
  at += 4;
  if (s.sequence.on) {
    out[0] |= 0x08;
    put16(out + at, s.sequence.next());
    put16(out + at + 2, 0);
    at += 4;
  }
  if (!compressed) {
    put16(out + at, 0xff03);
    at += 2;
  }
  put16(out + at, protocol);
  return at + 2;
}

void Forwarder::replace_prefixes(Session& s, std::vector<Prefix> prefixes) {
  // A prefix named twice would need two removals.
  std::vector<Prefix> next;
  for (const Prefix& p : prefixes) {
    if (std::find(next.begin(), next.end(), p) == next.end()) next.push_back(p);
  }
  // What stays is left in place: its route does not pass to the newest holder again.
  for (const Prefix& p : s.prefixes) {
    if (std::find(next.begin(), next.end(), p) == next.end()) routes.remove(p, &s);
  }
  for (const Prefix& p : next) {
    if (std::find(s.prefixes.begin(), s.prefixes.end(), p) == s.prefixes.end()) routes.add(p, &s);
  }
  s.prefixes = std::move(next);
}

bool Forwarder::remove_session(Ids ids) {
  Session* s = sessions.find(ids);
  if (s == nullptr) return false;
  replace_prefixes(*s, {});
  stop_holding(*s);
  return sessions.remove(ids);
}

void Forwarder::datagram(const ListenerPolicy& listener, const Path& from, uint8_t* p, size_t n, uint64_t now) {
  if (listener.raw) {
    const auto named = [&](const Prefix& peer) { return peer.contains(from.remote); };
    if (std::none_of(listener.peers.begin(), listener.peers.end(), named)) return counters_.drop(GlobalDrop::raw_peer);
  } else if (from.mark == 0) {
    return counters_.drop(GlobalDrop::mark_zero);
  }
  if (from.port == 0) return counters_.drop(GlobalDrop::port_zero);
  L2tpHeader header;
  switch (parse_l2tp(p, n, header)) {
    case L2tpResult::too_short:
      return counters_.drop(GlobalDrop::too_short);
    case L2tpResult::bad_version:
      return counters_.drop(GlobalDrop::version);
    case L2tpResult::ok:
      break;
  }
  const bool confirmed = listener.raw || marks.has(from.mark);
  if (header.control) {
    if (confirmed && !listener.raw && !marks.take_control(from.mark, n, now)) {
      return counters_.drop(GlobalDrop::control_rate);
    }
    if (!sink_.control(from, confirmed, p, n)) counters_.drop(GlobalDrop::queue_full);
    return;
  }
  if (!confirmed) return counters_.drop(GlobalDrop::mark_unknown);
  Session* s = sessions.find(Ids{header.tunnel, header.session});
  if (s == nullptr) return counters_.drop(GlobalDrop::no_session);
  if (s->path != from) return violation(*s, from, now);
  // A message without a number is taken as it is: what else could be done with it is to lose it.
  const size_t length = header.end - header.begin;
  if (s->sequence.on && header.sequenced) {
    if (s->reorder != nullptr) return numbered(*s, header.ns, p + header.begin, length, now);
    if (!s->sequence.take(header.ns)) return s->drop(SessionDrop::sequence);
  }
  message(*s, p + header.begin, length, now);
}

void Forwarder::message(Session& s, uint8_t* p, size_t n, uint64_t now) {
  uint16_t protocol;
  size_t begin;
  if (!parse_ppp(p, n, protocol, begin)) return s.drop(SessionDrop::malformed);
  uint8_t* information = p + begin;
  const size_t left = n - begin;
  if (protocol == kPppIpv4) return ip_from_peer(s, Family::v4, information, left, now);
  if (protocol == kPppIpv6) return ip_from_peer(s, Family::v6, information, left, now);
  if (!s.frames.take(now) || !marks.take_frame(s.path.mark, now)) return s.drop(SessionDrop::rate);
  if (!sink_.frame(s.ours, protocol, information, left)) counters_.drop(GlobalDrop::queue_full);
}

// What is ahead waits for what is missing; without room, or after kReorderFor, the missing is given up.
void Forwarder::numbered(Session& s, uint16_t ns, uint8_t* p, size_t n, uint64_t now) {
  Reorder& r = *s.reorder;
  if (s.sequence.is_ahead(ns) && held_octets_ + n > kReorderOctets) release(s, Until::end, now);
  while (s.sequence.is_ahead(ns) && r.full(n)) release(s, Until::gap, now);
  // Still no room: others hold it all.
  if (s.sequence.is_ahead(ns) && held_octets_ + n <= kReorderOctets) {
    const bool listed = !r.empty();
    if (!r.hold(ns, s.sequence.expected(), p, n, now)) return s.drop(SessionDrop::sequence);
    held_octets_ += n;
    if (!listed) {
      r.before = holding_last_;
      (holding_last_ != nullptr ? holding_last_->reorder->after : holding_first_) = &s;
      holding_last_ = &s;
    }
    return;
  }
  const bool next = s.sequence.is_next(ns);
  if (!s.sequence.take(ns)) return s.drop(SessionDrop::sequence);
  message(s, p, n, now);
  // One that is not the next and taken is the first of all, of a peer that begins anew, or found no room: what is held, if anything,
  // is of before.
  if (!next) return stop_holding(s);
  if (!r.empty() && s.sequence.is_next(r.first())) release(s, Until::gap, now);
}

void Forwarder::release(Session& s, Until until, uint64_t now) {
  Reorder& r = *s.reorder;
  for (bool first = true; !r.empty() && (first || until == Until::end || s.sequence.is_next(r.first())); first = false) {
    Reorder::Message m = r.take_first();
    held_octets_ -= m.length;
    s.sequence.take(m.ns);
    message(s, m.data.get(), m.length, now);
    released_.push_back(std::move(m.data));
  }
  if (r.empty()) stop_holding(s);
}

void Forwarder::stop_holding(Session& s) {
  if (s.reorder == nullptr) return;
  Reorder& r = *s.reorder;
  while (!r.empty()) {
    held_octets_ -= r.take_first().length;
    s.drop(SessionDrop::sequence);
  }
  if (holding_first_ != &s && r.before == nullptr) return;  // not in the list
  (r.before != nullptr ? r.before->reorder->after : holding_first_) = r.after;
  (r.after != nullptr ? r.after->reorder->before : holding_last_) = r.before;
  r.before = r.after = nullptr;
}

void Forwarder::expire(uint64_t now) {
  while (holds() && now > holds_until()) release(*holding_first_, Until::end, now);
  flush_inside(now);
}

void Forwarder::set_reorder(Session& s, size_t most, uint64_t now) {
  if (s.reorder != nullptr) {
    release(s, Until::end, now);
    flush_inside(now);
  }
  s.reorder.reset(most > 0 ? new Reorder(most) : nullptr);
}

// RFC 3193 §3.3: counted of the session and of the peer, reported once per peer and interval, never answered. Without a mark
// (raw mode) there is no peer but in name: then it is once per session.
void Forwarder::violation(Session& s, const Path& from, uint64_t now) {
  s.drop(SessionDrop::path);
  uint64_t* of_peer = marks.violated(from.mark);
  uint64_t& reported_until = of_peer == nullptr ? s.reported_until : *of_peer;
  if (now < reported_until) return;
  reported_until = now + kViolationInterval;
  if (!sink_.violation(s.ours, from)) counters_.drop(GlobalDrop::queue_full);
}

void Forwarder::ip_from_peer(Session& s, Family family, uint8_t* p, size_t n, uint64_t now) {
  if (!s.open) return s.drop(SessionDrop::closed);
  IpHeader ip;
  if (!parse_ip(p, n, ip) || ip.family != family) return s.drop(SessionDrop::malformed);
  if (punted(s, p, ip, now)) return;
  if (!routes.may_use(ip.source, &s)) return s.drop(SessionDrop::spoof);
  if (is_multicast(ip.destination)) return s.drop(SessionDrop::multicast);
  if (!s.up.take(ip.length, now)) return s.drop(SessionDrop::limit);
  if (s.clamp_mss) clamp_mss(p, ip, mss_for(s, family));
  now_ = now;
  if (coalesces) return coalescer.add(s, p, ip);
  const iovec part{p, ip.length};
  merged({s, VnetHeader{}, &part, 1, 1, ip.length});
}

void Forwarder::flush_inside(uint64_t now) {
  now_ = now;
  coalescer.flush();
  released_.clear();
}

void Forwarder::merged(const Merged& m) {
  SessionCounters& c = *m.session.counters;
  if (!sink_.to_tun(m.vnet, m.parts, m.count)) return c.drop(SessionDrop::tun, m.packets);
  c.packets_in.add(m.packets);
  c.octets_in.add(m.octets);
  c.last_traffic.set(now_);
}

bool Forwarder::punted(Session& s, const uint8_t* p, const IpHeader& ip, uint64_t now) {
  const Punt kind = punt_kind(p, ip, gateway);
  if (kind == Punt::none) return false;
  if (!(ip.source.any() && may_be_unspecified(kind)) && !routes.may_use(ip.source, &s)) {
    s.drop(SessionDrop::spoof);
  } else if (ip.length > kMaxPunt) {
    s.drop(SessionDrop::too_big);
  } else if (!s.punts.take(now)) {
    s.drop(SessionDrop::rate);
  } else if (!sink_.punt(s.ours, p, ip.length)) {
    counters_.drop(GlobalDrop::queue_full);
  }
  return true;
}

void Forwarder::from_tun(const VnetHeader* vnet, uint8_t* p, size_t n, uint64_t now) {
  IpHeader ip;
  if (!parse_ip(p, n, ip)) return counters_.drop(GlobalDrop::no_route);
  Session* s = routes.find(ip.destination);
  if (s == nullptr || is_multicast(ip.destination)) return counters_.drop(GlobalDrop::no_route);
  if (!s->open) return s->drop(SessionDrop::closed);
  now_down_ = now;
  if (vnet != nullptr) {
    if (gso_kind(*vnet) != Gso::none) return gso_to_peer(*s, *vnet, p, ip, now);
    if ((vnet->flags & kNeedsChecksum) && !complete_checksum(*vnet, p, ip.length)) {
      return s->drop(SessionDrop::malformed);
    }
  }
  if (ip.length > mtu_for(*s, ip.family)) {
    if (ip.dont_fragment) return too_big(*s, p, ip, now);
    cut_for_ = s;
    return fragment_ipv4(p, ip, s->mtu, *this);
  }
  if (s->clamp_mss) clamp_mss(p, ip, mss_for(*s, ip.family));
  if (!s->down.take(ip.length, now)) return s->drop(SessionDrop::limit);
  uint8_t head[kMaxDataHeader];
  const size_t length = write_data_header(*s, ppp_protocol(ip.family), ip.length, head);
  sink_.to_peer(Outgoing{*s, head, length, p, ip.length, ip.length, traffic_class(*s, p)});
}

void Forwarder::gso_to_peer(Session& s, const VnetHeader& vnet, uint8_t* p, const IpHeader& ip, uint64_t now) {
  const Gso kind = gso_kind(vnet);
  const size_t head = kind == Gso::unknown ? 0 : segment_head(vnet, p, ip);
  if (head == 0) return s.drop(SessionDrop::malformed);
  size_t size = vnet.gso_size;
  const size_t mtu = mtu_for(s, ip.family);
  const bool fits = head + std::min(size, ip.length - head) <= mtu;
  if (!fits && ip.dont_fragment) return too_big(s, p, ip, now);
  cut_for_ = &s;
  // Without DF a TCP frame is simply cut finer; datagrams keep their boundaries and are fragmented.
  if (!fits && kind == Gso::tcp && head < mtu) size = mtu - head;
  cut_again_ = head + std::min(size, ip.length - head) > mtu;
  segment(vnet, p, ip, head, size, *this);
  cut_again_ = false;
}

void Forwarder::too_big(Session& s, uint8_t* p, const IpHeader& ip, uint64_t now) {
  s.drop(SessionDrop::too_big);
  if (!may_answer_with_error(p, ip) || !s.errors.take(now) || !errors_.take(now)) return;
  const iovec part{error_, too_big_error(p, ip, mtu_for(s, ip.family), error_)};
  if (!sink_.to_tun(VnetHeader{}, &part, 1)) s.drop(SessionDrop::tun);
}

void Forwarder::piece(const uint8_t* head, size_t head_length, const uint8_t* body, size_t body_length) {
  const size_t total = head_length + body_length;
  if (cut_again_ && total > cut_for_->mtu) {
    std::memcpy(whole_, head, head_length);
    std::memcpy(whole_ + head_length, body, body_length);
    IpHeader ip;
    cut_again_ = false;
    if (parse_ip(whole_, total, ip)) fragment_ipv4(whole_, ip, cut_for_->mtu, *this);
    cut_again_ = true;
    sink_.flush();  // before `whole_` is written again
    return;
  }
  if (!cut_for_->down.take(total, now_down_)) return cut_for_->drop(SessionDrop::limit);
  uint8_t out[kMaxDataHeader + kMaxHead];
  const uint16_t protocol = (head[0] >> 4) == 4 ? kPppIpv4 : kPppIpv6;
  const size_t length = write_data_header(*cut_for_, protocol, total, out);
  std::memcpy(out + length, head, head_length);
  sink_.to_peer(Outgoing{*cut_for_, out, length + head_length, body, body_length, total, traffic_class(*cut_for_, head)});
}

void Forwarder::expect_datagram(int step, const uint8_t* p, size_t n) const {
  L2tpHeader header;
  if (parse_l2tp(p, n, header) != L2tpResult::ok || header.control) return;
  const Ids ids{header.tunnel, header.session};
  if (step == 0) return sessions.expect(ids);
  const Session* s = sessions.find(ids);
  if (s == nullptr) return;
  if (step == 1) return expect_session(*s);
  ahead(s->prefixes.data(), sizeof(Prefix));
  expect_path(*s);
}

void Forwarder::expect_packet(int step, const uint8_t* p, size_t n) const {
  const int version = n < 20 ? 0 : p[0] >> 4;
  if (version != 4 && (version != 6 || n < 40)) return;
  const Address to = version == 4 ? Address::v4(p + 16) : Address::v6(p + 24);
  if (step == 0) return routes.expect(to);
  const Session* s = routes.find(to);
  if (s == nullptr) return;
  if (step == 1) return expect_session(*s);
  expect_path(*s);
}

void Forwarder::expect_session(const Session& s) {
  ahead(&s, static_cast<size_t>(reinterpret_cast<const char*>(&s.punts) - reinterpret_cast<const char*>(&s)));
}

// What counts a packet that passes, and its mark.
void Forwarder::expect_path(const Session& s) const {
  const SessionCounters* c = s.counters.get();
  ahead(c, static_cast<size_t>(reinterpret_cast<const char*>(&c->drops) - reinterpret_cast<const char*>(c)));
  marks.expect(s.path.mark);
}

void Forwarder::frame_to_peer(Session& s, const uint8_t* frame, size_t n) {
  if (n < 2) return;
  if (n > kMaxFrame) return s.drop(SessionDrop::too_big);
  uint8_t head[kMaxDataHeader];
  const size_t length = write_data_header(s, get16(frame), n - 2, head);
  const auto fixed = static_cast<uint8_t>(s.dscp == kCopyDscp ? 0 : s.dscp << 2);
  sink_.to_peer(Outgoing{s, head, length, frame + 2, n - 2, 0, fixed});
}

}  // namespace dp
