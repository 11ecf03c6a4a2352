// The sender against a stand-in for sendmmsg that does with UDP_SEGMENT what the kernel does, or refuses it. Linked with
// --wrap=sendmmsg,--wrap=setsockopt,--wrap=clock_gettime,--wrap=poll,--wrap=epoll_wait; needs no
// privileges.
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <map>
#include <set>

#include "../../src/thread.h"
#include "check.h"
#include "loopback.h"
#include "world.h"

using namespace dp;

namespace {

struct Kernel {
  int refusal = 0;          // what a message with UDP_SEGMENT gets
  int refusal_of_one = 0;   // and one without
  size_t room = ~size_t{0};  // messages taken until EAGAIN
  uint32_t gone = 0;  // a mark that gets EAGAIN whatever room there is
  bool room_for_frames = false;  // whatever room there is for data
  size_t calls = 0, large = 0;
  int fd = -1, discover = -1;  // of the last call, and its socket's IP_MTU_DISCOVER within
  bool refuses_probes = false;
  std::vector<std::pair<uint32_t, Bytes>> out;  // mark, datagram
  std::vector<int> classes;                     // of each in `out`; -1 = not said

  int take(mmsghdr* messages, unsigned count) {
    calls++;
    for (unsigned i = 0; i < count; i++) {
      const msghdr& m = messages[i].msg_hdr;
      const bool frame = room_for_frames && m.msg_iovlen == 2 && m.msg_iov[0].iov_len + m.msg_iov[1].iov_len < 40;
      const int error = room == 0 && !frame ? EAGAIN : take(messages[i].msg_hdr);
      if (error == 0) {
        if (!frame) room--;
        continue;
      }
      errno = error;
      return i > 0 ? static_cast<int>(i) : -1;
    }
    return static_cast<int>(count);
  }

  int take(msghdr& m) {
    uint32_t mark = 0;
    uint16_t size = 0;
    int traffic_class = -1;
    bool addressed = false;
    for (cmsghdr* c = CMSG_FIRSTHDR(&m); c != nullptr; c = CMSG_NXTHDR(&m, c)) {
      if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_MARK) std::memcpy(&mark, CMSG_DATA(c), sizeof mark);
      if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) addressed = m.msg_namelen == sizeof(sockaddr_in);
      if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) addressed = m.msg_namelen == sizeof(sockaddr_in6);
      if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) std::memcpy(&traffic_class, CMSG_DATA(c), sizeof(int));
      if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) std::memcpy(&traffic_class, CMSG_DATA(c), sizeof(int));
      if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == 103) std::memcpy(&size, CMSG_DATA(c), sizeof size);
    }
    CHECK(addressed);
    Bytes all;
    for (size_t i = 0; i < m.msg_iovlen; i++) {
      const auto* p = static_cast<const uint8_t*>(m.msg_iov[i].iov_base);
      all.insert(all.end(), p, p + m.msg_iov[i].iov_len);
    }
    CHECK(all.size() <= 65507);
    if (size != 0 && refusal != 0) return refusal;
    if (size == 0 && refusal_of_one != 0) return refusal_of_one;
    if (mark != 0 && mark == gone) return EAGAIN;
    if (size == 0) {
      out.emplace_back(mark, all);
      classes.push_back(traffic_class);
      return 0;
    }
    large++;
    CHECK(all.size() > size && (all.size() + size - 1) / size <= 64);
    for (size_t at = 0; at < all.size(); at += size) {
      classes.push_back(traffic_class);
      const size_t end = std::min<size_t>(at + size, all.size());
      out.emplace_back(mark, Bytes(all.begin() + static_cast<long>(at), all.begin() + static_cast<long>(end)));
    }
    return 0;
  }
} kernel;
std::mutex kernel_mutex;  // where a thread sends
std::atomic<uint64_t> clock_ms{1'000'000};

int discover(int fd) {
  int value = -1;
  socklen_t n = sizeof value;
  CHECK(getsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &value, &n) == 0);
  return value;
}

struct Peers {
  std::vector<Session> sessions{3};
  GlobalCounters globals;
  Sender sender{globals};
  Socket socket;
  std::map<const Session*, std::vector<Bytes>> given;
  std::vector<std::unique_ptr<Bytes>> kept;
  uint32_t number = 0;

  Peers() {
    kernel = {};
    for (size_t i = 0; i < sessions.size(); i++) {
      sessions[i].path = path_of(static_cast<uint32_t>(i + 1));
      sessions[i].counters = std::make_shared<SessionCounters>();
    }
  }
  void add(Session& s, size_t n, uint8_t traffic_class = 0) {
    Bytes head = hex("4002");
    kept.push_back(std::make_unique<Bytes>(n - 2));
    Bytes& body = *kept.back();
    for (auto& o : body) o = static_cast<uint8_t>(number * 31);
    if (n >= 6) put32(body.data(), number++);
    sender.add(socket, s.path, head.data(), 2, body.data(), body.size(), &s, n, traffic_class);
    head.insert(head.end(), body.begin(), body.end());
    given[&s].push_back(head);
  }
  struct Sums {
    size_t packets = 0, octets = 0, dropped = 0;
  };
  std::map<const Session*, Sums> send() {
    sender.send(0, 1);
    return cleared();
  }
  // What was counted since the last time.
  std::map<const Session*, Sums> cleared() {
    std::map<const Session*, Sums> sums;
    for (Session& s : sessions) {
      const SessionCounters& c = *s.counters;
      sums[&s] = {c.packets_out.get(), c.octets_out.get(), c.drops[static_cast<size_t>(SessionDrop::send)].get()};
      s.counters = std::make_shared<SessionCounters>();
    }
    sender.clear();
    kept.clear();
    return sums;
  }
  std::vector<Bytes> sent(const Session& s) const {
    std::vector<Bytes> all;
    for (const auto& [mark, data] : kernel.out) {
      if (mark == s.path.mark) all.push_back(data);
    }
    return all;
  }
};

void trains() {
  Peers p;
  for (size_t i = 0; i < 100; i++) {
    for (Session& s : p.sessions) p.add(s, i == 99 ? 700 : 1400);
  }
  auto sums = p.send();
  // 1400 times 46 is what a message has room for.
  EQ(kernel.large, 9u);
  EQ(kernel.calls, 1u);
  for (Session& s : p.sessions) {
    CHECK(p.sent(s) == p.given[&s]);
    EQ(sums[&s].packets, 100u);
    EQ(sums[&s].octets, 99 * 1400 + 700u);
    EQ(sums[&s].dropped, 0u);
  }
}

// Sessions of one tunnel share trains, those of others do not; each session's datagrams stay in order.
void trains_of_a_tunnel() {
  Peers p;
  Session &a = p.sessions[0], &b = p.sessions[1], &other = p.sessions[2];
  b.path = a.path;
  for (size_t i = 0; i < 60; i++) {
    p.add(a, 100);
    p.add(b, i % 20 == 19 ? 60 : 100);
    if (i % 2 == 0) p.add(other, 100);
  }
  std::vector<Bytes> both;
  for (size_t i = 0; i < 60; i++) {
    both.push_back(p.given[&a][i]);
    both.push_back(p.given[&b][i]);
  }
  auto sums = p.send();
  EQ(kernel.calls, 1u);
  EQ(kernel.large, 4u);  // a train ends with the shorter one of b
  CHECK(p.sent(a) == both);
  CHECK(p.sent(other) == p.given[&other]);
  EQ(sums[&a].packets, 60u);
  EQ(sums[&a].octets, 6000u);
  EQ(sums[&b].packets, 60u);
  EQ(sums[&b].octets, 57 * 100 + 3 * 60u);
  EQ(sums[&other].packets, 30u);
  // What the kernel says of the path holds for both.
  kernel.refusal = EIO;
  p.add(a, 100);
  p.add(b, 100);
  sums = p.send();
  CHECK(!a.segments && !b.segments && other.segments);
  EQ(sums[&a].packets + sums[&b].packets, 2u);
}

// A train that is refused, and then there is room for a part of it: the rest waits, and nothing leaves twice.
void apart_without_room() {
  Peers p;
  Session &a = p.sessions[0], &b = p.sessions[1];
  b.path = a.path;
  kernel.refusal = EIO;
  kernel.room = 5;
  for (size_t i = 0; i < 10; i++) {
    p.add(a, 100);
    p.add(b, 100);
  }
  p.sender.send_some(1);
  std::vector<std::pair<const Session*, Bytes>> rest;
  p.sender.unsent([&](Session& s, const uint8_t* head, size_t head_length, const uint8_t* body, size_t body_length, size_t octets, uint8_t,
                      FairQueue::Chunk*) {
    Bytes all(head, head + head_length);
    all.insert(all.end(), body, body + body_length);
    EQ(octets, 100u);
    rest.emplace_back(&s, all);
  });
  auto sums = p.cleared();
  EQ(sums[&a].packets, 3u);
  EQ(sums[&b].packets, 2u);
  EQ(sums[&a].dropped + sums[&b].dropped, 0u);
  EQ(kernel.out.size(), 5u);
  EQ(rest.size(), 15u);
  for (size_t i = 0; i < 15; i++) {
    const Session& s = i % 2 == 0 ? b : a;
    CHECK(rest[i].first == &s && rest[i].second == p.given[&s][(i + 5) / 2]);
  }
}

// RFC 2474 §3: datagrams of one message have one traffic class; those of a session stay in order.
void classes() {
  for (const int refusal : {0, EIO}) {
    Peers p;
    kernel.refusal = refusal;
    Session& s = p.sessions[0];
    std::vector<int> want;
    for (const uint8_t c : {0, 0xb8, 0xb8, 0, 0x28}) {
      for (size_t i = 0; i < 10; i++) p.add(s, 1400, c);
      want.insert(want.end(), 10, c == 0 ? -1 : c);
    }
    EQ(p.send()[&s].packets, 50u);
    if (refusal == 0) EQ(kernel.large, 4u);
    CHECK(p.sent(s) == p.given[&s] && kernel.classes == want);
  }
}

// The same towards IPv6 peers, beside an IPv4 one.
void trains_over_ipv6() {
  Peers p;
  for (size_t i = 0; i < 2; i++) p.sessions[i].path = path_of(static_cast<uint32_t>(i + 1), "2001:db8::2", "2001:db8::1");
  for (size_t i = 0; i < 40; i++) {
    for (Session& s : p.sessions) p.add(s, i == 39 ? 99 : 1200, 0xb8);
  }
  auto sums = p.send();
  EQ(kernel.large, 3u);
  for (Session& s : p.sessions) {
    CHECK(p.sent(s) == p.given[&s]);
    EQ(sums[&s].packets, 40u);
  }
  CHECK(kernel.classes == std::vector<int>(120, 0xb8));
}

// What a frame of JS's or a batch before left behind is not taken for this batch's.
void nothing_is_left_over() {
  Peers p;
  Sender control(p.globals);
  const Bytes frame = hex("c0210901");
  control.add(p.socket, p.sessions[0].path, frame.data(), 4, nullptr, 0, &p.sessions[0], 0);
  control.add(p.socket, p.sessions[0].path, frame.data(), 4, nullptr, 0, &p.sessions[0], 0);
  for (int round = 0; round < 3; round++) {
    p.add(p.sessions[1], 100);
    p.add(p.sessions[0], 100);
    p.add(p.sessions[0], 100);
    p.send();
  }
  EQ(kernel.large, 3u);
  control.send(0, 1);
  EQ(kernel.large, 3u);
  for (size_t i : {1u, 0u}) EQ(p.sent(p.sessions[i]).size(), i == 1 ? 3u : 8u);
}

void refused() {
  for (const int error : {EIO, EINVAL, EMSGSIZE}) {
    Peers p;
    kernel.refusal = error;
    for (int round = 0; round < 3; round++) {
      for (size_t i = 0; i < 20; i++) {
        p.add(p.sessions[0], 1400);
        if (i == 5) p.add(p.sessions[1], 1400);
      }
      auto sums = p.send();
      EQ(sums[&p.sessions[0]].packets, 20u);
      const size_t calls = static_cast<size_t>(error == EMSGSIZE ? 3 * round + 3 : round + 3);
      EQ(kernel.calls, calls);
    }
    CHECK(p.sent(p.sessions[0]) == p.given[&p.sessions[0]]);
    CHECK(p.sent(p.sessions[1]) == p.given[&p.sessions[1]]);
    CHECK(p.sessions[0].segments == (error == EMSGSIZE) && p.sessions[1].segments);
  }
}

// What a datagram alone gets, too, says nothing of UDP_SEGMENT: an address that is away for a moment, say.
void refused_for_a_moment() {
  for (const int error : {EIO, EINVAL}) {
    Peers p;
    Session& s = p.sessions[0];
    kernel.refusal = kernel.refusal_of_one = error;
    for (size_t i = 0; i < 20; i++) p.add(s, 1000);
    EQ(p.send()[&s].dropped, 20u);
    CHECK(s.segments);
    kernel.refusal = kernel.refusal_of_one = 0;
    for (size_t i = 0; i < 20; i++) p.add(s, 1000);
    EQ(p.send()[&s].packets, 20u);
    EQ(kernel.large, 1u);
  }
}

void no_room() {
  Peers p;
  kernel.room = 1;
  for (size_t i = 0; i < 10; i++) p.add(p.sessions[0], 1000);
  for (size_t i = 0; i < 10; i++) p.add(p.sessions[1], 1000);
  auto sums = p.send();
  EQ(sums[&p.sessions[0]].packets, 10u);
  EQ(sums[&p.sessions[1]].packets, 0u);
  EQ(sums[&p.sessions[1]].octets, 0u);
  EQ(sums[&p.sessions[1]].dropped, 10u);
  CHECK(p.sessions[1].segments);
  kernel.refusal = EIO;
  kernel.room = 4;
  for (size_t i = 0; i < 10; i++) p.add(p.sessions[0], 1000);
  sums = p.send();
  EQ(sums[&p.sessions[0]].packets, 4u);
  EQ(sums[&p.sessions[0]].octets, 4000u);
  EQ(sums[&p.sessions[0]].dropped, 6u);
}

// EAGAIN where there is room is about the path, whose SA is gone: what is for it is lost, and nobody waits behind it.
void no_room_for_one() {
  for (const int refusal : {0, EIO}) {
    Peers p;
    kernel.gone = 2;
    kernel.refusal = refusal;
    for (size_t i = 0; i < 10; i++) {
      for (Session& s : p.sessions) p.add(s, 1000);
    }
    p.sender.send_some(1);
    p.sender.unsent([](auto&&...) { CHECK(false); });
    auto sums = p.cleared();
    for (size_t i = 0; i < 3; i++) {
      EQ(sums[&p.sessions[i]].packets, i == 1 ? 0u : 10u);
      EQ(sums[&p.sessions[i]].dropped, i == 1 ? 10u : 0u);
    }
    // Where there was none for a moment nothing is lost.
    kernel.gone = 0;
    kernel.room = 1;
    for (Session& s : p.sessions) p.add(s, 1000);
    p.sender.send_some(1);
    size_t waiting = 0;
    p.sender.unsent([&](auto&&...) { waiting++; });
    EQ(waiting, 2u);
    EQ(p.cleared()[&p.sessions[1]].dropped, 0u);
  }
}

// Any sizes, any sessions, refusals now and then: each session's datagrams arrive whole and in order.
void any() {
  Random random(6);
  static const size_t kSizes[] = {2, 6, 64, 64, 576, 1412, 1412, 1412, 9000, 65000};
  for (int round = 0; round < 300; round++) {
    Peers p;
    for (int batch = 0; batch < 3; batch++) {
      kernel.refusal = random.below(3) == 0 ? EIO : 0;
      size_t n = random.below(400), last = 2;
      while (n-- > 0 && !p.sender.full()) {
        if (random.below(4) == 0) last = kSizes[random.below(10)];
        p.add(p.sessions[random.below(3)], last);
      }
      p.send();
    }
    for (const Session& s : p.sessions) CHECK(p.sent(s) == p.given[&s]);
  }
}

std::unique_ptr<PacketThread> start_thread(int tun, std::initializer_list<const char*> addresses = {"127.0.0.1"}) {
  kernel = {};
  PacketThread::Options options;
  if (tun >= 0) options.tun_fds = {tun};
  options.notify = options.ended = [] {};
  std::unique_ptr<PacketThread> t;
  CHECK(!PacketThread::start(options, t));
  std::vector<ListenSpec> listeners;
  for (const char* address : addresses) {
    listeners.push_back(loopback_listener());
    CHECK(parse_address(address, listeners.back().address));
    listeners.back().port = 0;
    listeners.back().receive_buffer = 65536;
  }
  CHECK(!t->listen(listeners));
  return t;
}

// An open session with 10.9.0.0 + ID behind it.
std::shared_ptr<const SessionCounters> add_session(PacketThread& t, uint16_t id, bool sequencing = false) {
  SessionSpec spec;
  spec.path = path_of(0, "127.0.0.2", "127.0.0.1");
  spec.ours = spec.peers = {id, id};
  SessionUpdate state;
  state.open = true;
  state.sequencing = sequencing;
  state.prefixes.emplace(1);
  CHECK(parse_prefix(("10.9." + std::to_string(id >> 8) + "." + std::to_string(id & 255)).c_str(), state.prefixes->at(0)));
  CHECK(!t.add_session(spec, state));
  return t.counters(spec.ours);
}

// A datagram without payload to 10.9.0.TO.
void put_packet(int tun, uint8_t to) {
  Bytes p = hex("4500001c 00004000 40110000 0a080001 0a090000 1388 1770 0008 0000");
  p[19] = to;
  CHECK(write(tun, p.data(), p.size()) == 28);
}

template <class F>
void wait_until(F so) {
  for (int i = 0; !so(); i++) {
    CHECK(i < 30'000);
    usleep(1000);
  }
}

// Everything asked of the thread so far is done.
void flush(PacketThread& t) {
  t.flush(1);
  for (UpcallBatch done; done.flushed.empty(); t.take(done)) std::this_thread::yield();
}

// Packets for many sessions, read in batches: each session has its own packet, of its own length.
void many_sessions() {
  int pair[2];
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
  const auto t = start_thread(pair[0]);
  constexpr size_t kSessions = 300;
  std::vector<std::shared_ptr<const SessionCounters>> counters;
  for (uint16_t id = 1; id <= kSessions; id++) counters.push_back(add_session(*t, id));
  const auto length = [](size_t id) { return 28 + id % 50; };
  const auto put = [&](size_t id) {
    Bytes p = hex("45000000 00004000 40110000 0a080001 0a090000 1388 1770 0000 0000");
    p.resize(length(id));
    put16(&p[2], p.size());
    put16(&p[18], id);
    CHECK(write(pair[1], p.data(), p.size()) == static_cast<ssize_t>(p.size()));
  };
  {
    // The thread stands in its first sendmmsg, and then finds whole batches.
    const std::lock_guard<std::mutex> lock(kernel_mutex);
    for (size_t id = 1; id <= 128; id++) put(id);
  }
  for (size_t id = 129; id <= kSessions; id++) put(id);
  for (size_t id = 1; id <= kSessions; id++) {
    const SessionCounters& c = *counters[id - 1];
    wait_until([&] { return c.packets_out.get() > 0; });
    EQ(c.packets_out.get(), 1u);
    EQ(c.octets_out.get(), length(id));
  }
  t->stop();
  t->join();
  EQ(kernel.out.size(), kSessions);
  std::set<uint16_t> peers;
  for (const auto& [mark, data] : kernel.out) {
    const uint16_t id = get16(&data[6]);
    peers.insert(id);
    EQ(data.size(), 12 + length(id));
  }
  EQ(peers.size(), kSessions);
  close(pair[0]);
  close(pair[1]);
}

// While the socket has no room packets wait, each session's in order; one that sends too much loses its own. Numbers are given
// when a packet leaves (RFC 2661 §5.4): what is lost here leaves no gap, and a frame of JS's does not go back in the count.
void held() {
  int pair[2];
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
  const auto t = start_thread(pair[0]);
  {
    const std::lock_guard<std::mutex> lock(kernel_mutex);
    kernel.room = 0;
    kernel.room_for_frames = true;
  }
  const auto one = add_session(*t, 1, true), two = add_session(*t, 2);
  uint32_t number = 0;
  const auto from_tun = [&](uint8_t to, size_t n) {
    Bytes p = hex("45000000 00004000 40110000 0a080001 0a090000 1388 1770 0000 0000");
    p.resize(n);
    put16(&p[2], n);
    p[19] = to;
    put32(&p[n - 4], number++);
    CHECK(write(pair[1], p.data(), p.size()) == static_cast<ssize_t>(p.size()));
  };
  const size_t many = 2500, few = 10;
  for (size_t i = 0; i < many; i++) {
    from_tun(1, 1000);
    if (i % (many / few) == 0) from_tun(2, i % 500 == 0 ? 1000 : 1400);
  }
  from_tun(3, 100);
  wait_until([&] { return t->globals().get(GlobalDrop::no_route) == 1; });
  EQ(one->packets_out.get() + two->packets_out.get(), 0u);
  const auto lost = [](const auto& c) { return c->drops[static_cast<size_t>(SessionDrop::queue)].get(); };
  EQ(lost(one), many + few - kHeldChunks);
  EQ(lost(two), 0u);
  t->send_frame({1, 1}, hex("c021 0901 0008 00000000"));
  wait_until([&] { const std::lock_guard<std::mutex> lock(kernel_mutex); return kernel.out.size() == 1; });
  { const std::lock_guard<std::mutex> lock(kernel_mutex); kernel.room = ~size_t{0}; }
  wait_until([&] { return one->packets_out.get() + two->packets_out.get() + lost(one) + lost(two) == many + few; });
  EQ(two->packets_out.get(), few);
  EQ(two->octets_out.get(), 5 * 1000 + 5 * 1400u);
  // Nothing waits any more: the next one goes at once.
  from_tun(2, 500);
  wait_until([&] { return two->packets_out.get() == few + 1; });
  t->stop();
  t->join();
  uint16_t ns = 0;
  uint32_t last[2] = {};
  for (const auto& [mark, data] : kernel.out) {
    L2tpHeader h;
    CHECK(parse_l2tp(data.data(), data.size(), h) == L2tpResult::ok);
    EQ(h.sequenced, h.tunnel == 1);
    if (h.sequenced) EQ(h.ns, ns++);
    if (h.end - h.begin < 100) continue;
    const uint32_t n = get32(&data[h.end - 4]);
    CHECK(last[h.tunnel - 1] <= n);
    last[h.tunnel - 1] = n;
  }
  close(pair[0]);
  close(pair[1]);
}

// Small packets that may go first keep their order, those that found no room as well as those behind them.
void held_small() {
  int pair[2];
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
  const auto t = start_thread(pair[0]);
  { const std::lock_guard<std::mutex> lock(kernel_mutex); kernel.room = 0; }
  const auto counters = add_session(*t, 1);
  SessionUpdate update;
  update.small_first = true;
  CHECK(!t->update_session({1, 1}, update));
  flush(*t);
  uint8_t number = 0;
  for (const uint64_t round : {1, 2}) {
    for (int i = 0; i < 3; i++) {
      Bytes p = hex("4500001d 00004000 40110000 0a080001 0a090001 1388 1770 0009 0000 00");
      p.back() = number++;
      CHECK(write(pair[1], p.data(), p.size()) == 29);
    }
    put_packet(pair[1], 2);
    wait_until([&] { return t->globals().get(GlobalDrop::no_route) == round; });
    flush(*t);
  }
  { const std::lock_guard<std::mutex> lock(kernel_mutex); kernel.room = ~size_t{0}; }
  wait_until([&] { return counters->packets_out.get() == 6; });
  t->stop();
  t->join();
  EQ(kernel.out.size(), 6u);
  for (size_t i = 0; i < 6; i++) EQ(kernel.out[i].second.back(), i);
  close(pair[0]);
  close(pair[1]);
}

// How long a packet may wait is the line's time: a stop of the host is one turn of the loop, however long it was.
void held_too_long() {
  for (const bool stop : {true, false}) {
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
    const auto t = start_thread(pair[0]);
    { const std::lock_guard<std::mutex> lock(kernel_mutex); kernel.room = 0; }
    const auto counters = add_session(*t, 1);
    // Each packet that has no route is a turn of the loop, or more.
    uint64_t turns = 0;
    const auto turn = [&] {
      put_packet(pair[1], 2);
      turns++;
      wait_until([&] { return t->globals().get(GlobalDrop::no_route) >= turns; });
    };
    for (int i = 0; i < 5; i++) put_packet(pair[1], 1);
    turn();
    if (stop) {
      clock_ms += 10 * kHoldFor;
      turn();
    } else {
      for (uint64_t waited = 0; waited <= kHoldFor; waited += 40) {
        clock_ms += 40;
        turn();
      }
    }
    { const std::lock_guard<std::mutex> lock(kernel_mutex); kernel.room = ~size_t{0}; }
    const auto gone = [&] { return counters->drops[static_cast<size_t>(SessionDrop::queue)].get(); };
    wait_until([&] { return counters->packets_out.get() + gone() >= 5; });
    EQ(gone(), stop ? 0u : 5u);
    t->stop();
    t->join();
    close(pair[0]);
    close(pair[1]);
  }
}

// A session that is closed or goes takes with it what waits of it.
void held_and_gone() {
  int pair[2];
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
  const auto t = start_thread(pair[0]);
  { const std::lock_guard<std::mutex> lock(kernel_mutex); kernel.room = 0; }
  std::shared_ptr<const SessionCounters> counters[3];
  for (const uint16_t id : {1, 2, 3}) counters[id - 1] = add_session(*t, id);
  for (const uint8_t to : {1, 2, 3, 4}) {
    for (int i = 0; i < (to == 4 ? 1 : 5); i++) put_packet(pair[1], to);
  }
  wait_until([&] { return t->globals().get(GlobalDrop::no_route) > 0; });
  t->remove_session({1, 1});
  SessionUpdate closed;
  closed.open = false;
  CHECK(!t->update_session({2, 2}, closed));
  t->unlisten();
  for (const auto& c : counters) EQ(c->drops[static_cast<size_t>(SessionDrop::queue)].get(), 5u);
  t->stop();
  t->join();
  EQ(kernel.out.size(), 0u);
  close(pair[0]);
  close(pair[1]);
}

// A tunnel that moves to another listener while packets of it wait: they are lost, what comes then waits and leaves there.
void held_and_moved() {
  int pair[2];
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
  const auto t = start_thread(pair[0], {"127.0.0.1", "127.0.0.3"});
  { const std::lock_guard<std::mutex> lock(kernel_mutex); kernel.room = 0; }
  const auto counters = add_session(*t, 1);
  for (const uint64_t round : {1, 2}) {
    for (int i = 0; i < 5; i++) put_packet(pair[1], 1);
    put_packet(pair[1], 2);
    wait_until([&] { return t->globals().get(GlobalDrop::no_route) == round; });
    if (round == 1) t->move_path(1, path_of(0, "127.0.0.2", "127.0.0.3"));
    flush(*t);
  }
  const auto lost = [&](SessionDrop why) { return counters->drops[static_cast<size_t>(why)].get(); };
  EQ(lost(SessionDrop::queue), 5u);
  { const std::lock_guard<std::mutex> lock(kernel_mutex); kernel.room = ~size_t{0}; }
  wait_until([&] { return counters->packets_out.get() + lost(SessionDrop::queue) + lost(SessionDrop::send) == 10; });
  EQ(counters->packets_out.get(), 5u);
  t->unlisten();
  t->stop();
  t->join();
  close(pair[0]);
  close(pair[1]);
}

// A frame is sent with DF when asked, alone, and not at all when DF cannot be had.
void probes() {
  const auto t = start_thread(-1);
  SessionSpec spec;
  spec.ours = spec.peers = {1, 1};
  spec.path = path_of(0, "127.0.0.2", "127.0.0.1");
  const auto send = [&](bool dont_fragment) {
    CHECK(!t->add_session(spec, {}));
    t->send_frame(spec.ours, hex("c0210901"), dont_fragment);
    const auto counters = t->remove_session(spec.ours);
    flush(*t);
    return counters->drops[static_cast<size_t>(SessionDrop::send)].get();
  };
  for (const bool df : {false, true, false}) {
    kernel.discover = -1;
    EQ(send(df), 0u);
    EQ(kernel.discover, df ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT);
    EQ(discover(kernel.fd), IP_PMTUDISC_DONT);
  }
  EQ(kernel.out.size(), 3u);
  kernel.refuses_probes = true;
  EQ(send(true), 1u);
  EQ(kernel.out.size(), 3u);
  EQ(send(false), 0u);
  EQ(kernel.out.size(), 4u);
  t->stop();
  t->join();
}

}  // namespace

extern "C" {
int __real_setsockopt(int fd, int level, int name, const void* value, socklen_t n);

int __wrap_setsockopt(int fd, int level, int name, const void* value, socklen_t n) {
  if (kernel.refuses_probes && level == IPPROTO_IP && name == IP_MTU_DISCOVER) {
    errno = EPERM;
    return -1;
  }
  return __real_setsockopt(fd, level, name, value, n);
}

// Nothing gets too late here by itself, however slow the machine is.
int __wrap_clock_gettime(clockid_t, timespec* t) {
  const uint64_t ms = clock_ms;
  *t = {static_cast<time_t>(ms / 1000), static_cast<long>(ms % 1000 * 1'000'000)};
  return 0;
}

// The sockets are real and have room; what they tell must be what sendmmsg does.
int __real_epoll_wait(int fd, epoll_event* events, int most, int timeout);

int __wrap_epoll_wait(int fd, epoll_event* events, int most, int timeout) {
  const int n = __real_epoll_wait(fd, events, most, timeout);
  int left = 0;
  for (int i = 0; i < n; i++) {
    epoll_event e = events[i];
    if ((e.events & EPOLLOUT) != 0) {
      const std::lock_guard<std::mutex> lock(kernel_mutex);
      if (kernel.room == 0) e.events &= ~uint32_t{EPOLLOUT};
    }
    if (e.events != 0) events[left++] = e;
  }
  return n < 0 ? n : left;
}

int __wrap_poll(pollfd* p, nfds_t, int) {
  const std::lock_guard<std::mutex> lock(kernel_mutex);
  p->revents = kernel.room > 0 ? POLLOUT : 0;
  return kernel.room > 0 ? 1 : 0;
}

int __wrap_sendmmsg(int fd, mmsghdr* messages, unsigned count, int) {
  const std::lock_guard<std::mutex> lock(kernel_mutex);
  kernel.fd = fd;
  if (fd >= 0) kernel.discover = discover(fd);
  return kernel.take(messages, count);
}
}

int main() {
  cases({{"trains", trains},
         {"trains of a tunnel", trains_of_a_tunnel},
         {"apart without room", apart_without_room},
         {"nothing is left over", nothing_is_left_over},
         {"classes", classes},
         {"trains over IPv6", trains_over_ipv6},
         {"refused", refused},
         {"refused for a moment", refused_for_a_moment},
         {"no room", no_room},
         {"no room for one", no_room_for_one},
         {"any sizes in any order", any},
         {"many sessions", many_sessions},
         {"held", held},
         {"held small", held_small},
         {"held too long", held_too_long},
         {"held and gone", held_and_gone},
         {"held and moved", held_and_moved},
         {"probes", probes}});
}
