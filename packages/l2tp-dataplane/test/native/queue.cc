// The queue of what the egress does not take: shares, order, bounds, and the model of ../../fuzz/queue.cc. RFC 8290 §4.1, RFC 970.
#include <algorithm>
#include <deque>
#include <map>

#include "../../fuzz/targets.h"
#include "../../src/queue.h"
#include "world.h"

using namespace dp;

namespace {

struct Line {
  std::vector<Session> sessions;
  FairQueue queue;
  uint64_t now = 1000;
  uint32_t number = 0;

  explicit Line(size_t n) : sessions(n) {
    for (Session& s : sessions) s.counters = std::make_shared<SessionCounters>();
  }
  ~Line() { queue.clear(); }
  uint32_t push(size_t session, size_t n, bool small = false) {
    Bytes data(n);
    for (size_t i = 0; i < n; i++) data[i] = static_cast<uint8_t>(number + i * 7);
    put32(data.data(), number);
    const size_t head = std::min<size_t>(n, 12);
    queue.push(sessions[session], data.data(), head, data.data() + head, n - head, n, 0, small, now);
    return number++;
  }
  // Session and number of the packet whose turn it is, with its octets looked at; it is sent.
  std::pair<size_t, uint32_t> next() {
    FairQueue::Chunk* c = queue.next(now);
    if (c == nullptr) return {~size_t{0}, 0};
    const auto which = look(c);
    queue.release(c);
    return which;
  }
  std::pair<size_t, uint32_t> look(const FairQueue::Chunk* c) const {
    const uint32_t n = get32(c->data);
    size_t at = 0;
    for (const FairQueue::Chunk* part = c; part != nullptr; part = part->rest) {
      for (size_t i = 0; i < kChunk && at < c->length; i++, at++) {
        if (at >= 4) EQ(part->data[i], static_cast<uint8_t>(n + at * 7));
      }
    }
    EQ(at, c->length);
    EQ(c->octets, c->length);
    return {static_cast<size_t>(c->session - sessions.data()), n};
  }
  uint64_t dropped(size_t session) const {
    return sessions[session].counters->drops[static_cast<size_t>(SessionDrop::queue)].get();
  }
};

// However much one has, the others have their share, by octets of the line; one that has just come goes first.
void shares() {
  Line l(4);
  for (int i = 0; i < 400; i++) l.push(0, 1400);
  for (int i = 0; i < 100; i++) l.push(1, 1400);
  for (int i = 0; i < 400; i++) l.push(2, 350);
  std::map<size_t, size_t> octets;
  for (int i = 0; i < 300; i++) {
    const size_t s = l.next().first;
    octets[s] += (s == 2 ? 350 : 1400) + kOuter;
  }
  for (const size_t s : {size_t{0}, size_t{1}, size_t{2}}) {
    CHECK(octets[s] + 3 * kQuantum > octets[0] && octets[s] < octets[0] + 3 * kQuantum);
  }
  l.push(3, 100);
  EQ(l.next().first, 3u);
  for (const size_t s : {0, 1, 2, 3}) EQ(l.dropped(s), 0u);
}

// Those that come and go do not keep one that waits from its turn.
void trickles() {
  Line l(4);
  for (int i = 0; i < 100; i++) l.push(0, 1400);
  for (int i = 0; i < 3; i++) l.next();
  std::map<size_t, size_t> turns;
  for (int i = 0; i < 40; i++) {
    for (const size_t s : {1, 2, 3}) {
      if (l.sessions[s].backlog == nullptr) l.push(s, 1000);
    }
    turns[l.next().first]++;
  }
  for (const size_t s : {0, 1, 2, 3}) CHECK(turns[s] >= 6);
}

// Without room the one that holds most loses its oldest packets.
void no_room() {
  Line l(3);
  for (int i = 0; i < 10; i++) l.push(1, 1400);
  for (int i = 0; i < 3000; i++) l.push(0, 1400);
  EQ(l.queue.held(), kHeldChunks);
  for (int i = 0; i < 300; i++) l.push(2, 1400);
  EQ(l.dropped(1), 0u);
  EQ(l.dropped(2), 0u);
  EQ(l.dropped(0), 3000 + 300 + 10 - kHeldChunks);
  uint32_t last = 0;
  size_t mine = 0;
  for (auto [s, n] = l.next(); s != ~size_t{0}; std::tie(s, n) = l.next()) {
    if (s != 0) continue;
    CHECK(mine++ == 0 || n == last + 1 || n > 3009);
    last = n;
  }
  EQ(mine, kHeldChunks - 310);
  CHECK(l.queue.empty());
  EQ(l.queue.held(), 0u);
}

void too_late() {
  Line l(2);
  l.push(0, 1400);
  l.now += kHoldFor + 1;
  l.push(1, 1400);
  EQ(l.next().first, 1u);
  EQ(l.next().first, ~size_t{0});
  EQ(l.dropped(0), 1u);
  EQ(l.queue.held(), 0u);
}

// What was refused comes again, first and in order.
void put_back() {
  Line l(2);
  for (int i = 0; i < 6; i++) l.push(static_cast<size_t>(i % 2), i == 2 ? 9000 : 1000);
  std::vector<FairQueue::Chunk*> taken;
  while (FairQueue::Chunk* c = l.queue.next(l.now)) taken.push_back(c);
  EQ(taken.size(), 6u);
  CHECK(l.queue.empty());
  while (!taken.empty()) {
    l.queue.put_back(taken.back());
    taken.pop_back();
  }
  std::map<size_t, std::vector<uint32_t>> got;
  for (auto [s, n] = l.next(); s != ~size_t{0}; std::tie(s, n) = l.next()) got[s].push_back(n);
  CHECK(got[0] == (std::vector<uint32_t>{0, 2, 4}) && got[1] == (std::vector<uint32_t>{1, 3, 5}));
}

// A session waits in one queue: where it begins to wait in another, what waits in the first is lost.
void another_queue() {
  Line l(2);
  FairQueue other;
  for (const size_t session : {0, 1, 0}) l.push(session, 1400);
  const Bytes data(1000);
  other.push(l.sessions[0], nullptr, 0, data.data(), data.size(), data.size(), 0, false, l.now);
  EQ(l.dropped(0), 2u);
  EQ(l.next().first, 1u);
  CHECK(l.queue.empty());
  EQ(l.queue.held(), 0u);
  FairQueue::Chunk* c = other.next(l.now);
  CHECK(c != nullptr && c->session == &l.sessions[0]);
  other.release(c);
  CHECK(other.empty());
  EQ(other.held(), 0u);
}

// Small packets of a session go before its large ones, but do not keep them from going at all.
void small_first() {
  Line l(1);
  for (uint32_t i = 0; i < 40; i++) l.push(0, i % 2 == 0 ? 1400 : 60, i % 2 != 0);
  std::vector<uint32_t> got;
  for (auto [s, n] = l.next(); s != ~size_t{0}; std::tie(s, n) = l.next()) got.push_back(n);
  EQ(got.size(), 40u);
  for (int i = 0; i < kSmallInARow; i++) EQ(got[static_cast<size_t>(i)], static_cast<uint32_t>(2 * i + 1));
  EQ(got[kSmallInARow], 0u);
  EQ(got[kSmallInARow + 1], 2 * kSmallInARow + 1u);
}

void larger_than_all() {
  Line l(1);
  l.push(0, 65000);
  l.push(0, 65000);
  EQ(l.next().second, 0u);
  EQ(l.next().second, 1u);
  l.push(0, kHeldChunks * kChunk);
  l.push(0, 100);
  EQ(l.dropped(0), 1u);
  EQ(l.next().second, 3u);
  Bytes huge(kHeldChunks * kChunk + 1);
  l.queue.push(l.sessions[0], nullptr, 0, huge.data(), huge.size(), huge.size(), 0, false, l.now);
  EQ(l.dropped(0), 2u);
}

// Any calls in any order; some rounds with little of anything that makes room.
void against_the_model() {
  Random random(11);
  for (int round = 0; round < 60; round++) {
    Bytes input(3 * (1 + random.below(600)));
    for (auto& o : input) o = static_cast<uint8_t>(random.next());
    for (size_t i = 0; i + 3 <= input.size() && round % 3 != 0; i += 3) {
      if (random.below(4) != 0) input[i] = static_cast<uint8_t>(0x48 + input[i] % (round % 3 == 1 ? 2 : 8));  // a push
    }
    fuzz_queue(input.data(), input.size());
  }
}

// What is small: no data of a TCP connection, nothing large.
void what_is_small() {
  const auto tcp = [](uint8_t flags, size_t data) {
    Bytes p = hex("45000028 00004000 40060000 0a090001 0a090002 03e8 0050 00000001 00000001 5000 ffff 0000 0000");
    p[33] = flags;
    p.resize(40 + data);
    put16(&p[2], p.size());
    return p;
  };
  const auto small = [](const Bytes& p) { return is_small(p.data(), p.size()); };
  CHECK(small(tcp(0x10, 0)));
  CHECK(small(tcp(0x50, 0)));  // ECE
  CHECK(!small(tcp(0x10, 1)));
  CHECK(!small(tcp(0x02, 0)));
  CHECK(!small(tcp(0x12, 0)));
  CHECK(!small(tcp(0x11, 0)));
  CHECK(!small(tcp(0x14, 0)));
  Bytes udp = tcp(0x10, 100);
  udp[9] = kUdp;
  CHECK(small(udp));
  udp[7] = 1;
  CHECK(!small(udp));  // a fragment
  udp = tcp(0x10, 217);
  udp[9] = kUdp;
  CHECK(!small(udp));
  Bytes cut = tcp(0x10, 0);
  cut.resize(30);
  put16(&cut[2], 30);
  CHECK(!small(cut));
  CHECK(!small({}));
}

}  // namespace

void queue_cases() {
  cases({{"queue: shares", shares},
         {"queue: trickles", trickles},
         {"queue: no room", no_room},
         {"queue: too late", too_late},
         {"queue: put back", put_back},
         {"queue: another queue", another_queue},
         {"queue: small first", small_first},
         {"queue: larger than all", larger_than_all},
         {"queue: against the model", against_the_model},
         {"queue: what is small", what_is_small}});
}
