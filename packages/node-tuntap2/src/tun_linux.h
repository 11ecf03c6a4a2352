// The /dev/net/tun side of a device: queues, vnet header, offloads, packets. No N-API.
// Read Documentation/networking/tuntap.rst of the Linux kernel first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fault.h"
#include "netlink_linux.h"

namespace tuntap {

// TUN_F_* of linux/if_tun.h; USO since Linux 6.2, so older headers lack it.
enum Offload : unsigned {
  kCsum = 0x01,
  kTso4 = 0x02,
  kTso6 = 0x04,
  kTsoEcn = 0x08,
  kUso4 = 0x20,
  kUso6 = 0x40,
};

struct TunOptions {
  bool tap = false;
  std::string name;  // empty: the kernel picks; may hold one %d
  unsigned queues = 1;
  bool vnet_header = false;
  unsigned offloads = 0;        // Offload bits
  std::optional<bool> persist;  // absent: leave an existing device as it is
};

class Tun {
 public:
  // The largest packet the kernel hands out: a 64 KiB GSO packet, Ethernet and VLAN header, vnet header.
  static constexpr size_t kMaxPacket = 65536 + 18 + 10;

  Fault Open(const TunOptions& options, Netlink& netlink);
  void Close();

  const std::string& name() const { return name_; }
  bool tap() const { return tap_; }
  unsigned offloads() const { return offloads_; }
  size_t queues() const { return queues_.size(); }
  // -1 when closed or out of range.
  int fd(size_t queue) const { return queue < queues_.size() ? queues_[queue].get() : -1; }

  // One packet. `*got` is 0 when nothing waits.
  Fault Read(size_t queue, uint8_t* into, size_t size, size_t* got) const;
  // One packet. `*taken` is false when the device would block.
  Fault Write(size_t queue, const uint8_t* packet, size_t size, bool* taken) const;

 private:
  Fault OpenQueues(const TunOptions& options, Netlink& netlink);
  Fault Configure(const TunOptions& options);

  std::string name_;
  bool tap_ = false;
  unsigned offloads_ = 0;
  std::vector<UniqueFd> queues_;
};

}  // namespace tuntap
