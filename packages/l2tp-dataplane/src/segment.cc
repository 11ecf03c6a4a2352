// IPv4 fragmentation (RFC 791 §3.2) and segmentation of GSO frames (virtio 1.2 §5.1.6.2).
#include "segment.h"

#include <algorithm>

namespace dp {

namespace {

// RFC 791 §3.1: only options with the copied flag go into later fragments. Returns the length of the new header.
size_t later_header(const uint8_t* p, size_t header, uint8_t* out) {
  std::memcpy(out, p, 20);
  size_t length = 20;
  for (size_t at = 20; at < header;) {
    if (p[at] == 0) break;
    const size_t n = p[at] == 1 ? 1 : at + 1 < header ? p[at + 1] : 0;
    if (n == 0 || (p[at] != 1 && n < 2) || at + n > header) break;
    if (p[at] & 0x80) {
      std::memcpy(out + length, p + at, n);
      length += n;
    }
    at += n;
  }
  while (length % 4 != 0) out[length++] = 0;
  out[0] = static_cast<uint8_t>(0x40 | length / 4);
  return length;
}

void seal_ipv4(uint8_t* h, size_t header) {
  put16(h + 10, 0);
  put16(h + 10, checksum(sum(h, header)));
}

}  // namespace

void fragment_ipv4(const uint8_t* p, const IpHeader& ip, size_t mtu, Pieces& out) {
  uint8_t head[60];
  std::memcpy(head, p, ip.header);
  size_t header = ip.header;
  const uint16_t before = get16(p + 6);
  const size_t payload = ip.length - ip.header;
  for (size_t at = 0; at < payload;) {
    const size_t room = (mtu - header) & ~size_t{7};
    const size_t n = std::min(room, payload - at);
    const bool more = at + n < payload || (before & 0x2000) != 0;
    put16(head + 2, header + n);
    put16(head + 6, (before & 0x8000) | (more ? 0x2000 : 0) | (((before & 0x1fff) + at / 8) & 0x1fff));
    seal_ipv4(head, header);
    out.piece(head, header, p + ip.header + at, n);
    if (at == 0) header = later_header(p, ip.header, head);
    at += n;
  }
}

Gso gso_kind(const VnetHeader& v) {
  switch (v.gso_type & ~kGsoEcn) {
    case 0:
      return Gso::none;
    case kGsoTcp4:
    case kGsoTcp6:
      return Gso::tcp;
    case kGsoUdp:
      return Gso::udp;
    default:
      return Gso::unknown;
  }
}

bool complete_checksum(const VnetHeader& v, uint8_t* p, size_t n) {
  const size_t start = v.csum_start;
  if (start >= n || start + v.csum_offset + 2 > n) return false;
  uint16_t c = checksum(sum(p + start, n - start));
  if (c == 0 && v.csum_offset == 6) c = 0xffff;  // UDP: zero means "none" (RFC 768)
  put16(p + start + v.csum_offset, c);
  return true;
}

size_t segment_head(const VnetHeader& v, const uint8_t* p, const IpHeader& ip) {
  const size_t transport = v.csum_start;
  const bool tcp = gso_kind(v) == Gso::tcp;
  if ((v.flags & kNeedsChecksum) == 0 || v.gso_size == 0 || ip.fragment) return 0;
  if (transport < ip.header || transport + (tcp ? 20 : 8) > ip.length) return 0;
  const size_t header = tcp ? size_t{static_cast<uint8_t>(p[transport + 12] >> 4)} * 4 : 8;
  const size_t head = transport + header;
  if ((tcp && header < 20) || head >= ip.length || head > kMaxHead) return 0;
  return head;
}

void segment(const VnetHeader& v, const uint8_t* p, const IpHeader& ip, size_t head, size_t size, Pieces& out) {
  const bool tcp = gso_kind(v) == Gso::tcp;
  const size_t transport = v.csum_start;
  const size_t payload = ip.length - head;
  uint8_t h[kMaxHead];
  uint16_t count = 0;
  for (size_t at = 0; at < payload; at += size, count++) {
    const size_t n = std::min(size, payload - at);
    std::memcpy(h, p, head);
    if (ip.family == Family::v4) {
      put16(h + 2, head + n);
      put16(h + 4, static_cast<uint16_t>(get16(p + 4) + count));
      seal_ipv4(h, ip.header);
    } else {
      put16(h + 4, head + n - 40);
    }
    uint8_t* t = h + transport;
    const size_t length = head - transport + n;
    const size_t field = tcp ? 16 : 6;
    if (tcp) {
      put32(t + 4, get32(p + transport + 4) + static_cast<uint32_t>(at));
      if (at + n < payload) t[13] &= static_cast<uint8_t>(~0x09);  // FIN and PSH belong to the last segment
      if (count > 0) t[13] &= static_cast<uint8_t>(~0x80);         // CWR to the first (RFC 3168 §6.1.2)
    } else {
      put16(t + 4, length);
    }
    put16(t + field, 0);
    const uint64_t s = pseudo_header(h, ip, tcp ? kTcp : kUdp, length) + sum(t, head - transport) + sum(p + head + at, n);
    uint16_t c = checksum(s);
    if (c == 0 && !tcp) c = 0xffff;
    put16(t + field, c);
    out.piece(h, head, p + head + at, n);
  }
}

}  // namespace dp
