// Sessions by (tunnel id, session id), and the set of confirmed marks. RFC 2661 §3.1, §5.3.
#pragma once
#include <array>
#include <memory>
#include <unordered_map>
#include <vector>

#include "address.h"
#include "counters.h"
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
  Ids ours, peers;
  Path path;
  bool open = false;
  bool clamp_mss = true;
  bool acfc = false;
  bool length_bit = true;
  int8_t dscp = 0;  // of the outer packets: 0 to 63, or kCopyDscp
  Sequence sequence;
  std::unique_ptr<Reorder> reorder;  // null: what comes late is lost
  uint16_t mtu = kDefaultMtu;
  std::vector<Prefix> prefixes;
  std::shared_ptr<SessionCounters> counters;

  // What a peer may cause: packets JS answers, PPP control frames, ICMP errors about packets to it, violation reports.
  Limit punts{10, 20};
  Limit frames{200, 200};
  Limit errors{20, 20};
  Limit violations{1, 4};
  // The user's share, of IP in transit.
  Rate up, down;
  bool small_first = false;  // while something of it waits: small packets before large ones
  Backlog* backlog = nullptr;
  uint64_t new_turn = ~uint64_t{0};  // FairQueue::old_turns_ when it last began to wait as a new one
  Path violator;
  uint64_t violator_until = 0;

  bool segments = true;  // the sender's: whether UDP_SEGMENT works

  Session* next_of_tunnel = nullptr;
  Session* previous_of_tunnel = nullptr;

  void drop(SessionDrop why) { counters->drop(why); }
};

class SessionTable {
 public:
  SessionTable() : tunnels_(65536, nullptr) {}
  SessionTable(const SessionTable&) = delete;
  SessionTable& operator=(const SessionTable&) = delete;

  // Null when the pair of ids is taken.
  Session* add(std::unique_ptr<Session> session);
  Session* find(Ids ids) const {
    const auto it = sessions_.find(ids.key());
    return it == sessions_.end() ? nullptr : it->second.get();
  }
  bool remove(Ids ids);
  // The first session of a tunnel; the others follow by next_of_tunnel.
  Session* of_tunnel(uint16_t tunnel) const { return tunnels_[tunnel]; }
  size_t size() const { return sessions_.size(); }

 private:
  std::unordered_map<uint32_t, std::unique_ptr<Session>> sessions_;
  std::vector<Session*> tunnels_;
};

class MarkSet {
 public:
  void confirm(uint32_t mark) {
    if (mark != 0) marks_.try_emplace(mark, kControlRate, kControlBurst);
  }
  void forget(uint32_t mark) { marks_.erase(mark); }
  bool has(uint32_t mark) const { return marks_.count(mark) != 0; }
  // Whether one more control message of a confirmed mark, of so many octets, may go up. A token is a KiB of the room that
  // all marks share; an honest message is smaller.
  bool take_control(uint32_t mark, size_t octets, uint64_t now) { return marks_.at(mark).take(now, 1 + octets / 1024); }

 private:
  // With its control messages; a LAC may set up some 500 sessions a second over one SA.
  static constexpr uint32_t kControlRate = 2000, kControlBurst = 512;
  std::unordered_map<uint32_t, Limit> marks_;
};

}  // namespace dp
