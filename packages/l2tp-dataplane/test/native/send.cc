// The sender against a stand-in for sendmmsg that does with UDP_SEGMENT what the kernel does, or refuses it. Linked with
// --wrap=sendmmsg,--wrap=setsockopt; needs no privileges.
#include <errno.h>

#include <map>

#include "../../src/thread.h"
#include "check.h"
#include "world.h"

using namespace dp;

namespace {

struct Kernel {
  int refusal = 0;          // what a message with UDP_SEGMENT gets
  size_t room = ~size_t{0};  // messages taken until EAGAIN
  size_t calls = 0, large = 0;
  int fd = -1, discover = -1;  // of the last call, and its socket's IP_MTU_DISCOVER within
  bool refuses_probes = false;
  std::vector<std::pair<uint32_t, Bytes>> out;  // mark, datagram

  int take(mmsghdr* messages, unsigned count) {
    calls++;
    for (unsigned i = 0; i < count; i++) {
      const int error = room == 0 ? EAGAIN : take(messages[i].msg_hdr);
      if (error == 0) {
        room--;
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
    bool addressed = false;
    for (cmsghdr* c = CMSG_FIRSTHDR(&m); c != nullptr; c = CMSG_NXTHDR(&m, c)) {
      if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_MARK) std::memcpy(&mark, CMSG_DATA(c), sizeof mark);
      if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) addressed = true;
      if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == 103) std::memcpy(&size, CMSG_DATA(c), sizeof size);
    }
    CHECK(addressed && m.msg_namelen == sizeof(sockaddr_in));
    Bytes all;
    for (size_t i = 0; i < m.msg_iovlen; i++) {
      const auto* p = static_cast<const uint8_t*>(m.msg_iov[i].iov_base);
      all.insert(all.end(), p, p + m.msg_iov[i].iov_len);
    }
    CHECK(all.size() <= 65507);
    if (size == 0) {
      out.emplace_back(mark, all);
      return 0;
    }
    if (refusal != 0) return refusal;
    large++;
    CHECK(all.size() > size && (all.size() + size - 1) / size <= 64);
    for (size_t at = 0; at < all.size(); at += size) {
      const size_t end = std::min<size_t>(at + size, all.size());
      out.emplace_back(mark, Bytes(all.begin() + static_cast<long>(at), all.begin() + static_cast<long>(end)));
    }
    return 0;
  }
} kernel;

int discover(int fd) {
  int value = -1;
  socklen_t n = sizeof value;
  CHECK(getsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &value, &n) == 0);
  return value;
}

struct Peers {
  std::vector<Session> sessions{3};
  Sender sender;
  Socket socket;
  std::map<const Session*, std::vector<Bytes>> given;
  std::vector<std::unique_ptr<Bytes>> kept;
  uint32_t number = 0;

  Peers() {
    kernel = {};
    for (size_t i = 0; i < sessions.size(); i++) sessions[i].path = path_of(static_cast<uint32_t>(i + 1));
  }
  void add(Session& s, size_t n) {
    Bytes head = hex("4002");
    kept.push_back(std::make_unique<Bytes>(n - 2));
    Bytes& body = *kept.back();
    for (auto& o : body) o = static_cast<uint8_t>(number * 31);
    if (n >= 6) put32(body.data(), number++);
    sender.add(socket, s.path, head.data(), 2, body.data(), body.size(), &s, n);
    head.insert(head.end(), body.begin(), body.end());
    given[&s].push_back(head);
  }
  struct Sums {
    size_t packets = 0, octets = 0, dropped = 0;
  };
  std::map<const Session*, Sums> send() {
    sender.send(0);
    std::map<const Session*, Sums> sums;
    for (size_t i = 0; i < sender.count(); i++) {
      Sums& s = sums[sender.slot(i).session];
      s.packets += sender.slot(i).packets;
      s.octets += sender.slot(i).octets;
      s.dropped += sender.slot(i).dropped;
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

// What a frame of JS's or a batch before left behind is not taken for this batch's.
void nothing_is_left_over() {
  Peers p;
  Sender control;
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
  control.send(0);
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

// A frame is sent with DF when asked, alone, and not at all when DF cannot be had.
void probes() {
  kernel = {};
  PacketThread::Options options;
  options.notify = options.ended = [] {};
  std::unique_ptr<PacketThread> t;
  CHECK(!PacketThread::start(options, t));
  SessionSpec spec;
  spec.ours = spec.peers = {1, 1};
  spec.path = path_of(0, "127.0.0.2", "127.0.0.1");
  ListenSpec listen;
  listen.address = spec.path.local;
  listen.port = 0;
  listen.policy.raw = true;
  listen.policy.peers.emplace_back();
  CHECK(parse_prefix("127.0.0.2/32", listen.policy.peers[0]));
  listen.interface = "lo";
  listen.receive_buffer = 65536;
  CHECK(!t->listen({listen}));
  const auto send = [&](bool dont_fragment) {
    CHECK(!t->add_session(spec, {}));
    t->send_frame(spec.ours, hex("c0210901"), dont_fragment);
    return t->remove_session(spec.ours)->drops[static_cast<size_t>(SessionDrop::send)].get();
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

int __wrap_sendmmsg(int fd, mmsghdr* messages, unsigned count, int) {
  kernel.fd = fd;
  if (fd >= 0) kernel.discover = discover(fd);
  return kernel.take(messages, count);
}
}

int main() {
  cases({{"trains", trains},
         {"nothing is left over", nothing_is_left_over},
         {"refused", refused},
         {"no room", no_room},
         {"any sizes in any order", any},
         {"probes", probes}});
}
