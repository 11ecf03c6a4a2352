// Sessions by (tunnel id, session id), and the set of confirmed marks. RFC 2661 §3.1, §5.3.
#pragma once
#include <array>
#include <memory>
#include <vector>

#include "address.h"
#include "counters.h"
#include "flat.h"
#include "limit.h"
#include "reorder.h"
#include "sequence.h"

namespace dp {

constexpr uint16_t kDefaultMtu = 1400;
constexpr int8_t kCopyDscp = -1;

struct Ids {
  uint16_t tunnel = 0;
  uint16_t session = 0;
  uint32_t key() const { return static_cast<uint32_t>(tunnel) << 16 | session; }
};

struct Backlog;

struct Session {
  // What every packet touches comes first, up to `punts`.
  Ids ours, peers;
  Path path;
  bool open = false;
  bool clamp_mss = true;
  bool acfc = false;
  bool length_bit = true;
  int8_t dscp = 0;  // of the outer packets: 0 to 63, or kCopyDscp
  bool small_first = false;  // while something of it waits: small packets before large ones
  bool segments = true;      // the sender's: whether UDP_SEGMENT works
  uint16_t mtu = kDefaultMtu;
  Sequence sequence;
  std::shared_ptr<SessionCounters> counters;
  std::vector<Prefix> prefixes;
  // The user's share, of IP in transit.
  Rate up, down;

  // What a peer may cause: packets JS answers, PPP control frames, ICMP errors about packets to it.
  Limit punts{10, 20};
  Limit frames{200, 200};
  Limit errors{20, 20};
  std::unique_ptr<Reorder> reorder;  // null: what comes late is lost
  Backlog* backlog = nullptr;
  uint64_t new_turn = ~uint64_t{0};  // FairQueue::old_turns_ when it last began to wait as a new one
  uint64_t reported_until = 0;  // a violation by a peer without a mark

  Session* next_of_tunnel = nullptr;
  Session* previous_of_tunnel = nullptr;

  void drop(SessionDrop why) { counters->drop(why); }
};

// Numbers that may follow each other.
struct NumberHash {
  size_t operator()(uint32_t n) const { return n * 0x9e3779b97f4a7c15 >> 40; }
};

class SessionTable {
 public:
  SessionTable() : tunnels_(65536, nullptr) {}
  SessionTable(const SessionTable&) = delete;
  SessionTable& operator=(const SessionTable&) = delete;

  // Null when the pair of ids is taken.
  Session* add(std::unique_ptr<Session> session);
  Session* find(Ids ids) const {
    const auto* found = sessions_.find(ids.key());
    return found == nullptr ? nullptr : found->get();
  }
  void expect(Ids ids) const { sessions_.expect(ids.key()); }
  bool remove(Ids ids);
  // The first session of a tunnel; the others follow by next_of_tunnel.
  Session* of_tunnel(uint16_t tunnel) const { return tunnels_[tunnel]; }
  size_t size() const { return sessions_.size(); }

 private:
  FlatMap<uint32_t, std::unique_ptr<Session>, NumberHash> sessions_;
  std::vector<Session*> tunnels_;
};

class MarkSet {
 public:
  void confirm(uint32_t mark, std::shared_ptr<Counter> violations = std::make_shared<Counter>()) {
    if (mark == 0 || has(mark)) return;
    marks_.add(mark, std::make_unique<Peer>());
    (*marks_.find(mark))->violations = std::move(violations);
  }
  void forget(uint32_t mark) { marks_.remove(mark); }
  bool has(uint32_t mark) const { return marks_.find(mark) != nullptr; }
  void expect(uint32_t mark) const { marks_.expect(mark); }
  // Whether one more control message of a confirmed mark, of so many octets, may go up. A token is a KiB of the room that
  // all marks share; an honest message is smaller.
  bool take_control(uint32_t mark, size_t octets, uint64_t now) {
    return (*marks_.find(mark))->control.take(now, 1 + octets / 1024);
  }
  // Whether one more PPP control frame may go up, of whichever session. A raw session has no mark, and a held message may be
  // of one that is forgotten: those have the session's limit only.
  bool take_frame(uint32_t mark, uint64_t now) {
    auto* peer = marks_.find(mark);
    return peer == nullptr || (*peer)->frames.take(now);
  }
  // Counts a packet that came under this mark for a session of another path; returns until when that was reported. Null: no mark.
  uint64_t* violated(uint32_t mark) {
    auto* peer = marks_.find(mark);
    if (peer == nullptr) return nullptr;
    (*peer)->violations->add();
    return &(*peer)->reported_until;
  }

 private:
  // A LAC may set up some 500 sessions a second over one SA, each with some eight frames.
  struct Peer {
    Limit control{2000, 512};
    Limit frames{4000, 1000};
    std::shared_ptr<Counter> violations;
    uint64_t reported_until = 0;
  };
  FlatMap<uint32_t, std::unique_ptr<Peer>, NumberHash> marks_;
};

}  // namespace dp
