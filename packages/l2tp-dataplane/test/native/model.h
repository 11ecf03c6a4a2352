// The slow, obvious model of segmentation: one octet at a time, nothing shared with src/. Virtio 1.2 §5.1.6.2, RFC 1071.
#pragma once
#include "../../src/segment.h"
#include "check.h"

namespace model {

inline uint32_t word(const Bytes& b, size_t at) { return static_cast<uint32_t>(b[at]) << 8 | b[at + 1]; }

inline void set_word(Bytes& b, size_t at, size_t value) {
  b[at] = static_cast<uint8_t>(value >> 8);
  b[at + 1] = static_cast<uint8_t>(value);
}

inline uint32_t checksum(const Bytes& b) {
  uint32_t s = 0;
  for (size_t i = 0; i < b.size(); i++) {
    s += i % 2 == 0 ? static_cast<uint32_t>(b[i]) << 8 : b[i];
    if (s > 0xffff) s = (s & 0xffff) + 1;
  }
  return ~s & 0xffff;
}

inline bool v4(const Bytes& p) { return p[0] >> 4 == 4; }
inline size_t ip_header(const Bytes& p) { return v4(p) ? (p[0] & 15) * 4u : 40; }

inline Bytes addresses(const Bytes& p) {
  return v4(p) ? Bytes(p.begin() + 12, p.begin() + 20) : Bytes(p.begin() + 8, p.begin() + 40);
}

// The checksum of everything from `transport` on, with the field as it is.
inline uint32_t transport_checksum(const Bytes& p, size_t transport, uint8_t protocol) {
  Bytes all = addresses(p);
  const size_t n = p.size() - transport;
  for (const size_t o : {size_t{0}, size_t{0}, n >> 8, n & 0xff, size_t{0}, size_t{protocol}}) all.push_back(static_cast<uint8_t>(o));
  all.insert(all.end(), p.begin() + static_cast<long>(transport), p.end());
  return checksum(all);
}

inline void seal(Bytes& p, size_t transport, bool tcp) {
  if (v4(p)) {
    set_word(p, 2, p.size());
    set_word(p, 10, 0);
    set_word(p, 10, checksum(Bytes(p.begin(), p.begin() + static_cast<long>(ip_header(p)))));
  } else {
    set_word(p, 4, p.size() - 40);
  }
  if (!tcp) set_word(p, transport + 4, p.size() - transport);
  const size_t field = transport + (tcp ? 16 : 6);
  set_word(p, field, 0);
  uint32_t c = transport_checksum(p, transport, tcp ? 6 : 17);
  if (c == 0 && !tcp) c = 0xffff;
  set_word(p, field, c);
}

// A merged packet as its receiver sees it that does not cut it: lengths and, once completed, checksums are right.
inline void check_whole(const dp::VnetHeader& v, const Bytes& p) {
  if (v.gso_type == 0) return;
  Bytes q = p;
  const bool tcp = (v.gso_type & 0x7f) != 5;
  const size_t field = v.csum_start + v.csum_offset;
  set_word(q, field, checksum(Bytes(q.begin() + v.csum_start, q.end())));
  EQ(transport_checksum(q, v.csum_start, tcp ? 6 : 17), 0u);
  if (v4(q)) EQ(checksum(Bytes(q.begin(), q.begin() + static_cast<long>(ip_header(q)))), 0u);
  EQ(v4(q) ? word(q, 2) : 40 + word(q, 4), q.size());
  if (!tcp) EQ(word(q, v.csum_start + 4u), q.size() - v.csum_start);
}

// What a network card makes of a packet with this header, in segments of `size` octets of payload.
inline std::vector<Bytes> segments(const dp::VnetHeader& v, const Bytes& p, size_t size) {
  if (v.gso_type == 0) return {p};
  const bool tcp = (v.gso_type & 0x7f) != 5;
  const size_t transport = v.csum_start;
  const size_t head = transport + (tcp ? (p[transport + 12] >> 4) * 4u : 8);
  std::vector<Bytes> out;
  for (size_t at = head; at < p.size(); at += size) {
    const bool last = at + size >= p.size();
    Bytes q(p.begin(), p.begin() + static_cast<long>(head));
    q.insert(q.end(), p.begin() + static_cast<long>(at), last ? p.end() : p.begin() + static_cast<long>(at + size));
    if (v4(p)) set_word(q, 4, word(p, 4) + out.size());
    if (tcp) {
      const uint32_t sequence = (word(p, transport + 4) << 16 | word(p, transport + 6)) + static_cast<uint32_t>(at - head);
      set_word(q, transport + 4, sequence >> 16);
      set_word(q, transport + 6, sequence);
      if (!last) q[transport + 13] &= 0xf6;
      if (!out.empty()) q[transport + 13] &= 0x7f;
    }
    seal(q, transport, tcp);
    out.push_back(q);
  }
  return out;
}

}  // namespace model
