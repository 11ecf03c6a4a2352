// The loop: commands and control first, then one batch from each socket and TUN queue that has something (level-triggered
// epoll). What JS has to answer is told to it before the data's turn.
#include "thread.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace dp {

namespace {

uint64_t now_ms() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1000 + static_cast<uint64_t>(t.tv_nsec) / 1'000'000;
}

// Whether a packet goes before others of its session while they wait.
bool goes_first(const Session& s, const uint8_t* body, size_t body_length, size_t octets) {
  return s.small_first && body_length == octets && is_small(body, body_length);
}

}  // namespace

void PacketThread::run() {
  epoll_event events[16];
  while (!ending_) {
    const int n = epoll_wait(epoll_, events, 16, patience());
    if (n < 0) {
      if (errno == EINTR) continue;
      fatal_ = {errno, "epoll_wait"};
      break;
    }
    const uint64_t before = now_;
    now_ = now_ms();
    held_ms_ += std::min(now_ - before, kHeldTurn);
    // Before the commands are taken: a post() after that sees an empty queue and wakes the thread again. And whenever it is
    // readable, also without a command: one may have been run before its wakeup came.
    for (int i = 0; i < n; i++) {
      uint64_t count;
      if (events[i].data.fd == wake_ && read(wake_, &count, sizeof count) < 0) break;
    }
    // Commands may close the sockets these events are of: an event without its socket is ignored.
    run_commands();
    for (int i = 0; i < n && !ending_; i++) {
      for (Listener& l : listeners_) {
        if (l.control.fd() == events[i].data.fd) socket_ready(l.control);
      }
    }
    if (upcalls_.should_notify()) options_.notify();
    for (int i = 0; i < n && !ending_; i++) {
      const int fd = events[i].data.fd;
      for (const int t : tuns_) {
        if (t == fd) tun_ready(fd);
      }
      for (Listener& l : listeners_) {
        if (l.data.fd() != fd) continue;
        if ((events[i].events & EPOLLOUT) != 0) room(l);
        if ((events[i].events & ~uint32_t{EPOLLOUT}) != 0) socket_ready(l.data);
      }
    }
    if (forwarder_.holds()) forwarder_.expire(now_);
    if (upcalls_.should_notify()) options_.notify();
    rest();
  }
  end();
}

// Where small packets come faster than a turn of one or two costs, a moment's rest makes the next turn's batch, and what is merged
// of it, larger: as a network card moderates its interrupts.
void PacketThread::rest() {
  if (now_ != rate_ms_) {
    busy_ = now_ == rate_ms_ + 1 && taken_ > kBusy;
    rate_ms_ = now_;
    taken_ = 0;
  }
  const size_t turn = std::exchange(turn_, 0);
  if (!busy_ || turn == 0 || turn >= kBatch) return;
  const timespec moment{0, kRest};
  nanosleep(&moment, nullptr);
}

// How long the loop may sleep, in ms: for ever, unless messages are held or packets wait for room.
int PacketThread::patience() const {
  bool waits = false;
  for (const Listener& l : listeners_) waits = waits || l.waits;
  const int most = waits ? static_cast<int>(kHeldTurn) : -1;
  if (!forwarder_.holds()) return most;
  const uint64_t now = now_ms(), until = forwarder_.holds_until() + 1;
  const int left = until <= now ? 0 : static_cast<int>(until - now);
  return waits ? std::min(left, most) : left;
}

void PacketThread::run_commands() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (commands_.empty()) return;
    running_.swap(commands_);
    waiting_sends_ = 0;
  }
  may_wait_ = kControlWait;
  for (Command& command : running_) command();
  running_.clear();
}

void PacketThread::end() {
  // Whoever waits for a command gets it run; nothing is queued afterwards.
  for (;;) {
    run_commands();
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!commands_.empty()) continue;
    stopped_ = true;
    done_.notify_all();
    break;
  }
  close_sockets();
  for (const int fd : tuns_) close(fd);
  tuns_.clear();
  if (upcalls_.should_notify()) options_.notify();
  options_.ended();
}

void PacketThread::close_sockets() { listeners_.clear(); }

void PacketThread::apply(Session& s, const SessionUpdate& state) {
  if (state.prefixes) forwarder_.replace_prefixes(s, *state.prefixes);
  if (state.mtu) s.mtu = *state.mtu;
  if (state.limit) {
    s.up.set(state.limit->first);
    s.down.set(state.limit->second);
  }
  if (state.clamp_mss) s.clamp_mss = *state.clamp_mss;
  if (state.acfc) s.acfc = *state.acfc;
  if (state.length_bit) s.length_bit = *state.length_bit;
  if (state.sequencing) s.sequence.on = *state.sequencing;
  if (state.reorder) forwarder_.set_reorder(s, *state.reorder, now_);
  if (state.dscp) s.dscp = *state.dscp;
  if (state.small_first) s.small_first = *state.small_first;
  if (!state.open) return;
  s.open = *state.open;
  if (!s.open) forget_backlog(s);
}

void PacketThread::socket_ready(Socket& socket) {
  const size_t n = receiver_.receive(socket);
  took(n);
  for (size_t i = 0; i < n; i++) {
    usable_[i] = receiver_.path(i, from_[i]);
    if (socket.spec.policy.raw) from_[i].mark = 0;
  }
  // What is asked for ahead is used before too much else is: a super-datagram (UDP_GRO) may be 64 of them.
  const size_t window = socket.spec.policy.raw ? kBatch / 16 : kBatch;
  for (size_t first = 0; first < n; first += window) {
    // A super-datagram holds datagrams of one sender, all but the last of the same size.
    const auto each = [&](auto act) {
      for (size_t i = first; i < std::min(first + window, n); i++) {
        if (!usable_[i]) continue;
        const size_t length = receiver_.length(i), size = receiver_.segment_size(i);
        for (size_t at = 0; at == 0 || at < length; at += size) {
          act(from_[i], receiver_.data(i) + at, std::min(size, length - at));
        }
      }
    };
    for (int step = 0; forwarder_.many() && step < Forwarder::kSteps; step++) {
      each([&](const Path&, const uint8_t* p, size_t length) { forwarder_.expect_datagram(step, p, length); });
    }
    each([&](const Path& from, uint8_t* p, size_t length) {
      forwarder_.datagram(socket.spec.policy, from, p, length, now_);
    });
  }
  forwarder_.flush_inside(now_);
}

void PacketThread::tun_ready(int fd) {
  const size_t header = options_.vnet_header ? kVnetHeader : 0;
  size_t count = 0;
  for (size_t octets = 0; count < kBatch && octets < kTurnOctets;) {
    const ssize_t n = read(fd, &tun_buffers_[count * kTunStride], kTunStride);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) break;
    if (n <= 0) {  // 0: the other end of a stand-in for the device went away
      fatal_ = {n < 0 ? errno : ENODEV, "read(tun)"};
      ending_ = true;
      break;
    }
    octets += static_cast<size_t>(n);
    tun_length_[count++] = static_cast<size_t>(n);
  }
  took(count);
  const auto each = [&](auto act) {
    for (size_t i = 0; i < count; i++) {
      uint8_t* p = &tun_buffers_[i * kTunStride];
      if (tun_length_[i] > header) act(p, p + header, tun_length_[i] - header);
    }
  };
  for (int step = 0; forwarder_.many() && step < Forwarder::kSteps; step++) {
    each([&](const uint8_t*, const uint8_t* p, size_t n) { forwarder_.expect_packet(step, p, n); });
  }
  each([&](const uint8_t* head, uint8_t* p, size_t n) {
    VnetHeader vnet;
    std::memcpy(&vnet, head, sizeof vnet);
    forwarder_.from_tun(header != 0 ? &vnet : nullptr, p, n, now_);
  });
  finish(data_);
}

Listener* PacketThread::route(const Path& path, bool& refused) {
  refused = true;
  Listener* found = nullptr;
  for (Listener& l : listeners_) {
    if (l.data.serves(path)) {
      found = &l;
      break;
    }
  }
  if (path.mark == 0 ? found == nullptr : !forwarder_.marks.has(path.mark)) {
    globals_.drop(GlobalDrop::unconfirmed_send);
    return nullptr;
  }
  if (found != nullptr && found->data.spec.policy.raw) {
    bool named = false;
    for (const Prefix& peer : found->data.spec.policy.peers) named = named || peer.contains(path.remote);
    if (!named) {
      globals_.drop(GlobalDrop::raw_peer);
      return nullptr;
    }
  }
  refused = false;
  return found;
}

void PacketThread::put_control(const Path& path, const uint8_t* head, size_t head_length, const uint8_t* body,
                               size_t body_length, Session* session, uint8_t traffic_class) {
  bool refused;
  const Listener* listener = route(path, refused);
  if (listener == nullptr) {
    if (refused) return;
    if (session != nullptr) return session->drop(SessionDrop::send);
    return globals_.drop(GlobalDrop::send);
  }
  const Socket& socket = listener->for_control();
  if (control_.full() || (!control_.empty() && control_.socket() != socket.fd())) finish(control_);
  control_.add(socket, path, head, head_length, body, body_length, session, 0, traffic_class);
}

void PacketThread::to_peer(const Outgoing& out) {
  Session& s = out.session;
  if (frame_is_control_) {
    return put_control(s.path, out.head, out.head_length, out.body, out.body_length, &s, out.traffic_class);
  }
  bool refused;
  const Listener* listener = route(s.path, refused);
  if (listener == nullptr) {
    if (!refused) s.drop(SessionDrop::send);
    return;
  }
  const Socket& socket = listener->data;
  if (data_.full() || (!data_.empty() && data_.socket() != socket.fd())) finish(data_);
  // Behind what waits already, its own or others': some of it since just now.
  if (!listener->queue->empty()) {
    if (s.sequence.on) s.sequence.give_back();
    return listener->queue->push(s, out.head, out.head_length, out.body, out.body_length, out.octets, out.traffic_class,
                                 goes_first(s, out.body, out.body_length, out.octets), held_ms_);
  }
  data_.add(socket, s.path, out.head, out.head_length, out.body, out.body_length, &s, out.octets, out.traffic_class);
}

void PacketThread::finish(Sender& sender) {
  if (sender.empty()) return;
  if (&sender == &control_) {
    may_wait_ = sender.send(may_wait_, now_);
  } else {
    sender.send_some(now_);
    hold();
  }
  sender.clear();
}

// What waits has no number yet (RFC 2661 §5.4): frames of JS's may go before it, and it may be dropped.
void PacketThread::hold() {
  Listener* listener = nullptr;
  for (Listener& l : listeners_) {
    if (l.data.fd() == data_.socket()) listener = &l;
  }
  if (listener == nullptr) return;
  FairQueue& queue = *listener->queue;
  size_t back = 0;
  data_.unsent([&](Session& s, const uint8_t* head, size_t head_length, const uint8_t* body, size_t body_length,
                   size_t octets, uint8_t traffic_class, FairQueue::Chunk* held) {
    if (((head_length > 0 ? head : body)[0] & 0x08) != 0) s.sequence.give_back();
    if (held == nullptr) {
      return queue.push(s, head, head_length, body, body_length, octets, traffic_class,
                        goes_first(s, body, body_length, octets), held_ms_);
    }
    held->kept = true;
    returned_[back++] = held;
  });
  while (back > 0) queue.put_back(returned_[--back]);
  watch_room(*listener);
}

void PacketThread::room(Listener& listener) {
  FairQueue& queue = *listener.queue;
  constexpr size_t kGathered = 65536;
  size_t n = 0, gathered = 0;
  while (!data_.full()) {
    FairQueue::Chunk* c = queue.next(held_ms_);
    if (c == nullptr) break;
    Session& s = *c->session;
    bool refused;
    if (route(s.path, refused) != &listener) {
      if (!refused) s.drop(SessionDrop::send);
      queue.release(c);
      continue;
    }
    uint8_t* p = c->data;
    if (c->length > kChunk) {
      if (gathered + c->length > kGathered) {
        queue.put_back(c);
        break;
      }
      if (gathered_ == nullptr) gathered_.reset(new uint8_t[kGathered]);
      p = &gathered_[gathered];
      for (const FairQueue::Chunk* part = c; part != nullptr; part = part->rest) {
        const size_t left = c->length - static_cast<size_t>(&gathered_[gathered] - p);
        std::memcpy(&gathered_[gathered], part->data, std::min(left, kChunk));
        gathered += std::min(left, kChunk);
      }
    }
    if ((p[0] & 0x08) != 0) put16(p + ((p[0] & 0x40) != 0 ? 8 : 6), s.sequence.next());
    data_.add(listener.data, s.path, nullptr, 0, p, c->length, &s, c->octets, c->traffic_class, c);
    drained_[n++] = c;
  }
  finish(data_);
  for (size_t i = 0; i < n; i++) {
    if (!drained_[i]->kept) {
      queue.release(drained_[i]);
    } else {
      drained_[i]->kept = false;
    }
  }
  watch_room(listener);
}

void PacketThread::watch_room(Listener& listener) {
  const bool waits = !listener.queue->empty();
  if (waits == listener.waits) return;
  epoll_event e{};
  e.events = waits ? EPOLLIN | EPOLLOUT : EPOLLIN;
  e.data.fd = listener.data.fd();
  if (epoll_ctl(epoll_, EPOLL_CTL_MOD, listener.data.fd(), &e) == 0) listener.waits = waits;
}

void PacketThread::forget_backlog(Session& s) {
  if (s.backlog != nullptr) s.backlog->queue->forget(s);
}

bool PacketThread::to_tun(const VnetHeader& vnet, const iovec* parts, size_t count) {
  if (tuns_.empty()) return false;
  if (write_tun(vnet, parts, count)) return true;
  if (vnet.gso_type == 0 || errno != EINVAL) return false;
  // Linux before 6.2 has no USO; what else a device may refuse is not guessed at.
  if (vnet.gso_type == kGsoUdp) forwarder_.coalescer.udp = false;
  return write_segments(vnet, parts, count);
}

bool PacketThread::write_tun(const VnetHeader& vnet, const iovec* parts, size_t count) {
  iovec all[1 + kMaxMerged];
  const size_t first = options_.vnet_header ? 1 : 0;
  if (first != 0) all[0] = {const_cast<VnetHeader*>(&vnet), kVnetHeader};
  std::memcpy(all + first, parts, count * sizeof *parts);
  size_t n = 0;
  for (size_t i = 0; i < first + count; i++) n += all[i].iov_len;
  return writev(tuns_[0], all, static_cast<int>(first + count)) == static_cast<ssize_t>(n);
}

bool PacketThread::write_segments(const VnetHeader& vnet, const iovec* parts, size_t count) {
  struct Each final : Pieces {
    PacketThread& thread;
    bool ok = true;
    explicit Each(PacketThread& t) : thread(t) {}
    void piece(const uint8_t* head, size_t head_length, const uint8_t* body, size_t body_length) override {
      const iovec both[] = {{const_cast<uint8_t*>(head), head_length}, {const_cast<uint8_t*>(body), body_length}};
      ok = thread.write_tun(VnetHeader{}, both, 2) && ok;
    }
  } each(*this);
  if (whole_ == nullptr) whole_.reset(new uint8_t[65536]);
  size_t n = 0;
  for (size_t i = 0; i < count; i++) {
    std::memcpy(&whole_[n], parts[i].iov_base, parts[i].iov_len);
    n += parts[i].iov_len;
  }
  IpHeader ip;
  const size_t head = parse_ip(whole_.get(), n, ip) ? segment_head(vnet, whole_.get(), ip) : 0;
  if (head == 0) return false;
  segment(vnet, whole_.get(), ip, head, vnet.gso_size, each);
  return each.ok;
}

bool PacketThread::control(const Path& from, bool confirmed, const uint8_t* p, size_t n) {
  return upcalls_.push({UpcallKind::control, confirmed, {}, from, 0, 0}, nullptr, 0, p, n);
}

bool PacketThread::frame(Ids ids, uint16_t protocol, const uint8_t* information, size_t n) {
  uint8_t head[2];
  put16(head, protocol);
  return upcalls_.push({UpcallKind::frame, true, ids, {}, 0, 0}, head, 2, information, n);
}

bool PacketThread::punt(Ids ids, const uint8_t* packet, size_t n) {
  return upcalls_.push({UpcallKind::punt, true, ids, {}, 0, 0}, nullptr, 0, packet, n);
}

bool PacketThread::violation(Ids ids, const Path& from) {
  return upcalls_.push({UpcallKind::violation, true, ids, from, 0, 0}, nullptr, 0, nullptr, 0);
}

}  // namespace dp
