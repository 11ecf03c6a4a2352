// Which packets are one: the rules of the kernel's GRO, made strict enough that cutting gives the same octets back.
// RFC 9293 §3.1, RFC 3168 §6.1, RFC 768, RFC 791 §3.1, RFC 6864 §4.1.
#include "coalesce.h"

#include <algorithm>

namespace dp {

namespace {

constexpr uint8_t kFin = 0x01, kPsh = 0x08, kAck = 0x10, kEce = 0x40, kCwr = 0x80;
constexpr uint16_t kDontFragment = 0x4000;

uint8_t bucket_of(const uint8_t* addresses, size_t n, const uint8_t* ports) {
  uint32_t h = get32(ports) * 0x9e3779b1u;
  for (size_t i = 0; i < n; i += 4) h = (h ^ get32(addresses + i)) * 0x85ebca6bu;
  return static_cast<uint8_t>(h >> 24);
}

const uint8_t* addresses(const uint8_t* p, Family f) { return p + (f == Family::v4 ? 12 : 8); }
size_t addresses_size(Family f) { return f == Family::v4 ? 8 : 32; }

}  // namespace

Coalescer::Coalescer(Out& out) : out_(out) {
  for (Flow& f : flows_) {
    f.next_in_bucket = free_;
    free_ = &f;
  }
}

// False: no header of TCP or UDP is where it is looked for; then the flow is not known.
bool Coalescer::read(Session& s, uint8_t* p, const IpHeader& ip, Packet& out) {
  const bool tcp = ip.protocol == kTcp;
  if ((!tcp && ip.protocol != kUdp) || ip.fragment) return false;
  if (ip.header != (ip.family == Family::v4 ? 20u : 40u)) return false;  // IP options
  if (ip.length < ip.header + (tcp ? 20 : 8)) return false;
  const size_t header = tcp ? size_t{static_cast<uint8_t>(p[ip.header + 12] >> 4)} * 4 : 8;
  const size_t head = ip.header + header;
  if (head > ip.length || (tcp && header < 20)) return false;
  out = {&s, p, ip.family, ip.protocol, ip.header, head, ip.length - head};
  return true;
}

bool Coalescer::same_flow(const Flow& f, const Packet& k) {
  const Packet& a = f.first;
  return a.session == k.session && a.family == k.family && a.protocol == k.protocol &&
         std::memcmp(a.p + a.transport, k.p + k.transport, 4) == 0 &&
         std::memcmp(addresses(a.p, a.family), addresses(k.p, k.family), addresses_size(k.family)) == 0;
}

// Whether a packet may be part of a merged one at all. Its checksums are looked at: a merged packet has a new one, which
// would hide that the old one was wrong.
bool Coalescer::mergeable(const Packet& k) {
  const uint8_t* t = k.p + k.transport;
  const size_t n = k.length() - k.transport;
  if (k.payload == 0) return false;
  if (k.protocol == kTcp) {
    if ((t[13] & ~(kFin | kPsh | kCwr | kEce)) != kAck) return false;
    if (get16(t + 16) == 0xffff) return false;  // right when read, but not what is written: zero
  } else if (get16(t + 4) != n || get16(t + 6) == 0) {  // a checksum of zero is none (RFC 768)
    return false;
  }
  if (k.family == Family::v4) {
    if ((get16(k.p + 6) & ~kDontFragment) != 0) return false;  // the reserved bit
    if (fold(sum(k.p, 20)) != 0xffff || get16(k.p + 10) == 0xffff) return false;
  }
  const uint8_t* a = addresses(k.p, k.family);
  return fold(sum(a, addresses_size(k.family), k.protocol + n) + sum(t, n)) == 0xffff;
}

// Whether `k` is the packet that segment() would cut after those already in `f`.
bool Coalescer::follows(Flow& f, const Packet& k) {
  const Packet& a = f.first;
  if (f.count == kMaxMerged || k.head != a.head || k.payload > a.payload || f.total + k.payload > 65535) return false;
  if (k.family == Family::v4) {
    // Version and TOS with ECN (RFC 3168 §5.3), DF, TTL.
    if (get16(a.p) != get16(k.p) || get16(a.p + 6) != get16(k.p + 6) || a.p[8] != k.p[8]) return false;
    const uint16_t step = static_cast<uint16_t>(get16(k.p + 4) - get16(a.p + 4));
    // With DF the Identification means nothing (RFC 6864 §4.1), and some senders never change it.
    const bool fixed = step == 0 && (get16(k.p + 6) & kDontFragment) != 0 && (f.count == 1 || f.fixed_id);
    if (!fixed && (f.fixed_id || step != f.count)) return false;
    f.fixed_id = fixed;
  } else if (get32(a.p) != get32(k.p) || a.p[7] != k.p[7]) {  // version, traffic class, flow label; hop limit
    return false;
  }
  if (k.protocol == kUdp) return true;
  const uint8_t* t = a.p + a.transport;
  const uint8_t* u = k.p + k.transport;
  // FIN and PSH end a merged packet, CWR begins one; every other flag, the window, the urgent pointer, the acknowledgment
  // and the options (timestamps) are those of the first.
  return get32(u + 4) == f.next_sequence && get32(t + 8) == get32(u + 8) && t[12] == u[12] &&
         ((t[13] ^ u[13]) & ~(kFin | kPsh | kCwr)) == 0 && (u[13] & kCwr) == 0 && get16(t + 14) == get16(u + 14) &&
         get16(t + 18) == get16(u + 18) && std::memcmp(t + 20, u + 20, k.head - k.transport - 20) == 0;
}

bool Coalescer::ends(const Flow& f, const Packet& k) {
  return k.payload < f.first.payload || (k.protocol == kTcp && (k.p[k.transport + 13] & (kFin | kPsh)) != 0);
}

void Coalescer::add(Session& s, uint8_t* p, const IpHeader& ip) {
  Packet k;
  if (!read(s, p, ip, k)) {
    write_out_like(s, ip);
    return pass(s, p, ip.length);
  }
  const uint8_t bucket = bucket_of(addresses(p, ip.family), addresses_size(ip.family), p + k.transport);
  Flow* f = buckets_[bucket];
  while (f != nullptr && !same_flow(*f, k)) f = f->next_in_bucket;
  const bool may = (k.protocol == kTcp || udp) && mergeable(k);
  if (f != nullptr && may && follows(*f, k)) {
    const bool last = ends(*f, k);
    append(*f, k);
    if (last) write_out(*f);
    return;
  }
  if (f != nullptr) write_out(*f);
  if (!may || (k.protocol == kTcp && (p[k.transport + 13] & (kFin | kPsh)) != 0)) return pass(s, p, ip.length);
  begin(k, bucket);
}

void Coalescer::begin(const Packet& k, uint8_t bucket) {
  if (free_ == nullptr) write_out(*oldest_);
  Flow& f = *free_;
  free_ = f.next_in_bucket;
  f.first = k;
  f.next_sequence = k.protocol == kTcp ? get32(k.p + k.transport + 4) + static_cast<uint32_t>(k.payload) : 0;
  f.total = f.octets = k.length();
  f.count = 1;
  f.fixed_id = false;
  f.last_flags = 0;
  f.bucket = bucket;
  f.next_in_bucket = buckets_[bucket];
  buckets_[bucket] = &f;
  f.older = newest_;
  f.newer = nullptr;
  (newest_ != nullptr ? newest_->newer : oldest_) = &f;
  newest_ = &f;
  f.parts[0] = {k.p, k.length()};
}

void Coalescer::append(Flow& f, const Packet& k) {
  f.parts[f.count++] = {k.p + k.head, k.payload};
  f.next_sequence += static_cast<uint32_t>(k.payload);
  f.total += k.payload;
  f.octets += k.length();
  if (k.protocol == kTcp) f.last_flags |= static_cast<uint8_t>(k.p[k.transport + 13] & (kFin | kPsh));
}

void Coalescer::write_out(Flow& f) {
  Flow** link = &buckets_[f.bucket];
  while (*link != &f) link = &(*link)->next_in_bucket;
  *link = f.next_in_bucket;
  (f.older != nullptr ? f.older->newer : oldest_) = f.newer;
  (f.newer != nullptr ? f.newer->older : newest_) = f.older;
  f.next_in_bucket = free_;
  free_ = &f;

  const Packet& k = f.first;
  VnetHeader vnet{};
  if (f.count > 1) {
    const bool tcp = k.protocol == kTcp, v4 = k.family == Family::v4;
    uint8_t* t = k.p + k.transport;
    if (v4) {
      put16(k.p + 2, f.total);
      put16(k.p + 10, 0);
      put16(k.p + 10, checksum(sum(k.p, 20)));
    } else {
      put16(k.p + 4, f.total - 40);
    }
    vnet.flags = kNeedsChecksum;
    vnet.gso_type = tcp ? (v4 ? kGsoTcp4 : kGsoTcp6) : kGsoUdp;
    if (tcp && (t[13] & kCwr) != 0) vnet.gso_type |= kGsoEcn;
    vnet.hdr_len = static_cast<uint16_t>(k.head);
    vnet.gso_size = static_cast<uint16_t>(k.payload);
    vnet.csum_start = static_cast<uint16_t>(k.transport);
    vnet.csum_offset = tcp ? 16 : 6;
    if (tcp) {
      t[13] |= f.last_flags;
    } else {
      put16(t + 4, f.total - k.transport);
    }
    const uint64_t pseudo = sum(addresses(k.p, k.family), addresses_size(k.family), k.protocol + f.total - k.transport);
    put16(t + vnet.csum_offset, fold(pseudo));
  }
  out_.merged({*k.session, vnet, f.parts, f.count, f.count, f.octets});
}

// A fragment or a packet with options may belong to any flow of its protocol; behind IPv6 extension headers, to any at all.
void Coalescer::write_out_like(const Session& s, const IpHeader& ip) {
  for (Flow* f = oldest_; f != nullptr;) {
    Flow* const next = f->newer;
    const Packet& k = f->first;
    if (k.session == &s && k.family == ip.family && (ip.family == Family::v6 || k.protocol == ip.protocol)) write_out(*f);
    f = next;
  }
}

void Coalescer::pass(Session& s, uint8_t* p, size_t n) {
  const iovec part{p, n};
  out_.merged({s, VnetHeader{}, &part, 1, 1, n});
}

void Coalescer::flush() {
  while (oldest_ != nullptr) write_out(*oldest_);
}

}  // namespace dp
