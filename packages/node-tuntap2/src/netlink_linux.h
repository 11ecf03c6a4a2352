// Links, addresses and routes through rtnetlink (RFC 3549; man 7 rtnetlink). One socket, one request at a time, no N-API.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "fault.h"

namespace tuntap {

struct IpAddress {
  std::array<uint8_t, 16> bytes{};
  uint8_t size = 4;  // 4 or 16

  int family() const;
  bool operator==(const IpAddress& other) const { return size == other.size && bytes == other.bytes; }
};

struct AddressEntry {
  IpAddress local;
  IpAddress peer;  // equal to local unless point-to-point
  uint8_t prefix = 0;
};

struct RouteEntry {
  IpAddress destination;
  uint8_t prefix = 0;
  std::optional<IpAddress> via;
  std::optional<IpAddress> source;
  uint32_t metric = 0;  // 0: the kernel's default on add, any on remove
  uint32_t table = 254;
};

struct Link {
  int index = 0;
  uint32_t mtu = 0;
  bool up = false;
  uint32_t attached_queues = 0;  // known for multi-queue TUN/TAP devices only
};

// Octets received from the kernel: never read past `size`.
struct Bytes {
  const uint8_t* data = nullptr;
  size_t size = 0;
};

// Calls `visit(type, payload)` for each complete attribute; stops at the first that does not fit.
void ForEachAttribute(Bytes attributes, const std::function<void(uint16_t, Bytes)>& visit);

class Request;

class Netlink {
 public:
  Fault Open();
  void Close() { fd_.Reset(); }

  Fault LinkByName(const std::string& name, Link* link);
  Fault LinkByIndex(int index, Link* link);
  Fault SetMtu(int index, uint32_t mtu);
  Fault SetUp(int index, bool up);

  // `settled`: no duplicate address detection (RFC 4862 §5.4), so that an IPv6 address is usable when this returns.
  Fault AddAddress(int index, const AddressEntry& address, bool settled);
  // Removes `local/prefix`, whatever its peer; EADDRNOTAVAIL when the interface does not have it.
  Fault RemoveAddress(int index, const AddressEntry& address);
  Fault Addresses(int index, std::vector<AddressEntry>* found);

  Fault AddRoute(int index, const RouteEntry& route);
  Fault RemoveRoute(int index, const RouteEntry& route);
  // Unicast routes through the interface, those the kernel derives from addresses left out.
  Fault Routes(int index, std::vector<RouteEntry>* found);

 private:
  using Visit = std::function<void(uint16_t type, Bytes payload)>;

  Fault Exchange(Request& request, const Visit& visit);
  Fault Receive(const char* name, uint32_t seq, const Visit& visit, bool* interrupted);
  Fault Dump(Request& request, const std::function<void()>& restart, const Visit& visit);

  UniqueFd fd_;
  uint32_t port_ = 0;
  uint32_t seq_ = 0;
  std::vector<uint8_t> buffer_;
};

}  // namespace tuntap
