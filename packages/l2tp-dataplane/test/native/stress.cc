// The packet thread under floods from both sides, merging and putting in order every other time, while JS's part changes,
// counts, flushes and closes: for the thread sanitizer. Needs a network namespace with lo up.
#include <arpa/inet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../../src/thread.h"
#include "check.h"
#include "loopback.h"

using namespace dp;

namespace {

size_t total_merged = 0;

void lo_up() {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  ifreq r{};
  std::strcpy(r.ifr_name, "lo");
  CHECK(ioctl(fd, SIOCGIFFLAGS, &r) == 0);
  r.ifr_flags |= IFF_UP;
  CHECK(ioctl(fd, SIOCSIFFLAGS, &r) == 0);
  close(fd);
}

int peer_socket() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(1701);
  a.sin_addr.s_addr = htonl(0x7f000002);
  CHECK(bind(fd, reinterpret_cast<sockaddr*>(&a), sizeof a) == 0);
  a.sin_addr.s_addr = htonl(0x7f000001);
  CHECK(connect(fd, reinterpret_cast<sockaddr*>(&a), sizeof a) == 0);
  return fd;
}

// A TCP segment of a run from the client, in a numbered data message.
Bytes segment(uint16_t n) {
  Bytes p = hex("450000f0 00004000 40060000 0a090002 0a090001 03e8 0050 00000000 00000001 5010 ffff 0000 0000");
  p.resize(240);
  put16(&p[4], n);
  put32(&p[24], n * 200u);
  put16(&p[10], checksum(sum(p.data(), 20)));
  put16(&p[36], checksum(sum(&p[12], 8, kTcp + 220) + sum(&p[20], 220)));
  Bytes d = hex("0802 0001 0002 0000 0000 ff03 0021");
  put16(&d[6], n);
  d.insert(d.end(), p.begin(), p.end());
  return d;
}

// One life of a packet thread; returns the upcalls taken.
size_t life(int round) {
  const bool merging = round % 2 != 0;
  int pair[2];
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) == 0);
  std::atomic<bool> ended{false}, done{false};
  std::atomic<int> notified{0};
  PacketThread::Options options;
  options.tun_fds = {pair[0]};
  options.vnet_header = merging;
  options.deferred_wakeups = round % 3 != 0;
  options.notify = [&] { notified++; };
  options.ended = [&] { ended = true; };
  std::unique_ptr<PacketThread> t;
  CHECK(!PacketThread::start(options, t));

  const ListenSpec listener = loopback_listener();
  CHECK(!t->listen({listener}));
  CHECK(t->listen({listener}).error == EALREADY);

  const int peer = peer_socket();
  size_t merged = 0;
  std::thread flood([&] {
    const Bytes zlb = hex("c802 000c 0001 0000 0000 0000");
    const Bytes data = hex("0002 0001 0002 ff03 0021 4500001c 12340000 40110000 0a090002 0a090001 1388 1770 0008 0000");
    std::vector<Bytes> run;
    for (uint16_t n = 0; n < 32; n++) run.push_back(segment(n % 8 == 6 ? n + 1 : n % 8 == 7 ? n - 1 : n));
    Bytes back = hex("4500001c 12340000 40110000 0a090001 0a090002 1388 1770 0008 0000");
    if (merging) back.insert(back.begin(), kVnetHeader, 0);
    static uint8_t sink[70'000];
    while (!done) {
      if (send(peer, zlb.data(), zlb.size(), 0) < 0 || send(peer, data.data(), data.size(), 0) < 0 ||
          write(pair[1], back.data(), back.size()) < 0) {
        std::this_thread::yield();
      }
      for (const Bytes& d : run) {
        if (merging && send(peer, d.data(), d.size(), 0) < 0) break;
      }
      while (recv(peer, sink, sizeof sink, 0) > 0) continue;
      for (ssize_t n; (n = read(pair[1], sink, sizeof sink)) > 0;) {
        if (merging && n > 300) merged++;
      }
    }
  });

  SessionSpec spec{{1, 2}, {3, 4}, {}};
  spec.path.port = 1701;
  CHECK(parse_address("127.0.0.1", spec.path.local) && parse_address("127.0.0.2", spec.path.remote));
  SessionUpdate open;
  open.open = true;
  open.prefixes.emplace(1);
  CHECK(parse_prefix("10.9.0.2/32", open.prefixes->at(0)));

  // Every other round there are so many sessions that the thread looks ahead.
  for (uint16_t other = 1; round % 2 == 1 && other <= 300; other++) {
    CHECK(!t->add_session({{2, other}, {5, other}, spec.path}, {}));
  }

  UpcallBatch batch;
  size_t taken = 0, flushed = 0;
  for (uint32_t i = 1; i <= 200; i++) {
    CHECK(!t->add_session(spec, open));
    CHECK(t->add_session(spec, open).error == EEXIST);
    t->send_frame(spec.ours, hex("c021 0901 0008 00000000"));
    t->send_control({{spec.path, hex("c802 000c 0001 0000 0000 0000")}});
    t->confirm_mark(i);
    SessionUpdate closed;
    closed.open = i % 2 == 0;
    closed.sequencing = i % 3 != 0;
    closed.reorder = i % 5;
    closed.dscp = kCopyDscp;
    closed.small_first = true;
    CHECK(!t->update_session(spec.ours, closed));
    t->move_path(1, spec.path);
    t->flush(i);
    if (i % 2 == 0) t->wake();
    const auto counters = t->counters(spec.ours);
    t->take(batch);
    taken += batch.items.size();
    flushed += batch.flushed.size();
    const auto last = t->remove_session(spec.ours);
    CHECK(last == counters && t->counters(spec.ours) == nullptr);
    const uint64_t n = last->packets_in.get();
    CHECK(n == last->packets_in.get());
    if (i % 50 == 0) {
      t->unlisten();
      CHECK(!t->listen({listener}));
    }
  }
  CHECK(!t->add_session(spec, open));
  t->stop();
  if (round % 2 == 0) {
    t->send_control({{spec.path, hex("c802 000c 0001 0000 0000 0000")}});
    t->remove_session(spec.ours);
    t->unlisten();  // waits for a thread that ends
  }
  t->join();
  CHECK(ended && !t->fatal());
  t->take(batch);
  taken += batch.items.size();
  EQ(flushed + batch.flushed.size(), 200u);
  CHECK(notified > 0);
  t.reset();
  done = true;
  flood.join();
  total_merged += merged;
  close(peer);
  close(pair[0]);
  close(pair[1]);
  return taken;
}

}  // namespace

int main() {
  lo_up();
  size_t taken = 0;
  // Some lives are over before the flood has begun.
  for (int round = 0; round < 10 || (round < 200 && (taken == 0 || total_merged == 0)); round++) taken += life(round);
  CHECK(taken > 0 && total_merged > 0);
  std::printf("ok %zu upcalls\n", taken);
}
