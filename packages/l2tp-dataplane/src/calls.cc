// PacketThread as JS sees it: starting, ending, and every call as a command in the queue.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "thread.h"

namespace dp {

namespace {
constexpr size_t kMaxWaitingSends = 65536;
constexpr size_t kMaxUnannounced = 64;
}

Failure PacketThread::start(Options options, std::unique_ptr<PacketThread>& out) {
  std::unique_ptr<PacketThread> t(new PacketThread(std::move(options)));
  if (Failure f = t->open_descriptors()) return f;
  // Signals are the main thread's.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  t->thread_ = std::thread(&PacketThread::run, t.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  out = std::move(t);
  return {};
}

Failure PacketThread::open_descriptors() {
  forwarder_.coalesces = options_.vnet_header;
  forwarder_.gateway = options_.gateway;
  tun_buffers_.reset(new uint8_t[kBatch * kTunStride]);
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) return {errno, "epoll_create1"};
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_ < 0) return {errno, "eventfd"};
  if (!watch(wake_)) return {errno, "epoll_ctl"};
  for (const int fd : options_.tun_fds) {
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) return {errno, "fcntl(F_DUPFD_CLOEXEC)"};
    tuns_.push_back(copy);
    const int flags = fcntl(copy, F_GETFL);
    if (flags < 0 || fcntl(copy, F_SETFL, flags | O_NONBLOCK) < 0) return {errno, "fcntl(F_SETFL)"};
    if (!watch(copy)) return {errno, "epoll_ctl"};
  }
  return {};
}

bool PacketThread::watch(int fd) {
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.fd = fd;
  return epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &e) == 0;
}

PacketThread::~PacketThread() {
  stop();
  join();
  for (const int fd : tuns_) close(fd);
  if (wake_ >= 0) close(wake_);
  if (epoll_ >= 0) close(epoll_);
}

void PacketThread::post(Command command) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopped_) return;
    commands_.push_back(std::move(command));
    if (options_.deferred_wakeups ? commands_.size() % kMaxUnannounced != 0 : commands_.size() > 1) return;
  }
  signal();
}

void PacketThread::wake() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (commands_.empty()) return;  // the thread was awake for another reason
  }
  signal();
}

void PacketThread::signal() {
  const uint64_t one = 1;
  // Fails only when the counter is full, and then the thread is awake.
  if (write(wake_, &one, sizeof one) < 0) return;
}

bool PacketThread::post_sendable(Command command) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (waiting_sends_ >= kMaxWaitingSends) return false;
    waiting_sends_++;
  }
  post(std::move(command));
  return true;
}

void PacketThread::call(Command command) {
  bool finished = false;
  post([this, &finished, &command] {
    command();
    const std::lock_guard<std::mutex> lock(mutex_);
    finished = true;
    done_.notify_all();
  });
  wake();
  std::unique_lock<std::mutex> lock(mutex_);
  done_.wait(lock, [&] { return finished || stopped_; });
}

Failure PacketThread::listen(const std::vector<ListenSpec>& specs) {
  if (listening_) return {EALREADY, "listen"};
  std::vector<Listener> listeners(specs.size());
  for (size_t i = 0; i < specs.size(); i++) {
    ListenSpec spec = specs[i];
    spec.receive_buffer = options_.receive_buffer;
    if (Failure f = listeners[i].data.open(spec)) return f;
    listeners[i].control.open_for_control(listeners[i].data);
  }
  Failure failure;
  call([&] {
    for (const Listener& l : listeners) {
      if (!watch(l.data.fd()) || (l.control.fd() >= 0 && !watch(l.control.fd()))) failure = {errno, "epoll_ctl"};
    }
    // On failure the sockets are closed, which takes them out of the epoll set.
    if (!failure) listeners_ = std::move(listeners);
  });
  listening_ = !failure;
  return failure;
}

void PacketThread::unlisten() {
  listening_ = false;
  call([this] { close_sockets(); });
}

void PacketThread::confirm_mark(uint32_t mark) {
  if (mark == 0 || violations_.count(mark) != 0) return;
  auto violations = std::make_shared<Counter>();
  violations_.emplace(mark, violations);
  post([this, mark, violations] { forwarder_.marks.confirm(mark, violations); });
}

void PacketThread::forget_mark(uint32_t mark) {
  violations_.erase(mark);
  post([this, mark] { forwarder_.marks.forget(mark); });
}

uint64_t PacketThread::violations(uint32_t mark) const {
  const auto it = violations_.find(mark);
  return it == violations_.end() ? 0 : it->second->get();
}

Failure PacketThread::add_session(const SessionSpec& spec, const SessionUpdate& state) {
  if (known_.count(spec.ours.key()) != 0) return {EEXIST, "addSession"};
  if (known_.size() >= options_.max_sessions) return {ENOSPC, "addSession"};
  auto counters = std::make_shared<SessionCounters>();
  known_.emplace(spec.ours.key(), counters);
  post([this, spec, state, counters] {
    auto session = std::make_unique<Session>();
    session->ours = spec.ours;
    session->peers = spec.peers;
    session->path = spec.path;
    session->counters = counters;
    apply(*forwarder_.sessions.add(std::move(session)), state);
  });
  return {};
}

Failure PacketThread::update_session(Ids ids, const SessionUpdate& state) {
  if (known_.count(ids.key()) == 0) return {ENOENT, "updateSession"};
  post([this, ids, state] { apply(*forwarder_.sessions.find(ids), state); });
  return {};
}

void PacketThread::move_path(uint16_t tunnel, const Path& path) {
  post([this, tunnel, path] {
    for (Session* s = forwarder_.sessions.of_tunnel(tunnel); s != nullptr; s = s->next_of_tunnel) {
      s->path = path;
      s->segments = true;
    }
  });
}

std::shared_ptr<const SessionCounters> PacketThread::remove_session(Ids ids) {
  const auto it = known_.find(ids.key());
  if (it == known_.end()) return nullptr;
  const auto counters = it->second;
  known_.erase(it);
  post([this, ids] {
    if (Session* s = forwarder_.sessions.find(ids)) forget_backlog(*s);
    forwarder_.remove_session(ids);
  });
  return counters;
}

std::shared_ptr<const SessionCounters> PacketThread::counters(Ids ids) const {
  const auto it = known_.find(ids.key());
  return it == known_.end() ? nullptr : it->second;
}

void PacketThread::send_control(std::vector<ControlDatagram> datagrams) {
  const size_t n = datagrams.size();
  const bool queued = post_sendable([this, datagrams = std::move(datagrams)] {
    for (const ControlDatagram& d : datagrams) put_control(d.path, nullptr, 0, d.data.data(), d.data.size(), nullptr);
    finish(control_);
  });
  if (!queued) globals_.drop(GlobalDrop::send, n);
}

void PacketThread::send_frame(Ids ids, std::vector<uint8_t> frame, bool dont_fragment) {
  const bool queued = post_sendable([this, ids, frame = std::move(frame), dont_fragment] {
    Session* s = forwarder_.sessions.find(ids);
    if (s == nullptr) return globals_.drop(GlobalDrop::no_session);
    frame_is_control_ = true;
    forwarder_.frame_to_peer(*s, frame.data(), frame.size());
    frame_is_control_ = false;
    const bool probe = dont_fragment && !control_.empty();
    // Without DF it would arrive in fragments and prove nothing.
    if (probe && set_dont_fragment(control_.socket(), s->path.local.family, true) != 0) {
      control_.clear();
      return s->drop(SessionDrop::send);
    }
    finish(control_);
    if (probe) set_dont_fragment(control_.socket(), s->path.local.family, false);
  });
  if (!queued) globals_.drop(GlobalDrop::send);
}

// Commands run in order and every send is past sendmsg when its command returns: reaching this one is the barrier.
void PacketThread::flush(uint32_t id) {
  post([this, id] { upcalls_.flushed(id); });
}

void PacketThread::stop() {
  post([this] { ending_ = true; });
  wake();
}

void PacketThread::join() {
  if (thread_.joinable()) thread_.join();
}

}  // namespace dp
