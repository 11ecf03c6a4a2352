// What the egress did not take, held for a moment: sessions send in turns (deficit round robin, RFC 8290 §4.1 without its CoDel),
// and where there is no room the session that holds most loses its oldest packet. Nobody's flood takes another's share.
#pragma once
#include <memory>

#include "table.h"

namespace dp {

constexpr size_t kHeldChunks = 2048;   // of all sessions together
constexpr size_t kChunk = 2048;        // octets; a larger packet takes several
constexpr uint64_t kHoldFor = 1000;    // ms; a packet that waited longer is dropped
constexpr int kQuantum = kChunk;       // octets of a session's turn
constexpr int kOuter = 80;             // of the line, besides a packet's own octets: IP, UDP, ESP and its padding, about
constexpr int kSmallInARow = 8;

class FairQueue {
 public:
  // A packet, from the L2TP header on, in `length` octets of this chunk and those after it.
  struct Chunk {
    Session* session;
    Chunk* next;  // packet of the session
    Chunk* rest;  // of this packet
    uint64_t since;
    uint32_t length;
    uint32_t octets;  // of the IP packet: what counters count
    uint8_t traffic_class;
    bool small;
    bool kept;  // the caller's
    uint8_t data[kChunk];
  };

  FairQueue() = default;
  FairQueue(FairQueue&&) = delete;
  ~FairQueue() { clear(); }

  bool empty() const { return waiting_ == 0; }
  size_t held() const { return kHeldChunks - free_count_; }  // chunks

  // Copies a packet to the end of its session's; `small`: before those that are not, where the session wants that. What has
  // to go for it is counted as SessionDrop::queue, and so is what waits of the session in another queue.
  void push(Session& s, const uint8_t* head, size_t head_length, const uint8_t* body, size_t body_length, size_t octets,
            uint8_t traffic_class, bool small, uint64_t now);
  // The packet whose turn it is, or null. It is the caller's until release() or put_back().
  Chunk* next(uint64_t now);
  void release(Chunk* packet);
  // In front again. Of several the last one first.
  void put_back(Chunk* packet);
  void forget(Session& s);
  void clear();

 private:
  friend struct Backlog;
  void begin(Session& s, bool first);
  void end(Backlog& f);
  void resize(Backlog& f, size_t chunks);
  Chunk* take_first(Backlog& f);
  void drop_first(Backlog& f);

  // In one of two lists of turns: sessions that have just begun to wait come first.
  struct Turns {
    Backlog* first = nullptr;
    Backlog* last = nullptr;
  };
  void append(Turns& list, Backlog& f);
  void unlink(Backlog& f);

  std::unique_ptr<Chunk[]> chunks_;
  std::unique_ptr<Backlog[]> flows_;
  Chunk* free_ = nullptr;
  Backlog* free_flow_ = nullptr;
  size_t free_count_ = kHeldChunks;
  size_t waiting_ = 0;  // packets
  Turns new_, old_;
  uint64_t old_turns_ = 0;  // packets that left out of a turn of those that are not new
  // Sessions by how many chunks they hold.
  std::unique_ptr<Backlog*[]> by_size_;
  size_t longest_ = 0;
};

// What waits of a session. There is one only while something does, so never more than chunks.
struct Backlog {
  struct Fifo {
    FairQueue::Chunk* first = nullptr;
    FairQueue::Chunk* last = nullptr;
  };
  FairQueue* queue;
  Session* session;
  Fifo small, large;
  int small_in_a_row;
  int deficit;
  size_t chunks;
  FairQueue::Turns* turns;
  Backlog *before, *after;      // in turns
  Backlog *shorter, *longer;    // of the same size, in no order
};

}  // namespace dp
