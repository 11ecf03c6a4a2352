// One packet into several: IPv4 fragmentation (RFC 791 §3.2) and what virtio_net_hdr asks for (checksum, TSO, USO).
#pragma once
#include "parse.h"

namespace dp {

// struct virtio_net_hdr in the device's (our own) byte order; <linux/virtio_net.h> is not C++.
struct VnetHeader {
  uint8_t flags, gso_type;
  uint16_t hdr_len, gso_size, csum_start, csum_offset;
};
static_assert(sizeof(VnetHeader) == 10, "virtio 1.2 §5.1.6, legacy layout");
constexpr size_t kVnetHeader = sizeof(VnetHeader);
constexpr uint8_t kNeedsChecksum = 1;                                  // flags
constexpr uint8_t kGsoTcp4 = 1, kGsoTcp6 = 4, kGsoUdp = 5, kGsoEcn = 0x80;  // gso_type

constexpr size_t kMaxHead = 160;    // IPv4 (60) or IPv6 (40 + extensions) and TCP (60), in front of a piece

// Takes the pieces in order. `head` dies with the call; `body` points into the packet that was cut.
struct Pieces {
  virtual void piece(const uint8_t* head, size_t head_length, const uint8_t* body, size_t body_length) = 0;

 protected:
  ~Pieces() = default;
};

// Cuts an IPv4 packet without DF so that no piece exceeds `mtu` (at least 68).
void fragment_ipv4(const uint8_t* p, const IpHeader& ip, size_t mtu, Pieces& out);

enum class Gso { none, tcp, udp, unknown };
// What a read from an IFF_VNET_HDR device is.
Gso gso_kind(const VnetHeader& v);

// kNeedsChecksum: the field holds the sum of the pseudo header. False: the offsets lie outside.
bool complete_checksum(const VnetHeader& v, uint8_t* p, size_t n);

// Octets in front of every segment (IP and transport header), 0 when the frame cannot be cut. The hdr_len field is a
// hint that may lie: it is not looked at.
size_t segment_head(const VnetHeader& v, const uint8_t* p, const IpHeader& ip);

// Cuts a GSO frame into packets of `size` octets of payload, with lengths, IDs, sequence numbers, flags and checksums.
// `head` = segment_head(), not 0.
void segment(const VnetHeader& v, const uint8_t* p, const IpHeader& ip, size_t head, size_t size, Pieces& out);

}  // namespace dp
