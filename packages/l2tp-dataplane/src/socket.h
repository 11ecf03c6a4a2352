// UDP sockets whose every datagram came through an ESP transport SA, and whose mark tells which. RFC 3193 §3.3, §2.1.
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>

#include <memory>

#include "forward.h"

namespace dp {

constexpr size_t kBatch = 64;

// `error` 0 = success; `call` names the system call that failed.
struct Failure {
  int error = 0;
  const char* call = "";
  explicit operator bool() const { return error != 0; }
};

struct ListenSpec {
  Address address;
  uint16_t port = 1701;
  ListenerPolicy policy;
  std::string interface;  // raw only
  int receive_buffer = 0;
};

// A bound, non-blocking socket; closed with the object.
class Socket {
 public:
  Socket() = default;
  Socket(Socket&& o) noexcept : spec(std::move(o.spec)), fd_(o.fd_) { o.fd_ = -1; }
  Socket& operator=(Socket&&) = delete;
  ~Socket();

  // Sets everything before bind(): there is no moment in which a datagram without the policy gets in.
  Failure open(const ListenSpec& spec);
  int fd() const { return fd_; }
  // Whether datagrams for `path` leave here: the same kind (raw = mark 0) and a matching or wildcard address.
  bool serves(const Path& path) const;

  ListenSpec spec;

 private:
  Failure set(int level, int option, const void* value, socklen_t n, const char* call) const;
  Failure require_esp() const;
  int fd_ = -1;
};

// Buffers for one recvmmsg, allocated once. A UDP payload may have any length up to 65507.
class Receiver {
 public:
  Receiver();
  // Datagrams received, 0 when none is waiting.
  size_t receive(const Socket& socket);
  uint8_t* data(size_t i) { return &buffers_[i * kStride]; }
  size_t length(size_t i) const { return messages_[i].msg_len; }
  // Of the datagrams in it, the last one's may be less: UDP_GRO. At least 1. After path().
  size_t segment_size(size_t i) const { return segment_size_[i]; }
  // False: without a destination address or truncated.
  bool path(size_t i, Path& out);

 private:
  static constexpr size_t kStride = 65536;
  std::unique_ptr<uint8_t[]> buffers_;
  mmsghdr messages_[kBatch];
  iovec iov_[kBatch];
  sockaddr_in6 names_[kBatch];
  size_t segment_size_[kBatch];
  alignas(cmsghdr) uint8_t control_[kBatch][128];
};

// Datagrams waiting for one sendmmsg.
class Sender {
 public:
  struct Slot {
    Session* session;  // null for control
    size_t octets;
    int error;
  };

  bool full() const { return count_ == kBatch; }
  bool empty() const { return count_ == 0; }
  // `head` is copied, `body` is not. A batch leaves through one socket: flush() before another one is used.
  void add(const Socket& socket, const Path& to, const uint8_t* head, size_t head_length, const uint8_t* body,
           size_t body_length, Session* session, size_t octets);
  int socket() const { return fd_; }
  // Sends all; `wait_ms` bounds the time spent waiting for room in the send buffer, and what is left of it is returned.
  // Afterwards slot() tells what became of each, until clear().
  int send(int wait_ms);
  size_t count() const { return count_; }
  const Slot& slot(size_t i) const { return slots_[i]; }
  void clear() { count_ = 0; }

 private:
  int fd_ = -1;
  size_t count_ = 0;
  Slot slots_[kBatch];
  mmsghdr messages_[kBatch];
  iovec iov_[kBatch][2];
  sockaddr_in6 names_[kBatch];
  uint8_t heads_[kBatch][kMaxDataHeader + kMaxHead];
  alignas(cmsghdr) uint8_t control_[kBatch][CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(uint32_t))];
};

}  // namespace dp
