// Putting numbered messages in order, against the same written out plainly: RFC 2661 §5.4. The input is a list of events of a
// few sessions, three octets each, behind one that says whether what goes inside is merged.
#include <map>

#include "../test/native/model.h"
#include "../test/native/world.h"
#include "targets.h"

using namespace dp;

namespace {

constexpr size_t kSessions = 3;

// Which numbers may go on is sequence.h's; what is held, and when it is let go, is told here.
struct Expected {
  Sequence sequence;
  size_t most = 0;
  std::map<uint16_t, uint32_t> held;  // number -> which message
  uint64_t since = 0;
  std::vector<uint32_t> delivered;
  uint64_t lost = 0;

  std::map<uint16_t, uint32_t>::iterator nearest() {
    const auto far = [&](uint16_t ns) { return static_cast<uint16_t>(ns - sequence.expected()); };
    auto best = held.begin();
    for (auto it = held.begin(); it != held.end(); ++it) {
      if (far(it->first) < far(best->first)) best = it;
    }
    return best;
  }
  void deliver_nearest() {
    const auto it = nearest();
    sequence.take(it->first);
    delivered.push_back(it->second);
    held.erase(it);
  }
  void deliver_next() {
    while (!held.empty() && held.count(sequence.expected()) != 0) deliver_nearest();
  }
  void deliver_all() {
    while (!held.empty()) deliver_nearest();
  }
  void message(uint16_t ns, uint32_t which, uint64_t now) {
    if (most > 0 && sequence.is_ahead(ns) && held.size() == most) {
      deliver_nearest();
      deliver_next();
    }
    if (most > 0 && sequence.is_ahead(ns)) {
      if (held.empty()) since = now;
      if (!held.emplace(ns, which).second) lost++;
      return;
    }
    const bool next = sequence.is_next(ns);
    if (!sequence.take(ns)) {
      lost++;
      return;
    }
    delivered.push_back(which);
    if (next) return deliver_next();
    lost += held.size();  // a peer that begins anew
    held.clear();
  }
};

struct Both {
  World world;
  Session* sessions[kSessions];
  Expected expected[kSessions];
  std::vector<uint32_t> delivered[kSessions];
  size_t seen = 0;
  uint32_t which = 0;

  explicit Both(bool merges) {
    world.forwarder.coalesces = merges;
    world.forwarder.marks.confirm(1);
    for (uint8_t s = 0; s < kSessions; s++) {
      const std::string prefix = "10.9.0." + std::to_string(s + 2) + "/32";
      sessions[s] = world.add({1, static_cast<uint16_t>(s + 1)}, path_of(1), {prefix.c_str()});
      sessions[s]->sequence.on = true;
    }
  }

  // Four octets of UDP that say which message it is; merged, there are several of them in a packet.
  void put(size_t s, uint16_t ns, bool numbered) {
    Bytes p = hex("45000000 00004000 40110000 0a090000 0a080001 1388 1770 0000 0000 00000000");
    put16(&p[4], which);
    p[15] = static_cast<uint8_t>(s + 2);
    put32(&p[28], which);
    model::seal(p, 20, false);
    Bytes d = numbered ? hex("0802 0001 0000 0000 0000 ff03 0021") : hex("0002 0001 0000 ff03 0021");
    d[5] = static_cast<uint8_t>(s + 1);
    if (numbered) put16(&d[6], ns);
    d.insert(d.end(), p.begin(), p.end());
    world.datagram({}, path_of(1), d);
    if (numbered) {
      expected[s].message(ns, which, world.now);
    } else {
      expected[s].delivered.push_back(which);
    }
    which++;
  }

  void expire() {
    world.forwarder.expire(world.now);
    for (Expected& e : expected) {
      if (!e.held.empty() && world.now > e.since + kReorderFor) e.deliver_all();
    }
  }

  void set(size_t s, size_t most) {
    world.forwarder.set_reorder(*sessions[s], most, world.now);
    expected[s].deliver_all();
    expected[s].most = most;
  }

  void agree() {
    for (; seen < world.tun.size(); seen++) {
      const Bytes& p = world.tun[seen];
      for (size_t at = 28; at < p.size(); at += 4) delivered[p[15] - 2].push_back(get32(&p[at]));
    }
    bool holds = false;
    for (size_t s = 0; s < kSessions; s++) {
      CHECK(delivered[s] == expected[s].delivered);
      EQ(world.drops(sessions[s], SessionDrop::sequence), expected[s].lost);
      holds = holds || !expected[s].held.empty();
    }
    EQ(world.forwarder.holds(), holds);
  }
};

}  // namespace

void fuzz_reorder(const uint8_t* input, size_t size) {
  if (size < 1 || size > 3 * 2000) return;
  Both both((input[0] & 1) != 0);
  for (size_t at = 1; at + 3 <= size; at += 3) {
    const uint8_t* o = input + at;
    const size_t s = o[0] % kSessions;
    const uint16_t expected = both.expected[s].sequence.expected();
    switch (o[0] / kSessions % 16) {
      case 0:
        both.world.now += o[1];
        both.expire();
        break;
      case 1:
        both.set(s, o[1] % (kMaxReorder + 1));
        break;
      case 2:
        both.put(s, static_cast<uint16_t>(o[1] << 8 | o[2]), true);
        break;
      case 3:
        both.put(s, 0, false);
        break;
      case 4:
        both.world.now += o[1];
        break;
      case 5:  // a peer that begins anew
        for (int i = 0; i < 6; i++) both.put(s, static_cast<uint16_t>(expected - 3000 + i), true);
        break;
      default:
        both.put(s, static_cast<uint16_t>(expected + static_cast<int8_t>(o[1]) / 8), true);
    }
    both.agree();
  }
  both.world.now += kReorderFor + 1;
  both.expire();
  both.agree();
  CHECK(!both.world.forwarder.holds());
}
