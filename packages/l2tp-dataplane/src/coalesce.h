// Packets of a flow into one for the TUN device, so that the kernel handles a flow and not each packet: GRO in user space.
// Virtio 1.2 §5.1.6.2; what may be merged is what segment() cuts into the same octets again.
#pragma once
#include <sys/uio.h>

#include "segment.h"
#include "table.h"

namespace dp {

constexpr size_t kMaxMerged = 64;    // packets in one
constexpr size_t kFlows = 128;       // at once; one more writes out the oldest
constexpr size_t kFlowBuckets = 256;

// `packets` packets of the session in `count` parts, `octets` before they were merged.
struct Merged {
  Session& session;
  VnetHeader vnet;
  const iovec* parts;
  size_t count;
  size_t packets;
  size_t octets;
};

class Coalescer {
 public:
  struct Out {
    virtual void merged(const Merged& packet) = 0;

   protected:
    ~Out() = default;
  };
  explicit Coalescer(Out& out);
  Coalescer(const Coalescer&) = delete;
  Coalescer& operator=(const Coalescer&) = delete;

  // The packet stays where it is until flush(); its header may be written to. No packet overtakes another of its flow.
  void add(Session& s, uint8_t* p, const IpHeader& ip);
  // Everything held goes out, oldest flow first.
  void flush();

  bool udp = true;  // the device takes UDP super-packets (USO, Linux 6.2)

 private:
  // What is read of a packet before it is compared with its flow.
  struct Packet {
    Session* session;
    uint8_t* p;
    Family family;
    uint8_t protocol;
    size_t transport, head, payload;
    size_t length() const { return head + payload; }
  };
  struct Flow {
    Packet first;
    uint32_t next_sequence;
    size_t total;  // octets of the merged packet
    size_t octets;
    size_t count;
    bool fixed_id;  // every IPv4 Identification is the same
    uint8_t last_flags;
    uint8_t bucket;
    Flow* next_in_bucket;
    Flow* older;
    Flow* newer;
    iovec parts[kMaxMerged];
  };

  static bool read(Session& s, uint8_t* p, const IpHeader& ip, Packet& out);
  static bool same_flow(const Flow& f, const Packet& k);
  static bool mergeable(const Packet& k);
  static bool follows(Flow& f, const Packet& k);
  static bool ends(const Flow& f, const Packet& k);
  void begin(const Packet& k, uint8_t bucket);
  void append(Flow& f, const Packet& k);
  void write_out(Flow& f);
  void write_out_like(const Session& s, const IpHeader& ip);
  void pass(Session& s, uint8_t* p, size_t n);

  Out& out_;
  Flow flows_[kFlows];
  Flow* buckets_[kFlowBuckets] = {};
  Flow* free_ = nullptr;
  Flow* oldest_ = nullptr;
  Flow* newest_ = nullptr;
};

}  // namespace dp
