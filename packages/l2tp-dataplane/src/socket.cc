// Socket options, recvmmsg and sendmmsg. RFC 3193 §3.3; the policy is the kernel's struct xfrm_userpolicy_info.
#include "socket.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/xfrm.h>
#include <net/if.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace dp {

namespace {

constexpr int kUdpSegment = 103, kUdpGro = 104;  // Linux 4.18, 5.0
constexpr int kSoRcvmark = 75;  // Linux 5.19; older headers lack it
// What is in it leaves in the order it came, whoever waits: little, for FairQueue holds the rest. The kernel counts double.
constexpr int kSendBuffer = 256 << 10;

socklen_t to_sockaddr(const Address& a, uint16_t port, sockaddr_in6* out) {
  std::memset(out, 0, sizeof *out);
  if (a.family == Family::v6) {
    out->sin6_family = AF_INET6;
    out->sin6_port = htons(port);
    std::memcpy(&out->sin6_addr, a.bytes.data(), 16);
    return sizeof(sockaddr_in6);
  }
  auto* v4 = reinterpret_cast<sockaddr_in*>(out);
  v4->sin_family = AF_INET;
  v4->sin_port = htons(port);
  std::memcpy(&v4->sin_addr, a.bytes.data(), 4);
  return sizeof(sockaddr_in);
}

// Of the remote end, which is what differs.
size_t hash(const Path& p) {
  uint32_t a, b;
  std::memcpy(&a, p.remote.bytes.data(), 4);
  std::memcpy(&b, p.remote.bytes.data() + 12, 4);
  return (a ^ b ^ p.mark ^ uint32_t{p.port} << 16) * uint64_t{0x9e3779b97f4a7c15} >> 32;
}

cmsghdr* append(msghdr& m, cmsghdr* last, int level, int type, const void* data, size_t n) {
  cmsghdr* c = last == nullptr ? CMSG_FIRSTHDR(&m) : CMSG_NXTHDR(&m, last);
  c->cmsg_level = level;
  c->cmsg_type = type;
  c->cmsg_len = CMSG_LEN(n);
  std::memcpy(CMSG_DATA(c), data, n);
  return c;
}

}  // namespace

Socket::~Socket() { close(); }

void Socket::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Failure Socket::set(int level, int option, const void* value, socklen_t n, const char* call) const {
  return setsockopt(fd_, level, option, value, n) == 0 ? Failure{} : Failure{errno, call};
}

// Inbound only: outbound, a socket policy has no mark and finds no marked SA (every send would fail with EAGAIN).
Failure Socket::require_esp() const {
  struct {
    xfrm_userpolicy_info policy;
    xfrm_user_tmpl esp;
  } p;
  static_assert(sizeof p.policy == 168 && sizeof p.esp == 64, "the kernel's LP64 layout");
  std::memset(&p, 0, sizeof p);
  const bool v6 = spec.address.family == Family::v6;
  const uint16_t family = v6 ? AF_INET6 : AF_INET;
  p.policy.sel.family = family;
  p.policy.lft.soft_byte_limit = p.policy.lft.hard_byte_limit = XFRM_INF;
  p.policy.lft.soft_packet_limit = p.policy.lft.hard_packet_limit = XFRM_INF;
  p.policy.dir = XFRM_POLICY_IN;
  p.policy.action = XFRM_POLICY_ALLOW;
  p.esp.id.proto = IPPROTO_ESP;
  p.esp.family = family;
  p.esp.mode = XFRM_MODE_TRANSPORT;
  p.esp.aalgos = p.esp.ealgos = p.esp.calgos = ~0u;
  return v6 ? set(IPPROTO_IPV6, IPV6_XFRM_POLICY, &p, sizeof p, "setsockopt(IPV6_XFRM_POLICY)")
            : set(IPPROTO_IP, IP_XFRM_POLICY, &p, sizeof p, "setsockopt(IP_XFRM_POLICY)");
}

Failure Socket::open(const ListenSpec& wanted) {
  if (Failure f = create(wanted)) return f;
  sockaddr_in6 name;
  const socklen_t length = to_sockaddr(spec.address, spec.port, &name);
  return bind_to(name, length);
}

Failure Socket::bind_to(const sockaddr_in6& name, socklen_t n) {
  return bind(fd_, reinterpret_cast<const sockaddr*>(&name), n) == 0 ? Failure{} : Failure{errno, "bind"};
}

// The address is shared only after `data` has it alone: somebody else's socket there is an error as ever.
Failure Socket::open_for_control(Socket& data) {
  // Index 1 is this socket, the second of the group; a load beyond the end returns 0.
  sock_filter steer[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x80, 9, 0),    // T: control
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x0a, 7, 0),    // S, O: data
      BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 6),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x40, 0, 1),    // L
      BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 8),
      BPF_STMT(BPF_LD | BPF_H | BPF_IND, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xff03, 0, 1),
      BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x8000, 1, 0),  // RFC 1661 §2: 8xxx and cxxx are the control protocols
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, 1),
  };
  const sock_fprog program{sizeof steer / sizeof *steer, steer};
  const int one = 1;
  sockaddr_in6 name;
  socklen_t length = sizeof name;
  if (getsockname(data.fd_, reinterpret_cast<sockaddr*>(&name), &length) != 0) return {errno, "getsockname"};
  Failure f = data.set(SOL_SOCKET, SO_REUSEPORT, &one, sizeof one, "setsockopt(SO_REUSEPORT)");
  if (!f) f = create(data.spec);
  if (!f) f = set(SOL_SOCKET, SO_REUSEPORT, &one, sizeof one, "setsockopt(SO_REUSEPORT)");
  if (!f) f = bind_to(name, length);
  if (!f) f = data.set(SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program, "setsockopt(SO_ATTACH_REUSEPORT_CBPF)");
  if (f) close();
  return f;
}

Failure Socket::create(const ListenSpec& wanted) {
  spec = wanted;
  const bool v6 = spec.address.family == Family::v6;
  fd_ = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return {errno, "socket"};
  const int one = 1;
  if (spec.policy.raw) {
    const std::string& name = spec.interface;
    if (Failure f = set(SOL_SOCKET, SO_BINDTODEVICE, name.c_str(), name.size() + 1, "setsockopt(SO_BINDTODEVICE)")) return f;
    // Not with IPsec: GRO compares addresses and ports, not the SA. Datagrams of two clients behind one NAT, from the same
    // address and port, would arrive as one under the mark of the first. Without it (an old kernel) there is just none.
    setsockopt(fd_, IPPROTO_UDP, kUdpGro, &one, sizeof one);
  } else {
    if (Failure f = set(SOL_SOCKET, kSoRcvmark, &one, sizeof one, "setsockopt(SO_RCVMARK)")) return f;
    if (Failure f = require_esp()) return f;
  }
  // Forced beyond net.core.rmem_max with CAP_NET_ADMIN, otherwise as much as is allowed.
  const int size = spec.receive_buffer;
  if (setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0) {
    if (Failure f = set(SOL_SOCKET, SO_RCVBUF, &size, sizeof size, "setsockopt(SO_RCVBUF)")) return f;
  }
  if (setsockopt(fd_, SOL_SOCKET, SO_SNDBUFFORCE, &kSendBuffer, sizeof kSendBuffer) != 0) {
    if (Failure f = set(SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof kSendBuffer, "setsockopt(SO_SNDBUF)")) return f;
  }
  // Outer DF clear: a marked SA learns no path MTU from ICMP. Probes are the exception.
  if (v6) {
    if (Failure f = set(IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one, "setsockopt(IPV6_V6ONLY)")) return f;
    if (Failure f = set(IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof one, "setsockopt(IPV6_RECVPKTINFO)")) return f;
    if (set_dont_fragment(fd_, Family::v6, false) != 0) return {errno, "setsockopt(IPV6_MTU_DISCOVER)"};
  } else {
    if (Failure f = set(IPPROTO_IP, IP_PKTINFO, &one, sizeof one, "setsockopt(IP_PKTINFO)")) return f;
    if (set_dont_fragment(fd_, Family::v4, false) != 0) return {errno, "setsockopt(IP_MTU_DISCOVER)"};
  }
  return {};
}

bool Socket::serves(const Path& path) const {
  if (spec.policy.raw != (path.mark == 0) || spec.address.family != path.local.family) return false;
  return spec.address.any() || spec.address == path.local;
}

int set_dont_fragment(int fd, Family family, bool on) {
  // PROBE, not DO: the size is the caller's choice.
  const int v4 = on ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT;
  const int v6 = on ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_DONT;
  return family == Family::v6 ? setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &v6, sizeof v6)
                              : setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &v4, sizeof v4);
}

Receiver::Receiver() : buffers_(new uint8_t[kMost * kStride]) {
  std::memset(messages_, 0, sizeof messages_);
  for (size_t i = 0; i < kMost; i++) {
    iov_[i] = {data(i), kStride};
    messages_[i].msg_hdr.msg_iov = &iov_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
    messages_[i].msg_hdr.msg_name = &names_[i];
    messages_[i].msg_hdr.msg_control = control_[i];
  }
}

size_t Receiver::receive(const Socket& socket) {
  const size_t step = socket.spec.policy.raw ? kBatch / 4 : kBatch;
  size_t count = 0;
  for (size_t octets = 0; count < kMost && octets < kTurn;) {
    for (size_t i = count; i < count + step; i++) {
      messages_[i].msg_hdr.msg_namelen = sizeof names_[i];
      messages_[i].msg_hdr.msg_controllen = sizeof control_[i];
    }
    // An error is a pending one of the socket (ICMP, link down): taken, and of no datagram.
    const int n = recvmmsg(socket.fd(), messages_ + count, static_cast<unsigned>(step), MSG_DONTWAIT, nullptr);
    for (int i = 0; i < n; i++) octets += length(count++);
    if (n < static_cast<int>(step)) break;
  }
  return count;
}

bool Receiver::path(size_t i, Path& out) {
  msghdr& m = messages_[i].msg_hdr;
  bool addressed = false;
  int segment = 0;
  out = Path{};
  for (cmsghdr* c = CMSG_FIRSTHDR(&m); c != nullptr; c = CMSG_NXTHDR(&m, c)) {
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_MARK) {
      std::memcpy(&out.mark, CMSG_DATA(c), sizeof out.mark);
    } else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == kUdpGro) {
      std::memcpy(&segment, CMSG_DATA(c), sizeof segment);
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      out.local = Address::v4(reinterpret_cast<const uint8_t*>(&info.ipi_addr));
      addressed = true;
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      out.local = Address::v6(info.ipi6_addr.s6_addr);
      addressed = true;
    }
  }
  segment_size_[i] = segment > 0 ? static_cast<size_t>(segment) : std::max<size_t>(length(i), 1);
  if (names_[i].sin6_family == AF_INET6) {
    out.remote = Address::v6(names_[i].sin6_addr.s6_addr);
    out.port = ntohs(names_[i].sin6_port);
  } else {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&names_[i]);
    out.remote = Address::v4(reinterpret_cast<const uint8_t*>(&v4->sin_addr));
    out.port = ntohs(v4->sin_port);
  }
  return addressed && (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
}

Sender::Message& Sender::open_message(const Socket& socket, const Path& to, size_t size, uint8_t traffic_class) {
  fd_ = socket.fd();
  Message& m = messages_[count_++];
  m.to = &to;
  m.packets = 0;
  m.size = size;
  m.total = 0;
  m.first = m.last = kNone;
  m.open = true;
  m.traffic_class = traffic_class;
  m.name_length = to_sockaddr(to.remote, to.port, &m.name);
  std::memset(m.control, 0, sizeof m.control);
  msghdr h{};
  h.msg_control = m.control;
  h.msg_controllen = sizeof m.control;
  cmsghdr* last;
  if (to.local.family == Family::v4) {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, to.local.bytes.data(), 4);
    last = append(h, nullptr, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
  } else {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, to.local.bytes.data(), 16);
    last = append(h, nullptr, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
  }
  if (to.mark != 0) last = append(h, last, SOL_SOCKET, SO_MARK, &to.mark, sizeof to.mark);
  if (const int octet = traffic_class; octet != 0) {
    const bool v4 = to.local.family == Family::v4;
    last = append(h, last, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, &octet, sizeof octet);
  }
  m.control_length = static_cast<size_t>(reinterpret_cast<uint8_t*>(last) - m.control) + CMSG_ALIGN(last->cmsg_len);
  return m;
}

void Sender::add(const Socket& socket, const Path& to, const uint8_t* head, size_t head_length, const uint8_t* body,
                 size_t body_length, Session* session, size_t octets, uint8_t traffic_class,
                 FairQueue::Chunk* held) {
  const size_t size = head_length + body_length;
  Message* m = nullptr;
  Open* open = octets > 0 && session->segments ? &open_[hash(to) % kOpen] : nullptr;
  if (open != nullptr && open->batch == batch_) {
    m = &messages_[open->message];
    const bool fits = m->open && size <= m->size && m->packets < kMaxSegments && m->total + size <= kMaxMessage;
    if (!fits || m->traffic_class != traffic_class || *m->to != to) m = nullptr;
  }
  if (m == nullptr) {
    m = &open_message(socket, to, size, traffic_class);
    if (open != nullptr) *open = {batch_, count_ - 1};
  }
  m->open = octets > 0 && size == m->size;
  m->packets++;
  m->total += size;
  const auto i = static_cast<uint16_t>(pieces_++);
  Piece& p = piece_[i];
  if (head_length > 0) std::memcpy(p.head, head, head_length);
  p.head_length = head_length;
  p.body = body;
  p.body_length = body_length;
  p.session = session;
  p.octets = octets;
  p.held = held;
  p.next = kNone;
  (m->first == kNone ? m->first : piece_[m->last].next) = i;
  m->last = i;
}

msghdr Sender::Message::header() {
  msghdr h{};
  h.msg_name = &name;
  h.msg_namelen = name_length;
  h.msg_control = control;
  h.msg_controllen = control_length;
  return h;
}

void Sender::prepare() {
  size_t at = 0;
  for (size_t i = 0; i < count_; i++) {
    Message& m = messages_[i];
    msghdr& h = headers_[i].msg_hdr;
    h = m.header();
    h.msg_iov = iov_[at];
    h.msg_iovlen = 2 * m.packets;
    for (uint16_t k = m.first; k != kNone; k = piece_[k].next) {
      iov_[at][0] = {piece_[k].head, piece_[k].head_length};
      iov_[at++][1] = {const_cast<uint8_t*>(piece_[k].body), piece_[k].body_length};
    }
    if (m.packets == 1) continue;
    auto* c = reinterpret_cast<cmsghdr*>(m.control + m.control_length);
    const auto size = static_cast<uint16_t>(m.size);
    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = kUdpSegment;
    c->cmsg_len = CMSG_LEN(sizeof size);
    std::memcpy(CMSG_DATA(c), &size, sizeof size);
    h.msg_controllen = m.control_length + CMSG_SPACE(sizeof size);
  }
}

void Sender::sent(const Piece& p, uint64_t now) {
  if (p.octets == 0) return;
  SessionCounters& c = *p.session->counters;
  c.packets_out.add();
  c.octets_out.add(p.octets);
  c.last_traffic.set(now);
}

void Sender::refused(const Piece& p) {
  if (p.session != nullptr) return p.session->drop(SessionDrop::send);
  globals_.drop(GlobalDrop::send);
}

int Sender::send(int wait_ms, uint64_t now) {
  prepare();
  while (done_ < count_) {
    if (send_next(now)) continue;
    if (wait_ms > 0) {
      pollfd p{fd_, POLLOUT, 0};
      constexpr int kStep = 20;
      wait_ms -= kStep;
      if (poll(&p, 1, kStep) >= 0) continue;
    }
    for (uint16_t k = messages_[done_++].first; k != kNone; k = piece_[k].next) refused(piece_[k]);
  }
  return wait_ms;
}

void Sender::send_some(uint64_t now) {
  prepare();
  while (done_ < count_ && send_next(now)) continue;
}

// EAGAIN is also what a path gets whose SA is gone (net.core.xfrm_larval_drop = 0): that one waits for nothing.
bool Sender::writable() const {
  pollfd p{fd_, POLLOUT, 0};
  return poll(&p, 1, 0) > 0 && (p.revents & POLLOUT) != 0;
}

// False: there is no room.
bool Sender::send_next(uint64_t now) {
  const int n = sendmmsg(fd_, headers_ + done_, static_cast<unsigned>(count_ - done_), MSG_DONTWAIT);
  for (int i = 0; i < n; i++) {
    for (uint16_t k = messages_[done_++].first; k != kNone; k = piece_[k].next) sent(piece_[k], now);
  }
  if (n > 0) return true;
  const int error = errno;
  if (error == EINTR) return true;
  if (error == EAGAIN) {
    if (!writable()) return false;
    // There may be room since just now.
    if (std::exchange(again_, done_) != done_) return true;
  }
  Message& m = messages_[done_];
  if (m.packets > 1 && (error == EIO || error == EINVAL || error == EMSGSIZE)) {
    return send_apart(m, error, now);
  }
  for (uint16_t k = m.first; k != kNone; k = piece_[k].next) refused(piece_[k]);
  done_++;
  return true;
}

// The datagrams of a message that was refused, one by one. False: there is no room for those that are left in it.
bool Sender::send_apart(Message& m, int refusal, uint64_t now) {
  mmsghdr apart[kMaxSegments];
  iovec iov[kMaxSegments][2];
  size_t count = 0, again = kNone;
  for (uint16_t k = m.first; k != kNone; k = piece_[k].next) {
    iov[count][0] = {piece_[k].head, piece_[k].head_length};
    iov[count][1] = {const_cast<uint8_t*>(piece_[k].body), piece_[k].body_length};
    msghdr& h = apart[count].msg_hdr;
    h = m.header();
    h.msg_iov = iov[count++];
    h.msg_iovlen = 2;
  }
  for (size_t at = 0; at < count;) {
    const int n = sendmmsg(fd_, apart + at, static_cast<unsigned>(count - at), MSG_DONTWAIT);
    const int error = n < 0 ? errno : 0;
    if (error == EINTR) continue;
    if (error == EAGAIN) {
      if (!writable()) {
        // Only send_some() gets here with data: nothing of this message is tried again from `headers_`.
        m.packets = count - at;
        return false;
      }
      if (std::exchange(again, at) != at) continue;
    }
    // EMSGSIZE is about this path and size; the others are about UDP_SEGMENT if the first datagram goes through without it.
    for (uint16_t k = m.first; k != kNone && n > 0 && at == 0 && refusal != EMSGSIZE; k = piece_[k].next) {
      piece_[k].session->segments = false;
    }
    if (n < 0) refused(piece_[m.first]);
    for (int i = 0; i < std::max(n, 1); i++, at++) {
      if (n > 0) sent(piece_[m.first], now);
      m.first = piece_[m.first].next;
    }
  }
  done_++;
  return true;
}

void Sender::clear() {
  count_ = done_ = pieces_ = 0;
  again_ = kNone;
  batch_++;
}

}  // namespace dp
