// The fair queue against deficit round robin written out plainly: lists of sessions, deques of packets. RFC 8290 §4.1, §4.2,
// RFC 970. The input is a list of calls, three octets each.
#include <algorithm>
#include <deque>
#include <list>

#include "../src/bytes.h"
#include "../src/queue.h"
#include "../test/native/check.h"
#include "targets.h"

using namespace dp;

namespace {

constexpr size_t kSessions = 8;

struct Packet {
  uint32_t number;
  size_t length;
  bool small;
  uint64_t since;
  size_t chunks() const { return (length + kChunk - 1) / kChunk; }
};

struct Flow {
  std::deque<Packet> small, large;
  int deficit = 0;
  int small_in_a_row = 0;
  bool old = false;
  bool waits() const { return !small.empty() || !large.empty(); }
  size_t chunks() const {
    size_t n = 0;
    for (const auto* fifo : {&small, &large}) {
      for (const Packet& p : *fifo) n += p.chunks();
    }
    return n;
  }
};

// What is expected; `lost` is what the counters must say.
struct Model {
  Flow flows[kSessions];
  std::list<size_t> fresh, old;  // whose turn it is
  uint64_t old_turns = 0;
  uint64_t new_turn[kSessions];
  uint64_t lost[kSessions] = {};
  size_t taken = 0;  // chunks the caller has

  Model() { std::fill(new_turn, new_turn + kSessions, ~uint64_t{0}); }

  size_t used() const {
    size_t n = taken;
    for (const Flow& f : flows) n += f.chunks();
    return n;
  }
  size_t longest() const {
    size_t n = 0;
    for (const Flow& f : flows) n = std::max(n, f.chunks());
    return n;
  }
  void begin(size_t s, bool first) {
    first = first && new_turn[s] != old_turns;
    if (first) new_turn[s] = old_turns;
    flows[s].deficit = first ? kQuantum : 0;
    flows[s].small_in_a_row = 0;
    flows[s].old = !first;
    (first ? fresh : old).push_back(s);
  }
  void end(size_t s) { (flows[s].old ? old : fresh).remove(s); }
  void lose_one(size_t s) {
    Flow& f = flows[s];
    auto& fifo = f.large.empty() ? f.small : f.large;
    CHECK(!fifo.empty());
    fifo.pop_front();
    lost[s]++;
    if (!f.waits()) end(s);
  }
  // `gone`: how many each session lost by it. Of several that hold most any may lose: what is sure is that each held at least as
  // much as the longest does afterwards, and that it was not one too many.
  void push(size_t s, const Packet& p, const uint64_t* gone) {
    const bool too_large = kHeldChunks - taken < p.chunks();
    size_t held[kSessions] = {}, freed[kSessions] = {};  // before its last loss, by that
    for (size_t i = 0; i < kSessions; i++) {
      for (uint64_t n = too_large && i == s ? 1 : 0; n < gone[i]; n++) {
        held[i] = flows[i].chunks();
        lose_one(i);
        freed[i] = held[i] - flows[i].chunks();
      }
    }
    bool needed = too_large;
    for (size_t i = 0; i < kSessions; i++) {
      CHECK(freed[i] == 0 || held[i] >= longest());
      needed = needed || (freed[i] > 0 && kHeldChunks - used() - freed[i] < p.chunks());
    }
    CHECK(needed || std::all_of(gone, gone + kSessions, [](uint64_t n) { return n == 0; }));
    if (too_large) {
      EQ(longest(), 0u);
      EQ((gone[s] > 0), true);
      lost[s]++;
      return;
    }
    CHECK(kHeldChunks - used() >= p.chunks());
    if (!flows[s].waits()) begin(s, true);
    (p.small ? flows[s].small : flows[s].large).push_back(p);
  }
  // The session whose packet goes next, with the packet; kSessions: none.
  size_t next(uint64_t now, Packet& out) {
    while (!fresh.empty() || !old.empty()) {
      const size_t s = fresh.empty() ? old.front() : fresh.front();
      Flow& f = flows[s];
      if (f.deficit <= 0) {
        f.deficit += kQuantum;
        end(s);
        f.old = true;
        old.push_back(s);
        continue;
      }
      if (f.old) old_turns++;
      const bool small = !f.small.empty() && (f.large.empty() || f.small_in_a_row < kSmallInARow);
      f.small_in_a_row = small ? f.small_in_a_row + 1 : 0;
      auto& fifo = small ? f.small : f.large;
      out = fifo.front();
      fifo.pop_front();
      if (!f.waits()) end(s);
      if (now <= out.since + kHoldFor) {
        f.deficit -= static_cast<int>(out.length) + kOuter;
        return s;
      }
      lost[s]++;
    }
    return kSessions;
  }
  void put_back(size_t s, const Packet& p) {
    Flow& f = flows[s];
    if (!f.waits()) begin(s, false);
    (p.small ? f.small : f.large).push_front(p);
    f.deficit += static_cast<int>(p.length) + kOuter;
  }
};

struct Both {
  Session sessions[kSessions];
  FairQueue queue;
  Model model;
  uint64_t now = 1000;
  uint32_t number = 0;
  struct Taken {
    size_t session;
    Packet packet;
    FairQueue::Chunk* chunk;
  };
  std::vector<Taken> taken;

  Both() {
    for (Session& s : sessions) s.counters = std::make_shared<SessionCounters>();
  }
  ~Both() { queue.clear(); }

  uint64_t lost(size_t s) const { return sessions[s].counters->drops[static_cast<size_t>(SessionDrop::queue)].get(); }

  static Bytes octets(uint32_t number, size_t length) {
    Bytes b(length, static_cast<uint8_t>(number * 37));
    if (length >= 4) put32(b.data(), number);
    if (length > 0) b.back() = static_cast<uint8_t>(length);
    return b;
  }

  void push(size_t s, size_t length, bool small, size_t head) {
    const Packet p{number++, length, small, now};
    const Bytes b = octets(p.number, length);
    head = std::min(head, length);
    uint64_t before[kSessions], gone[kSessions];
    for (size_t i = 0; i < kSessions; i++) before[i] = lost(i);
    queue.push(sessions[s], b.data(), head, b.data() + head, length - head, p.number, static_cast<uint8_t>(s), small, now);
    for (size_t i = 0; i < kSessions; i++) gone[i] = lost(i) - before[i];
    model.push(s, p, gone);
  }

  void take() {
    Packet p{};
    const size_t s = model.next(now, p);
    FairQueue::Chunk* c = queue.next(now);
    EQ((c == nullptr), s == kSessions);
    if (c == nullptr) return;
    CHECK(c->session == &sessions[s]);
    EQ(c->length, p.length);
    EQ(c->octets, p.number);
    EQ(c->traffic_class, s);
    Bytes whole;
    for (const FairQueue::Chunk* part = c; part != nullptr; part = part->rest) {
      const size_t n = std::min(kChunk, p.length - whole.size());
      whole.insert(whole.end(), part->data, part->data + n);
    }
    CHECK(whole == octets(p.number, p.length));
    taken.push_back({s, p, c});
    model.taken += p.chunks();
  }

  void give(bool back) {
    while (!taken.empty()) {
      const Taken t = taken.back();
      taken.pop_back();
      model.taken -= t.packet.chunks();
      if (!back) {
        queue.release(t.chunk);
      } else {
        queue.put_back(t.chunk);
        model.put_back(t.session, t.packet);
      }
    }
  }

  void agree() const {
    EQ(queue.held(), model.used());
    bool waits = false;
    for (size_t s = 0; s < kSessions; s++) {
      EQ(lost(s), model.lost[s]);
      EQ((sessions[s].backlog != nullptr), model.flows[s].waits());
      waits = waits || model.flows[s].waits();
    }
    EQ(queue.empty(), !waits);
  }
};

}  // namespace

// Of a call: what and which session, then how.
void fuzz_queue(const uint8_t* input, size_t size) {
  static const size_t kLengths[] = {1, 40, 60, 576, 1400, 2047, 2048, 2049, 9000, 60000, 65000, kHeldChunks * kChunk / 4};
  if (size > 3 * 1000) return;
  Both both;
  for (size_t at = 0; at + 3 <= size; at += 3) {
    const uint8_t *o = input + at;
    const size_t s = o[0] % kSessions;
    switch (o[0] / kSessions % 16) {
      case 0:
        both.now += o[1] * (o[2] % 8);
        break;
      case 1:
        both.queue.forget(both.sessions[s]);
        while (both.model.flows[s].waits()) both.model.lose_one(s);
        break;
      case 2:
        both.give(false);
        break;
      case 3:
        both.give(true);
        break;
      case 4:
      case 5:
      case 6:
      case 7:
      case 8:
        if (both.taken.size() < 64) both.take();
        break;
      default:
        both.push(s, kLengths[o[1] % 12], (o[1] & 0x80) != 0, o[2] % 32);
    }
    both.agree();
  }
  both.give(false);
  while (both.model.used() > 0) {
    both.take();
    both.give(false);
  }
  both.agree();
}
