// The thread's segmentation against the model: a frame with a virtio_net_hdr, well formed or nearly so, and a size.
#include "../test/native/model.h"
#include "../src/bytes.h"
#include "targets.h"

using namespace dp;

namespace {

struct Collect final : Pieces {
  std::vector<Bytes> all;
  void piece(const uint8_t* head, size_t head_length, const uint8_t* body, size_t body_length) override {
    Bytes b(head, head + head_length);
    b.insert(b.end(), body, body + body_length);
    all.push_back(b);
  }
};

}  // namespace

// Octets 0..1: size; 2: kind; 3..12: virtio_net_hdr; the rest is the packet, its length field made right.
void fuzz_segment(const uint8_t* input, size_t size) {
  if (size < 13 + 20 || size > 13 + 65535) return;
  VnetHeader v;
  std::memcpy(&v, input + 3, sizeof v);
  Bytes p(input + 13, input + size);
  const uint8_t kind = input[2];
  const bool v6 = (kind & 1) != 0;
  if (v6 && p.size() < 40) return;
  p[0] = v6 ? 0x60 : (p[0] & 15) < 5 ? 0x45 : static_cast<uint8_t>(0x40 | (p[0] & 15));
  put16(&p[v6 ? 4 : 2], v6 ? p.size() - 40 : p.size());
  if ((kind & 2) == 0) {
    v.flags |= kNeedsChecksum;
    v.gso_type = (kind & 4) ? kGsoUdp : v6 ? kGsoTcp6 : kGsoTcp4;
    v.csum_start = static_cast<uint16_t>(model::ip_header(p));
    if (!v6) p[6] &= 0x40;
    if (!v6) p[7] = 0;
  }
  const Bytes before = p;
  IpHeader ip;
  if (!parse_ip(p.data(), p.size(), ip)) return;
  if (gso_kind(v) != Gso::tcp && gso_kind(v) != Gso::udp) return;
  const size_t head = segment_head(v, p.data(), ip);
  if (head == 0) return;
  const size_t cut = 1 + get16(input) % 2000;
  if ((p.size() - head) / cut > 2000) return;
  Collect out;
  segment(v, p.data(), ip, head, cut, out);
  CHECK(p == before);
  CHECK(out.all == model::segments(v, p, cut));
}
