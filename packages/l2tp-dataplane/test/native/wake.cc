// A command that the packet thread takes before JS's thread has written to the eventfd: the wakeup that comes too late must
// not keep the loop awake. Linked with --wrap=write,--wrap=epoll_wait; needs no privileges.
#include <sys/epoll.h>
#include <unistd.h>

#include "../../src/thread.h"
#include "check.h"

using namespace dp;

namespace {

std::mutex mutex;
std::condition_variable changed;
int tun_end = -1;
bool late = false;    // the next wakeup is to come late
bool taken = false;   // the packet thread ran the command meanwhile
bool asleep = false;  // epoll_wait had nothing to report
int turns = 0;        // of the loop since the late wakeup
constexpr int kMany = 1000;

}  // namespace

extern "C" {
ssize_t __real_write(int fd, const void* data, size_t n);
int __real_epoll_wait(int epoll, epoll_event* events, int n, int timeout);

ssize_t __wrap_write(int fd, const void* data, size_t n) {
  std::unique_lock<std::mutex> lock(mutex);
  if (!late) return __real_write(fd, data, n);
  late = false;
  // A packet wakes the thread instead, and the command is run.
  CHECK(__real_write(tun_end, "x", 1) == 1);
  changed.wait(lock, [] { return taken; });
  turns = 0;
  asleep = false;
  return __real_write(fd, data, n);
}

int __wrap_epoll_wait(int epoll, epoll_event* events, int n, int) {
  {
    const std::lock_guard<std::mutex> lock(mutex);
    const int ready = __real_epoll_wait(epoll, events, n, 0);
    if (ready > 0) turns++;
    asleep = ready == 0;
    changed.notify_all();
    if (ready != 0) return ready;
  }
  return __real_epoll_wait(epoll, events, n, -1);
}
}

int main() {
  int pair[2];
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) == 0);
  tun_end = pair[1];
  PacketThread::Options options;
  options.tun_fds = {pair[0]};
  options.notify = [] {
    const std::lock_guard<std::mutex> lock(mutex);
    taken = true;
    changed.notify_all();
  };
  options.ended = [] {};
  std::unique_ptr<PacketThread> t;
  CHECK(!PacketThread::start(options, t));
  late = true;
  t->flush(1);  // comes back by notify
  {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [] { return asleep || turns > kMany; });
    CHECK(turns <= kMany);
  }
  t->stop();
  t->join();
  std::printf("ok asleep after %d turns\n", turns);
}
