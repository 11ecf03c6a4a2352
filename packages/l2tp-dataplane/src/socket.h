// UDP sockets whose every datagram came through an ESP transport SA, and whose mark tells which. RFC 3193 §3.3, §2.1.
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>

#include <memory>

#include "forward.h"
#include "queue.h"

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
  // A second queue at the address of `data`: the kernel puts L2TP control messages and PPP control frames here, so that they
  // neither wait behind data nor are lost with it when its buffer is full. Numbered data messages stay where they are, in
  // order. What is refused here leaves everything with `data`.
  Failure open_for_control(Socket& data);
  int fd() const { return fd_; }
  // Whether datagrams for `path` leave here: the same kind (raw = mark 0) and a matching or wildcard address.
  bool serves(const Path& path) const;

  ListenSpec spec;

 private:
  Failure set(int level, int option, const void* value, socklen_t n, const char* call) const;
  Failure require_esp() const;
  Failure create(const ListenSpec& spec);
  Failure bind_to(const sockaddr_in6& name, socklen_t n);
  void close();
  int fd_ = -1;
};

// The two queues of a listener. Without the second one everything is in the first.
struct Listener {
  Socket data, control;
  std::unique_ptr<FairQueue> queue{new FairQueue};  // of what `data` had no room for
  bool waits = false;                               // for EPOLLOUT
  const Socket& for_control() const { return control.fd() < 0 ? data : control; }
};

// The outer DF bit of what is sent from now on, whatever path MTU the kernel remembers. As setsockopt().
int set_dont_fragment(int fd, Family family, bool on);

// Buffers for one turn's datagrams, allocated once. A UDP payload may have any length up to 65507.
class Receiver {
 public:
  static constexpr size_t kMost = 256;

  Receiver();
  // Datagrams received, 0 when none is waiting. Up to kMost, because packets of one flow are merged within a turn and many
  // flows send in turns; but no more once kTurn octets are there, and a few at a time where each may be many (UDP_GRO).
  size_t receive(const Socket& socket);
  uint8_t* data(size_t i) { return &buffers_[i * kStride]; }
  size_t length(size_t i) const { return messages_[i].msg_len; }
  // Of the datagrams in it, the last one's may be less: UDP_GRO. At least 1. After path().
  size_t segment_size(size_t i) const { return segment_size_[i]; }
  // False: without a destination address or truncated.
  bool path(size_t i, Path& out);

 private:
  static constexpr size_t kTurn = 256 << 10;
  static constexpr size_t kStride = 65536 + 128;  // not of a page: the beginnings would share a few lines of the cache
  std::unique_ptr<uint8_t[]> buffers_;
  mmsghdr messages_[kMost];
  iovec iov_[kMost];
  sockaddr_in6 names_[kMost];
  size_t segment_size_[kMost];
  alignas(cmsghdr) uint8_t control_[kMost][128];
};

// Datagrams waiting for one sendmmsg. Those of a path that have the same size, the last one at most, are one message with
// UDP_SEGMENT, whichever of its sessions they are of, until the kernel refuses it: it does on every route with an IPsec policy
// (EIO), and where a datagram is larger than the link's MTU. What became of each is counted here.
class Sender {
 public:
  static constexpr size_t kPieces = 512;

  explicit Sender(GlobalCounters& globals) : globals_(globals) {}

  bool full() const { return count_ == kBatch || pieces_ == kPieces; }
  bool empty() const { return count_ == 0; }
  // `head` is copied, `body` and `to` are not; `session` null = control. A batch leaves through one socket: send() and clear()
  // before another one is used. Datagrams of one session leave in order; `octets` 0 = not in transit, and never in a message
  // with others.
  void add(const Socket& socket, const Path& to, const uint8_t* head, size_t head_length, const uint8_t* body,
           size_t body_length, Session* session, size_t octets, uint8_t traffic_class = 0, FairQueue::Chunk* held = nullptr);
  int socket() const { return fd_; }
  // Sends all; `wait_ms` bounds the time spent waiting for room in the send buffer, and what is left of it is returned.
  int send(int wait_ms, uint64_t now);
  // Sends until there is no room, without waiting for it.
  void send_some(uint64_t now);
  // f(session, head, head_length, body, body_length, octets, traffic class, held) for each datagram that is unsent; those of a session in order.
  template <class F>
  void unsent(F f) const {
    for (size_t i = done_; i < count_; i++) {
      for (uint16_t k = messages_[i].first; k != kNone; k = piece_[k].next) {
        const Piece& p = piece_[k];
        f(*p.session, p.head, p.head_length, p.body, p.body_length, p.octets, messages_[i].traffic_class, p.held);
      }
    }
  }
  void clear();

 private:
  static constexpr size_t kMaxSegments = 64;      // UDP_MAX_SEGMENTS before Linux 6.6
  static constexpr size_t kMaxMessage = 65'000;   // octets; an IP packet has room for 65 507
  static constexpr uint16_t kNone = 0xffff;

  struct Piece {
    uint8_t head[kMaxDataHeader + kMaxHead];
    size_t head_length;
    const uint8_t* body;
    size_t body_length;
    Session* session;
    size_t octets;
    FairQueue::Chunk* held;
    uint16_t next;
  };
  struct Message {
    const Path* to;
    size_t packets;
    size_t size;   // of each datagram but the last
    size_t total;
    uint16_t first, last;
    bool open;
    uint8_t traffic_class;
    sockaddr_in6 name;
    socklen_t name_length;
    size_t control_length;  // without UDP_SEGMENT
    alignas(cmsghdr) uint8_t control[CMSG_SPACE(sizeof(in6_pktinfo)) + 3 * CMSG_SPACE(sizeof(uint32_t))];
    msghdr header();  // where to and with what; no octets yet
  };
  // Of a path, the message that takes more of it; found by a hash of the path, so another path's may be there instead.
  struct Open {
    uint64_t batch = 0;
    size_t message = 0;
  };
  static constexpr size_t kOpen = 64;

  Message& open_message(const Socket& socket, const Path& to, size_t size, uint8_t traffic_class);
  void prepare();
  bool send_next(uint64_t now);
  bool writable() const;
  bool send_apart(Message& m, int refusal, uint64_t now);
  void sent(const Piece& p, uint64_t now);
  void refused(const Piece& p);

  GlobalCounters& globals_;
  int fd_ = -1;
  size_t count_ = 0;
  size_t done_ = 0;  // messages
  size_t again_ = kNone;  // message that got EAGAIN once though there was room
  size_t pieces_ = 0;
  uint64_t batch_ = 1;
  Open open_[kOpen];
  Piece piece_[kPieces];
  Message messages_[kBatch];
  mmsghdr headers_[kBatch];
  iovec iov_[kPieces][2];
};

}  // namespace dp
