// Every decision about a packet, without I/O: a datagram or a TUN packet in, calls on a Sink out.
// RFC 2661 §3.1, §5.3; RFC 3193 §3.3; RFC 1812 §5.3 for the way back.
#pragma once
#include "coalesce.h"
#include "icmp.h"
#include "parse.h"
#include "punt.h"
#include "routes.h"
#include "segment.h"
#include "table.h"

namespace dp {

constexpr size_t kMaxDataHeader = 12 + 4;  // L2TP with Length, Ns and Nr; ff03, protocol
// Of a frame from JS: a datagram has room for the longest header, whose last two octets are the frame's first.
constexpr size_t kMaxFrame = 65'507 - (kMaxDataHeader - 2);
constexpr uint16_t kLeastMtu6 = 1280;  // RFC 8200 §5
constexpr size_t kFewSessions = 256;  // fit a core's cache
constexpr uint64_t kViolationInterval = 10'000;  // ms

// Something a listener may receive from. An empty list of peers with raw = nobody.
struct ListenerPolicy {
  bool raw = false;
  std::vector<Prefix> peers;
};

// A PPP frame in an L2TP data message on its way to the peer: `head` dies with the call, `body` lives until the sink is
// flushed. `octets` is what the session's counters count, 0 = not an IP packet in transit.
struct Outgoing {
  Session& session;
  const uint8_t* head;
  size_t head_length;
  const uint8_t* body;
  size_t body_length;
  size_t octets;
  uint8_t traffic_class = 0;  // of the outer packet
};

class Sink {
 public:
  // One packet in parts that die with the call. False: the device refused it.
  virtual bool to_tun(const VnetHeader& vnet, const iovec* parts, size_t count) = 0;
  // The sink counts what became of it.
  virtual void to_peer(const Outgoing& out) = 0;
  // Everything handed to to_peer is past sendmsg.
  virtual void flush() = 0;
  // False: the upcall queue is full.
  virtual bool control(const Path& from, bool confirmed, const uint8_t* p, size_t n) = 0;
  virtual bool frame(Ids ids, uint16_t protocol, const uint8_t* information, size_t n) = 0;
  virtual bool punt(Ids ids, const uint8_t* packet, size_t n) = 0;
  virtual bool violation(Ids ids, const Path& from) = 0;

 protected:
  ~Sink() = default;
};

class Forwarder final : private Pieces, private Coalescer::Out {
 public:
  Forwarder(Sink& sink, GlobalCounters& counters) : sink_(sink), counters_(counters) {}

  SessionTable sessions;
  Routes routes;
  MarkSet marks;
  Coalescer coalescer{*this};
  bool coalesces = false;  // the TUN device has a vnet header
  std::vector<Address> gateway;  // our own addresses inside

  void replace_prefixes(Session& s, std::vector<Prefix> prefixes);
  bool remove_session(Ids ids);
  // Up to so many numbered messages of the peer are held to be put in order. What was held goes on.
  void set_reorder(Session& s, size_t most, uint64_t now);

  // A UDP payload as received by a listener; `now` in ms of a monotonic clock. When it coalesces, the datagram stays where
  // it is until flush_inside().
  void datagram(const ListenerPolicy& listener, const Path& from, uint8_t* p, size_t n, uint64_t now);
  void flush_inside(uint64_t now);
  // Whether messages are held that wait for earlier ones, until when at most, and what became of those that waited long enough.
  bool holds() const { return holding_first_ != nullptr; }
  uint64_t holds_until() const { return holding_first_->reorder->since() + kReorderFor; }
  void expire(uint64_t now);
  // A packet read from the TUN device; `vnet` null when it has no virtio_net_hdr.
  void from_tun(const VnetHeader* vnet, uint8_t* p, size_t n, uint64_t now);
  // With many sessions, what packets touch is in no cache. Before a batch: step 0 for each of its packets, then step 1 for each, up to
  // kSteps - 1. Each step asks for what the one before has found the place of. A hint: nothing is decided.
  bool many() const { return sessions.size() > kFewSessions; }
  static constexpr int kSteps = 3;
  void expect_datagram(int step, const uint8_t* p, size_t n) const;
  void expect_packet(int step, const uint8_t* p, size_t n) const;
  // A PPP frame from JS, starting at the two-octet protocol field.
  void frame_to_peer(Session& s, const uint8_t* frame, size_t n);

 private:
  static void expect_session(const Session& s);
  void expect_path(const Session& s) const;
  void violation(Session& s, const Path& from, uint64_t now);
  void message(Session& s, uint8_t* p, size_t n, uint64_t now);
  void numbered(Session& s, uint16_t ns, uint8_t* p, size_t n, uint64_t now);
  enum class Until { gap, end };
  void release(Session& s, Until until, uint64_t now);
  void stop_holding(Session& s);
  void merged(const Merged& packet) override;
  void ip_from_peer(Session& s, Family family, uint8_t* p, size_t n, uint64_t now);
  bool punted(Session& s, const uint8_t* p, const IpHeader& ip, uint64_t now);
  void gso_to_peer(Session& s, const VnetHeader& vnet, uint8_t* p, const IpHeader& ip, uint64_t now);
  void too_big(Session& s, uint8_t* p, const IpHeader& ip, uint64_t now);
  void piece(const uint8_t* head, size_t head_length, const uint8_t* body, size_t body_length) override;

  Sink& sink_;
  GlobalCounters& counters_;
  // Of the packet being cut: its session, and what happens to a piece.
  Session* cut_for_ = nullptr;
  bool cut_again_ = false;
  Limit errors_{1000, 200};
  uint64_t now_ = 0;       // of the packets in the coalescer
  uint64_t now_down_ = 0;  // of the packet being cut
  // Sessions that hold something, the one that began first first; and what was held and is in the coalescer.
  Session* holding_first_ = nullptr;
  Session* holding_last_ = nullptr;
  size_t held_octets_ = 0;
  std::vector<std::unique_ptr<uint8_t[]>> released_;
  uint8_t error_[kMaxIcmpError];
  uint8_t whole_[65536];
};

// Writes the L2TP data header (RFC 2661 §3.1: L and S as negotiated, never O or P) and the PPP header for `n` octets of
// information to `out` (kMaxDataHeader) and returns its length. ff03 is left out for IP only, and only with ACFC
// (RFC 1661 §6.6); the protocol field always has two octets.
size_t write_data_header(Session& s, uint16_t protocol, size_t n, uint8_t* out);

}  // namespace dp
