// The options of a socket that is open: UDP checksums and the outer DF bit; and what comes to which of a listener's two.
// Needs no privileges.
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include "../../src/thread.h"
#include "check.h"
#include "loopback.h"

using namespace dp;

namespace {

int option(int fd, int level, int name) {
  int value = -1;
  socklen_t n = sizeof value;
  CHECK(getsockopt(fd, level, name, &value, &n) == 0);
  return value;
}

void open_at(const char* address, Socket& socket) {
  ListenSpec spec;
  CHECK(parse_address(address, spec.address));
  spec.port = 0;
  spec.policy.raw = true;
  spec.interface = "lo";
  spec.receive_buffer = 65536;
  const Failure failure = socket.open(spec);
  if (failure) std::fprintf(stderr, "%s: %d\n", failure.call, failure.error);
  CHECK(!failure);
}

// RFC 2661 §8.1 MUST: for control and data; a socket is for both.
void checksums() {
  Socket v4, v6;
  open_at("127.0.0.1", v4);
  EQ(option(v4.fd(), SOL_SOCKET, SO_NO_CHECK), 0);
  open_at("::1", v6);
  EQ(option(v6.fd(), SOL_SOCKET, SO_NO_CHECK), 0);
  constexpr int kNoCheck6Tx = 101;  // UDP_NO_CHECK6_TX
  EQ(option(v6.fd(), IPPROTO_UDP, kNoCheck6Tx), 0);
}

void dont_fragment() {
  Socket v4, v6;
  open_at("127.0.0.1", v4);
  open_at("::1", v6);
  const auto is = [&](int want4, int want6) {
    EQ(option(v4.fd(), IPPROTO_IP, IP_MTU_DISCOVER), want4);
    EQ(option(v6.fd(), IPPROTO_IPV6, IPV6_MTU_DISCOVER), want6);
  };
  is(IP_PMTUDISC_DONT, IPV6_PMTUDISC_DONT);
  EQ(set_dont_fragment(v4.fd(), Family::v4, true), 0);
  EQ(set_dont_fragment(v6.fd(), Family::v6, true), 0);
  is(IP_PMTUDISC_PROBE, IPV6_PMTUDISC_PROBE);
  EQ(set_dont_fragment(v4.fd(), Family::v4, false), 0);
  EQ(set_dont_fragment(v6.fd(), Family::v6, false), 0);
  is(IP_PMTUDISC_DONT, IPV6_PMTUDISC_DONT);
}

// A traffic class arrives at the other end as it was given, in trains and alone.
void traffic_class(const char* local, const char* remote, int family) {
  Socket from;
  open_at(local, from);
  sockaddr_in6 name{};
  socklen_t n = family == AF_INET ? sizeof(sockaddr_in) : sizeof name;
  name.sin6_family = static_cast<sa_family_t>(family);
  Path to;
  CHECK(parse_address(local, to.local) && parse_address(remote, to.remote));
  const size_t octets = family == AF_INET ? 4 : 16;
  void* const address = family == AF_INET ? static_cast<void*>(&reinterpret_cast<sockaddr_in*>(&name)->sin_addr) : &name.sin6_addr;
  std::memcpy(address, to.remote.bytes.data(), octets);
  const int peer = socket(family, SOCK_DGRAM, 0);
  CHECK(bind(peer, reinterpret_cast<sockaddr*>(&name), n) == 0);
  CHECK(getsockname(peer, reinterpret_cast<sockaddr*>(&name), &n) == 0);
  to.port = ntohs(name.sin6_port);
  const int one = 1;
  const bool v4 = family == AF_INET;
  CHECK(setsockopt(peer, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_RECVTOS : IPV6_RECVTCLASS, &one, sizeof one) == 0);

  Session session;
  session.counters = std::make_shared<SessionCounters>();
  GlobalCounters globals;
  const auto sender = std::make_unique<Sender>(globals);
  const uint8_t classes[] = {0, 0xb8, 0xb8, 0xb8, 0x28, 0};
  const Bytes body(500, 7);
  for (const uint8_t c : classes) sender->add(from, to, nullptr, 0, body.data(), body.size(), &session, body.size(), c);
  sender->send(0, 1);
  for (const uint8_t c : classes) {
    uint8_t data[2048], control[256];
    iovec part{data, sizeof data};
    msghdr m{};
    m.msg_iov = &part;
    m.msg_iovlen = 1;
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    pollfd ready{peer, POLLIN, 0};
    EQ(poll(&ready, 1, 5000), 1);
    EQ(recvmsg(peer, &m, 0), 500);
    int got = -1;
    for (cmsghdr* h = CMSG_FIRSTHDR(&m); h != nullptr; h = CMSG_NXTHDR(&m, h)) {
      if (v4 && h->cmsg_type == IP_TOS) got = *CMSG_DATA(h);
      if (!v4 && h->cmsg_type == IPV6_TCLASS) std::memcpy(&got, CMSG_DATA(h), sizeof got);
    }
    EQ(got, c);
  }
  close(peer);
}

void classes() {
  traffic_class("127.0.0.1", "127.0.0.2", AF_INET);
  traffic_class("::1", "::1", AF_INET6);
}

// RFC 2661 §3.1, RFC 1661 §2: control in front, everything else and whatever is numbered behind.
void two_queues(const char* address, int family) {
  Listener l;
  open_at(address, l.data);
  const Failure failure = l.control.open_for_control(l.data);
  if (failure) std::fprintf(stderr, "%s: %d\n", failure.call, failure.error);
  CHECK(!failure && l.control.fd() >= 0);
  sockaddr_in6 name;
  socklen_t n = sizeof name;
  CHECK(getsockname(l.data.fd(), reinterpret_cast<sockaddr*>(&name), &n) == 0);

  Socket third;  // the address is not there for others
  ListenSpec again = l.data.spec;
  again.port = ntohs(name.sin6_port);
  EQ(third.open(again).error, EADDRINUSE);

  const int peer = socket(family, SOCK_DGRAM, 0);
  const auto arrives_at = [&](const char* text) {
    const Bytes data = hex(text);
    CHECK(sendto(peer, data.data(), data.size(), 0, reinterpret_cast<sockaddr*>(&name), n) >= 0);
    pollfd both[] = {{l.data.fd(), POLLIN, 0}, {l.control.fd(), POLLIN, 0}};
    EQ(poll(both, 2, 5000), 1);
    Bytes got(2048);
    const int fd = both[0].revents != 0 ? l.data.fd() : l.control.fd();
    const ssize_t length = recv(fd, got.data(), got.size(), 0);
    got.resize(static_cast<size_t>(length));
    CHECK(got == data);
    return fd == l.control.fd() ? 'c' : 'd';
  };
  const std::pair<const char*, char> all[] = {
      {"c802 000c 0001 0000 0000 0000", 'c'},                // ZLB
      {"c802", 'c'},                                         // T is all it takes
      {"0002 0001 0002 ff03 c021 0901 0008 00000000", 'c'},  // LCP Echo-Request
      {"4002 0014 0001 0002 ff03 c021 0901 0008 00000000", 'c'},
      {"0002 0001 0002 c021 0901 0008 00000000", 'c'},       // ACFC
      {"4002 0012 0001 0002 8021 0901 0008 00000000", 'c'},  // IPCP
      {"0802 0001 0002 0000 0000 ff03 c021 0901 0008", 'd'},  // S: in order
      {"0202 0001 0002 0000 ff03 c021 0901 0008", 'd'},       // O
      {"0002 0001 0002 ff03 0021 4500", 'd'},
      {"0002 0001 0002 0021 4500", 'd'},
      {"0002 0001 0002 21 4500", 'd'},  // PFC
      {"0002 0001 0002 ff03 57 6000", 'd'},
      {"0002 0001 0002 ff03", 'd'},
      {"0002 0001 0002 ff", 'd'},
      {"0002", 'd'},
      {"", 'd'},
  };
  for (const auto& [text, where] : all) {
    if (arrives_at(text) == where) continue;
    std::fprintf(stderr, "%s\n", text);
    CHECK(false);
  }
  close(peer);
}

void queues() {
  two_queues("127.0.0.1", AF_INET);
  two_queues("::1", AF_INET6);
}

// Datagrams for many sessions, received in batches, on a socket that may merge them: each session gets its own, of its own length.
void many_sessions() {
  int pair[2];
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) == 0);
  PacketThread::Options options;
  options.tun_fds = {pair[0]};
  options.notify = [] {};
  options.ended = [] {};
  std::unique_ptr<PacketThread> t;
  CHECK(!PacketThread::start(options, t));
  CHECK(!t->listen({loopback_listener()}));
  sockaddr_in here{}, there{};
  here.sin_family = there.sin_family = AF_INET;
  here.sin_port = there.sin_port = htons(1701);
  here.sin_addr.s_addr = htonl(0x7f000002);
  there.sin_addr.s_addr = htonl(0x7f000001);
  const int peer = socket(AF_INET, SOCK_DGRAM, 0);
  CHECK(bind(peer, reinterpret_cast<sockaddr*>(&here), sizeof here) == 0);
  CHECK(connect(peer, reinterpret_cast<sockaddr*>(&there), sizeof there) == 0);

  constexpr size_t kSessions = 300;
  const auto length = [](size_t id) { return 28 + id % 50; };
  std::vector<std::shared_ptr<const SessionCounters>> counters;
  for (uint16_t id = 1; id <= kSessions; id++) {
    SessionSpec session{{1, id}, {1, id}, {}};
    session.path.port = 1701;
    CHECK(parse_address("127.0.0.1", session.path.local) && parse_address("127.0.0.2", session.path.remote));
    SessionUpdate state;
    state.open = true;
    state.prefixes.emplace(1);
    CHECK(parse_prefix(("10.9." + std::to_string(id >> 8) + "." + std::to_string(id & 255)).c_str(), state.prefixes->at(0)));
    CHECK(!t->add_session(session, state));
    counters.push_back(t->counters(session.ours));
  }
  for (size_t id = 1; id <= kSessions; id++) {
    Bytes d = hex("0002 0001 0000 ff03 0021 45000000 00004000 40110000 0a090000 0a080001 1388 1770 0000 0000");
    d.resize(10 + length(id));
    put16(&d[4], id);
    put16(&d[12], length(id));
    put16(&d[24], id);
    CHECK(send(peer, d.data(), d.size(), 0) == static_cast<ssize_t>(d.size()));
    uint8_t sink[100];
    while (read(pair[1], sink, sizeof sink) > 0) continue;
  }
  for (size_t id = 1; id <= kSessions; id++) {
    const SessionCounters& c = *counters[id - 1];
    for (int i = 0; c.packets_in.get() == 0; i++) {
      CHECK(i < 30'000);
      uint8_t sink[100];
      if (read(pair[1], sink, sizeof sink) < 0) usleep(1000);
    }
    EQ(c.packets_in.get(), 1u);
    EQ(c.octets_in.get(), length(id));
  }
  t->stop();
  t->join();
  close(peer);
  close(pair[0]);
  close(pair[1]);
}

}  // namespace

int main() { cases({{"UDP checksums", checksums}, {"the outer DF bit", dont_fragment}, {"two queues", queues}, {"traffic classes", classes}, {"many sessions", many_sessions}}); }
