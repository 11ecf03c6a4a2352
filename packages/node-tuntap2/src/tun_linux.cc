// Opening goes queue by queue: the first descriptor creates (or takes over) the interface, the others join it by name.
#include "tun_linux.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

namespace tuntap {

namespace {

Fault OpenClone(UniqueFd* fd) {
  *fd = UniqueFd(open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  return fd->get() < 0 ? Fault{errno, "open /dev/net/tun"} : Fault{};
}

Fault SetInterface(int fd, int flags, std::string* name) {
  ifreq request{};
  request.ifr_flags = static_cast<short>(flags);
  if (name->size() >= IFNAMSIZ) return {EINVAL, "TUNSETIFF"};
  std::memcpy(request.ifr_name, name->data(), name->size());
  if (ioctl(fd, TUNSETIFF, &request) < 0) return {errno, "TUNSETIFF"};
  name->assign(request.ifr_name, strnlen(request.ifr_name, IFNAMSIZ));
  return {};
}

}  // namespace

Fault Tun::Open(const TunOptions& options, Netlink& netlink) {
  Fault fault = OpenQueues(options, netlink);
  if (!fault) fault = Configure(options);
  if (fault) Close();
  return fault;
}

void Tun::Close() {
  for (UniqueFd& queue : queues_) queue.Reset();
}

Fault Tun::OpenQueues(const TunOptions& options, Netlink& netlink) {
  const int flags =
      (options.tap ? IFF_TAP : IFF_TUN) | IFF_NO_PI | (options.vnet_header ? IFF_VNET_HDR : 0) | (options.queues > 1 ? IFF_MULTI_QUEUE : 0);
  name_ = options.name;
  tap_ = options.tap;
  UniqueFd first;
  if (Fault fault = OpenClone(&first)) return fault;
  // IFF_TUN_EXCL: create, or EBUSY. Without it, opening the name of another program's multi-queue device would silently
  // add queues to it and take part of its packets. A persistent device nobody has open may be taken over.
  if (Fault fault = SetInterface(first.get(), flags | IFF_TUN_EXCL, &name_)) {
    if (fault.error != EBUSY) return fault;
    Link link;
    if (netlink.LinkByName(name_, &link) || link.attached_queues > 0) return fault;
    if (Fault taking = SetInterface(first.get(), flags, &name_)) {
      // EINVAL: the name belongs to a device of another kind.
      return taking.error == EINVAL ? fault : taking;
    }
  }
  queues_.push_back(std::move(first));
  while (queues_.size() < options.queues) {
    UniqueFd next;
    if (Fault fault = OpenClone(&next)) return fault;
    if (Fault fault = SetInterface(next.get(), flags, &name_)) return fault;
    queues_.push_back(std::move(next));
  }
  return {};
}

Fault Tun::Configure(const TunOptions& options) {
  if (options.vnet_header) {
    // A persistent device may remember another size.
    for (const UniqueFd& queue : queues_) {
      int size = 10;
      if (ioctl(queue.get(), TUNSETVNETHDRSZ, &size) < 0) return {errno, "TUNSETVNETHDRSZ"};
    }
  }
  // Kernels before 6.2 have no USO and refuse the whole set.
  offloads_ = options.offloads;
  int done = ioctl(fd(0), TUNSETOFFLOAD, static_cast<unsigned long>(offloads_));
  if (done < 0 && errno == EINVAL && (offloads_ & (kUso4 | kUso6)) != 0) {
    offloads_ &= ~static_cast<unsigned>(kUso4 | kUso6);
    done = ioctl(fd(0), TUNSETOFFLOAD, static_cast<unsigned long>(offloads_));
  }
  if (done < 0) return {errno, "TUNSETOFFLOAD"};
  // Last: a device whose opening failed half way must not stay.
  if (options.persist && ioctl(fd(0), TUNSETPERSIST, static_cast<unsigned long>(*options.persist)) < 0) return {errno, "TUNSETPERSIST"};
  return {};
}

Fault Tun::Read(size_t queue, uint8_t* into, size_t size, size_t* got) const {
  ssize_t n;
  do {
    n = read(fd(queue), into, size);
  } while (n < 0 && errno == EINTR);
  *got = n > 0 ? static_cast<size_t>(n) : 0;
  return n < 0 && errno != EAGAIN ? Fault{errno, "read"} : Fault{};
}

Fault Tun::Write(size_t queue, const uint8_t* packet, size_t size, bool* taken) const {
  ssize_t n;
  do {
    n = write(fd(queue), packet, size);
  } while (n < 0 && errno == EINTR);
  *taken = n >= 0;
  return n < 0 && errno != EAGAIN ? Fault{errno, "write"} : Fault{};
}

}  // namespace tuntap
