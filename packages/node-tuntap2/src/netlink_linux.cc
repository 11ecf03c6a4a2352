// Requests are built in a bounded buffer; replies are walked with every length checked before it is used.
// Read man 7 netlink, man 7 rtnetlink and RFC 3549 first.
#include "netlink_linux.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>

namespace tuntap {

namespace {

constexpr size_t kReplySize = 64 * 1024;  // the kernel builds dump messages of at most 32 KiB
constexpr int kTimeoutSeconds = 5;        // rtnetlink answers at once; this only bounds a broken kernel
constexpr int kDumpAttempts = 8;          // a dump that raced with a change is marked NLM_F_DUMP_INTR

template <typename T>
bool Load(Bytes from, T* to) {
  if (from.size < sizeof(T)) return false;
  std::memcpy(to, from.data, sizeof(T));
  return true;
}

Bytes After(Bytes from, size_t header) {
  const size_t skip = NLMSG_ALIGN(header);
  return from.size > skip ? Bytes{from.data + skip, from.size - skip} : Bytes{};
}

std::optional<IpAddress> LoadIp(Bytes from, uint8_t family) {
  IpAddress ip;
  ip.size = family == AF_INET ? 4 : 16;
  if (from.size != ip.size) return std::nullopt;
  std::memcpy(ip.bytes.data(), from.data, ip.size);
  return ip;
}

// The error of an NLMSG_ERROR or NLMSG_DONE message: a negative errno, or 0.
int LoadError(Bytes payload) {
  int32_t error = 0;
  if (!Load(payload, &error)) return 0;
  return error < 0 && error > -4096 ? -error : error == 0 ? 0 : EPROTO;
}

std::string LoadDetail(uint16_t flags, Bytes payload) {
  std::string detail;
  nlmsgerr head;
  if ((flags & NLM_F_ACK_TLVS) == 0 || !Load(payload, &head)) return detail;
  // NLM_F_CAPPED: only the header of the failed request was echoed, otherwise all of it.
  const size_t echoed = (flags & NLM_F_CAPPED) != 0 ? sizeof(nlmsghdr) : size_t{head.msg.nlmsg_len};
  if (echoed > payload.size) return detail;
  ForEachAttribute(After(payload, sizeof(int32_t) + echoed), [&](uint16_t type, Bytes value) {
    if (type == NLMSGERR_ATTR_MSG && value.size > 1 && value.size <= 256) {
      detail.assign(reinterpret_cast<const char*>(value.data), strnlen(reinterpret_cast<const char*>(value.data), value.size));
    }
  });
  return detail;
}

}  // namespace

int IpAddress::family() const { return size == 4 ? AF_INET : AF_INET6; }

void ForEachAttribute(Bytes attributes, const std::function<void(uint16_t, Bytes)>& visit) {
  while (attributes.size >= sizeof(nlattr)) {
    nlattr head;
    std::memcpy(&head, attributes.data, sizeof head);
    if (head.nla_len < sizeof head || head.nla_len > attributes.size) return;
    visit(head.nla_type & NLA_TYPE_MASK, Bytes{attributes.data + sizeof head, head.nla_len - sizeof head});
    const size_t step = NLA_ALIGN(head.nla_len);
    if (step >= attributes.size) return;
    attributes = Bytes{attributes.data + step, attributes.size - step};
  }
}

// One request: header, family header, attributes. 512 octets hold the largest we send several times over.
class Request {
 public:
  template <typename Family>
  Request(const char* name, uint16_t type, uint16_t flags, const Family& family) : name_(name) {
    static_assert(sizeof(nlmsghdr) + sizeof(Family) <= sizeof(buffer_));
    header_.nlmsg_type = type;
    header_.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
    std::memcpy(buffer_ + NLMSG_HDRLEN, &family, sizeof family);
    size_ = NLMSG_ALIGN(NLMSG_HDRLEN + sizeof family);
  }

  void Put(uint16_t type, const void* data, size_t size) {
    const size_t total = NLA_HDRLEN + size;
    if (size_ + NLA_ALIGN(total) > sizeof buffer_) {
      overflow_ = true;
      return;
    }
    const nlattr head{static_cast<uint16_t>(total), type};
    std::memcpy(buffer_ + size_, &head, sizeof head);
    if (size > 0) std::memcpy(buffer_ + size_ + NLA_HDRLEN, data, size);
    size_ += NLA_ALIGN(total);
  }
  void Put(uint16_t type, uint32_t value) { Put(type, &value, sizeof value); }
  void Put(uint16_t type, const IpAddress& ip) { Put(type, ip.bytes.data(), ip.size); }

  Bytes Finish(uint32_t seq) {
    header_.nlmsg_seq = seq;
    header_.nlmsg_len = static_cast<uint32_t>(size_);
    std::memcpy(buffer_, &header_, sizeof header_);
    return Bytes{buffer_, size_};
  }

  const char* name() const { return name_; }
  bool overflow() const { return overflow_; }

 private:
  const char* name_;
  nlmsghdr header_{};
  size_t size_ = 0;
  bool overflow_ = false;
  alignas(NLMSG_ALIGNTO) uint8_t buffer_[512] = {};
};

Fault Netlink::Open() {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (fd.get() < 0) return {errno, "socket"};
  const timeval timeout{kTimeoutSeconds, 0};
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    if (setsockopt(fd.get(), SOL_SOCKET, option, &timeout, sizeof timeout) < 0) return {errno, "setsockopt"};
  }
  // Comforts, absent from old kernels: words with errors; dumps filtered by the kernel (we filter again anyway).
  const int on = 1;
  for (const int option : {NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK}) {
    setsockopt(fd.get(), SOL_NETLINK, option, &on, sizeof on);
  }
  sockaddr_nl self{};
  self.nl_family = AF_NETLINK;
  socklen_t size = sizeof self;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&self), sizeof self) < 0) return {errno, "bind"};
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&self), &size) < 0) return {errno, "getsockname"};
  port_ = self.nl_pid;
  buffer_.resize(kReplySize);
  fd_ = std::move(fd);
  return {};
}

Fault Netlink::Exchange(Request& request, const Visit& visit) {
  if (request.overflow()) return {EMSGSIZE, request.name()};
  const uint32_t seq = ++seq_;
  const Bytes message = request.Finish(seq);
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  ssize_t sent;
  do {
    sent = sendto(fd_.get(), message.data, message.size, 0, reinterpret_cast<sockaddr*>(&kernel), sizeof kernel);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return {errno == EAGAIN ? ETIMEDOUT : errno, request.name()};
  bool interrupted = false;
  if (const Fault fault = Receive(request.name(), seq, visit, &interrupted)) return fault;
  return interrupted ? Fault{EAGAIN, request.name()} : Fault{};
}

// Repeats a dump that raced with a change (the kernel says so), so that callers see one consistent list.
Fault Netlink::Dump(Request& request, const std::function<void()>& restart, const Visit& visit) {
  Fault fault;
  for (int attempt = 0; attempt < kDumpAttempts; attempt++) {
    restart();
    fault = Exchange(request, visit);
    if (fault.error != EAGAIN) break;
  }
  return fault;
}

// Reads until the acknowledgement (NLM_F_ACK) or the end of the dump (NLMSG_DONE) of request `seq`. Answers to earlier
// requests that timed out, and messages that are not from the kernel, are passed over.
Fault Netlink::Receive(const char* name, uint32_t seq, const Visit& visit, bool* interrupted) {
  for (;;) {
    sockaddr_nl from{};
    iovec part{buffer_.data(), buffer_.size()};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const ssize_t got = recvmsg(fd_.get(), &message, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return {errno == EAGAIN ? ETIMEDOUT : errno, name};
    if ((message.msg_flags & MSG_TRUNC) != 0) return {EMSGSIZE, name};
    if (from.nl_pid != 0) continue;

    Bytes rest{buffer_.data(), static_cast<size_t>(got)};
    nlmsghdr head;
    while (Load(rest, &head)) {
      if (head.nlmsg_len < NLMSG_HDRLEN || head.nlmsg_len > rest.size) return {EPROTO, name};
      const Bytes payload = After(Bytes{rest.data, head.nlmsg_len}, sizeof head);
      rest = After(rest, head.nlmsg_len);
      if (head.nlmsg_seq != seq || head.nlmsg_pid != port_) continue;
      if ((head.nlmsg_flags & NLM_F_DUMP_INTR) != 0) *interrupted = true;
      if (head.nlmsg_type == NLMSG_ERROR || head.nlmsg_type == NLMSG_DONE) {
        const int error = LoadError(payload);
        if (error == 0) return {};
        return {error, name, head.nlmsg_type == NLMSG_ERROR ? LoadDetail(head.nlmsg_flags, payload) : std::string()};
      }
      if (head.nlmsg_type >= NLMSG_MIN_TYPE) visit(head.nlmsg_type, payload);
    }
  }
}

namespace {

void Ignore(uint16_t, Bytes) {}

ifinfomsg LinkHeader(int index, unsigned flags = 0, unsigned change = 0) {
  ifinfomsg header{};
  header.ifi_index = index;
  header.ifi_flags = flags;
  header.ifi_change = change;
  return header;
}

void LoadLink(Bytes payload, Link* link) {
  ifinfomsg header;
  if (!Load(payload, &header)) return;
  link->index = header.ifi_index;
  link->up = (header.ifi_flags & IFF_UP) != 0;
  ForEachAttribute(After(payload, sizeof header), [&](uint16_t type, Bytes value) {
    if (type == IFLA_MTU) Load(value, &link->mtu);
    if (type != IFLA_LINKINFO) return;
    bool tun = false;  // the kind comes before the data it gives a meaning to
    ForEachAttribute(value, [&](uint16_t info, Bytes data) {
      if (info == IFLA_INFO_KIND) tun = data.size >= 4 && std::memcmp(data.data, "tun", 4) == 0;
      if (info != IFLA_INFO_DATA || !tun) return;
      ForEachAttribute(data, [&](uint16_t key, Bytes number) {
        uint32_t queues = 0;
        if ((key == IFLA_TUN_NUM_QUEUES || key == IFLA_TUN_NUM_DISABLED_QUEUES) && Load(number, &queues)) {
          link->attached_queues += queues;
        }
      });
    });
  });
}

}  // namespace

Fault Netlink::LinkByName(const std::string& name, Link* link) {
  Request request("RTM_GETLINK", RTM_GETLINK, NLM_F_ACK, LinkHeader(0));
  request.Put(IFLA_IFNAME, name.c_str(), name.size() + 1);
  if (Fault fault = Exchange(request, [&](uint16_t, Bytes payload) { LoadLink(payload, link); })) return fault;
  return link->index > 0 ? Fault{} : Fault{EPROTO, "RTM_GETLINK"};
}

Fault Netlink::LinkByIndex(int index, Link* link) {
  Request request("RTM_GETLINK", RTM_GETLINK, NLM_F_ACK, LinkHeader(index));
  if (Fault fault = Exchange(request, [&](uint16_t, Bytes payload) { LoadLink(payload, link); })) return fault;
  return link->index == index ? Fault{} : Fault{EPROTO, "RTM_GETLINK"};
}

Fault Netlink::SetMtu(int index, uint32_t mtu) {
  Request request("RTM_SETLINK", RTM_SETLINK, NLM_F_ACK, LinkHeader(index));
  request.Put(IFLA_MTU, mtu);
  return Exchange(request, Ignore);
}

Fault Netlink::SetUp(int index, bool up) {
  Request request("RTM_SETLINK", RTM_SETLINK, NLM_F_ACK, LinkHeader(index, up ? IFF_UP : 0, IFF_UP));
  return Exchange(request, Ignore);
}

namespace {

Request AddressRequest(const char* name, uint16_t type, uint16_t flags, int index, const AddressEntry& address) {
  ifaddrmsg header{};
  header.ifa_family = static_cast<uint8_t>(address.local.family());
  header.ifa_prefixlen = address.prefix;
  header.ifa_scope = RT_SCOPE_UNIVERSE;
  header.ifa_index = static_cast<uint32_t>(index);
  Request request(name, type, static_cast<uint16_t>(NLM_F_ACK | flags), header);
  request.Put(IFA_LOCAL, address.local);
  request.Put(IFA_ADDRESS, address.peer);
  return request;
}

}  // namespace

Fault Netlink::AddAddress(int index, const AddressEntry& address, bool settled) {
  Request request = AddressRequest("RTM_NEWADDR", RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, address);
  if (settled && address.local.size == 16) request.Put(IFA_FLAGS, uint32_t{IFA_F_NODAD});
  return Exchange(request, Ignore);
}

Fault Netlink::RemoveAddress(int index, const AddressEntry& address) {
  // The kernel compares IFA_ADDRESS (the peer) for IPv4, and would ignore the prefix without it: look the peer up.
  std::vector<AddressEntry> present;
  if (Fault fault = Addresses(index, &present)) return fault;
  for (const AddressEntry& entry : present) {
    if (!(entry.local == address.local) || entry.prefix != address.prefix) continue;
    Request request = AddressRequest("RTM_DELADDR", RTM_DELADDR, 0, index, entry);
    return Exchange(request, Ignore);
  }
  return {EADDRNOTAVAIL, "RTM_DELADDR"};
}

// Each family by itself: without IPv6 in the kernel an AF_INET6 dump answers for every family, hence the family check.
Fault Netlink::Addresses(int index, std::vector<AddressEntry>* found) {
  for (const uint8_t family : {AF_INET, AF_INET6}) {
    ifaddrmsg wanted{};
    wanted.ifa_family = family;
    wanted.ifa_index = static_cast<uint32_t>(index);
    Request request("RTM_GETADDR", RTM_GETADDR, NLM_F_DUMP, wanted);
    const size_t before = found->size();
    const auto visit = [&](uint16_t type, Bytes payload) {
      ifaddrmsg header;
      if (type != RTM_NEWADDR || !Load(payload, &header)) return;
      if (header.ifa_index != wanted.ifa_index || header.ifa_family != family) return;
      std::optional<IpAddress> local, peer;
      ForEachAttribute(After(payload, sizeof header), [&](uint16_t key, Bytes value) {
        if (key == IFA_LOCAL) local = LoadIp(value, family);
        if (key == IFA_ADDRESS) peer = LoadIp(value, family);
      });
      if (!local) local = peer;  // IPv6 without a peer has IFA_ADDRESS only
      if (local) found->push_back({*local, peer.value_or(*local), header.ifa_prefixlen});
    };
    if (Fault fault = Dump(request, [&] { found->resize(before); }, visit)) return fault;
  }
  return {};
}

namespace {

Request RouteRequest(const char* name, uint16_t type, uint16_t flags, int index, const RouteEntry& route) {
  const bool adding = type == RTM_NEWROUTE;
  rtmsg header{};
  header.rtm_family = static_cast<uint8_t>(route.destination.family());
  header.rtm_dst_len = route.prefix;
  header.rtm_table = static_cast<uint8_t>(route.table < 256 ? route.table : uint32_t{RT_TABLE_UNSPEC});
  // STATIC, not BOOT: routing daemons purge BOOT routes when they start. 0 and NOWHERE match anything on removal.
  header.rtm_protocol = adding ? RTPROT_STATIC : RTPROT_UNSPEC;
  header.rtm_type = adding ? RTN_UNICAST : RTN_UNSPEC;
  const bool on_link = header.rtm_family == AF_INET && !route.via;
  header.rtm_scope = !adding ? RT_SCOPE_NOWHERE : on_link ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  Request request(name, type, static_cast<uint16_t>(NLM_F_ACK | flags), header);
  if (route.prefix > 0) request.Put(RTA_DST, route.destination);
  request.Put(RTA_OIF, static_cast<uint32_t>(index));
  request.Put(RTA_TABLE, route.table);
  if (route.via) request.Put(RTA_GATEWAY, *route.via);
  if (route.source) request.Put(RTA_PREFSRC, *route.source);
  if (route.metric > 0) request.Put(RTA_PRIORITY, route.metric);
  return request;
}

std::optional<RouteEntry> LoadRoute(Bytes payload, uint8_t family, int index) {
  rtmsg header;
  if (!Load(payload, &header) || header.rtm_family != family) return std::nullopt;
  if (header.rtm_type != RTN_UNICAST || header.rtm_protocol == RTPROT_KERNEL) return std::nullopt;
  if ((header.rtm_flags & RTM_F_CLONED) != 0) return std::nullopt;
  RouteEntry route;
  route.destination.size = family == AF_INET ? 4 : 16;
  route.prefix = header.rtm_dst_len;
  route.table = header.rtm_table;
  uint32_t out = 0;
  bool whole = true;
  const auto ip = [&](Bytes value) {
    const auto loaded = LoadIp(value, family);
    whole = whole && loaded.has_value();
    return loaded;
  };
  ForEachAttribute(After(payload, sizeof header), [&](uint16_t key, Bytes value) {
    if (key == RTA_DST) route.destination = ip(value).value_or(route.destination);
    if (key == RTA_OIF) Load(value, &out);
    if (key == RTA_TABLE) Load(value, &route.table);
    if (key == RTA_PRIORITY) Load(value, &route.metric);
    if (key == RTA_GATEWAY) route.via = ip(value);
    if (key == RTA_PREFSRC) route.source = ip(value);
  });
  if (!whole || out != static_cast<uint32_t>(index)) return std::nullopt;
  return route;
}

}  // namespace

Fault Netlink::AddRoute(int index, const RouteEntry& route) {
  Request request = RouteRequest("RTM_NEWROUTE", RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, index, route);
  return Exchange(request, Ignore);
}

Fault Netlink::RemoveRoute(int index, const RouteEntry& route) {
  Request request = RouteRequest("RTM_DELROUTE", RTM_DELROUTE, 0, index, route);
  return Exchange(request, Ignore);
}

Fault Netlink::Routes(int index, std::vector<RouteEntry>* found) {
  for (const uint8_t family : {AF_INET, AF_INET6}) {
    rtmsg wanted{};
    wanted.rtm_family = family;
    Request request("RTM_GETROUTE", RTM_GETROUTE, NLM_F_DUMP, wanted);
    request.Put(RTA_OIF, static_cast<uint32_t>(index));
    const size_t before = found->size();
    const auto visit = [&](uint16_t type, Bytes payload) {
      if (type != RTM_NEWROUTE) return;
      if (const auto route = LoadRoute(payload, family, index)) found->push_back(*route);
    };
    if (Fault fault = Dump(request, [&] { found->resize(before); }, visit)) return fault;
  }
  return {};
}

}  // namespace tuntap
