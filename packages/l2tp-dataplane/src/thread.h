// The packet thread (thread.cc), one epoll loop over commands, sockets and TUN queues, and what JS may ask of it
// (calls.cc): commands applied in order. It talks to JS through the upcall queue.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <optional>
#include <thread>
#include <unordered_map>

#include "socket.h"
#include "upcalls.h"

namespace dp {

struct SessionSpec {
  Ids ours, peers;
  Path path;
};

struct SessionUpdate {
  std::optional<bool> open, clamp_mss, acfc, length_bit, sequencing, small_first;
  std::optional<int8_t> dscp;
  std::optional<size_t> reorder;
  std::optional<uint16_t> mtu;
  std::optional<std::pair<uint64_t, uint64_t>> limit;  // bits per second up and down
  std::optional<std::vector<Prefix>> prefixes;
};

struct ControlDatagram {
  Path path;
  std::vector<uint8_t> data;
};

constexpr size_t kTunStride = kVnetHeader + 65536 + 118;
// One turn takes kBatch packets from a TUN queue, but of TSO frames only so many octets: commands and sockets wait.
constexpr size_t kTurnOctets = 256 << 10;
constexpr int kControlWait = 200;  // ms the control datagrams of one turn of the loop may wait for room in the send buffer

class PacketThread final : private Sink {
 public:
  struct Options {
    std::vector<int> tun_fds;
    bool vnet_header = false;
    int receive_buffer = 4 << 20;
    size_t max_sessions = 65536;
    std::vector<Address> gateway;  // our own addresses inside
    // What is asked of the thread wakes it when wake() is called, not each by itself: a system call for each.
    bool deferred_wakeups = false;
    // Called on the packet thread: there are upcalls to take; and, as its last act, that it ends.
    std::function<void()> notify;
    std::function<void()> ended;
  };

  // Duplicates the descriptors and starts the thread.
  static Failure start(Options options, std::unique_ptr<PacketThread>& out);
  ~PacketThread();

  // The methods below are for one other thread, JS's. None fails after stop(): what they ask for is then not done.
  Failure listen(const std::vector<ListenSpec>& specs);
  void unlisten();
  bool listening() const { return listening_; }
  void confirm_mark(uint32_t mark);
  void forget_mark(uint32_t mark);
  // Packets that came under a confirmed mark for sessions of another path.
  uint64_t violations(uint32_t mark) const;
  Failure add_session(const SessionSpec& spec, const SessionUpdate& state);
  Failure update_session(Ids ids, const SessionUpdate& state);
  void move_path(uint16_t tunnel, const Path& path);
  // The counters, which count on until the removal took place; null when there was no such session.
  std::shared_ptr<const SessionCounters> remove_session(Ids ids);
  std::shared_ptr<const SessionCounters> counters(Ids ids) const;
  const GlobalCounters& globals() const { return globals_; }
  void send_control(std::vector<ControlDatagram> datagrams);
  void send_frame(Ids ids, std::vector<uint8_t> frame, bool dont_fragment = false);
  // `id` comes back in UpcallBatch::flushed.
  void flush(uint32_t id);
  // With deferred wakeups: the thread learns of what was asked of it since. Needless after listen(), unlisten() and stop().
  void wake();
  void take(UpcallBatch& out) { upcalls_.take(out); }
  // Asks the thread to end after what is queued; join() waits for it.
  void stop();
  void join();
  // Why the thread ended by itself; after `ended`.
  Failure fatal() const { return fatal_; }

 private:
  using Command = std::function<void()>;

  explicit PacketThread(Options options) : options_(std::move(options)), forwarder_(*this, globals_) {}
  Failure open_descriptors();
  bool watch(int fd);

  // Commands. post_sendable() drops (false) when too many wait; call() waits until the command was run.
  void post(Command command);
  void signal();
  bool post_sendable(Command command);
  void call(Command command);
  void run_commands();

  void run();
  int patience() const;
  void rest();
  void took(size_t packets) {
    turn_ += packets;
    taken_ += packets;
  }
  void end();
  void socket_ready(Socket& socket);
  void tun_ready(int fd);
  // The send buffer has room again for what waits.
  void room(Listener& listener);
  void hold();
  void watch_room(Listener& listener);
  static void forget_backlog(Session& s);
  void apply(Session& s, const SessionUpdate& state);
  void close_sockets();
  // The listener for a path, or null after counting why not; `refused` says that the path itself may not be used.
  Listener* route(const Path& path, bool& refused);
  void put_control(const Path& path, const uint8_t* head, size_t head_length, const uint8_t* body, size_t body_length,
                   Session* session, uint8_t traffic_class = 0);
  // Control waits for room in the send buffer; data is held and the thread goes on.
  void finish(Sender& sender);

  bool to_tun(const VnetHeader& vnet, const iovec* parts, size_t count) override;
  bool write_tun(const VnetHeader& vnet, const iovec* parts, size_t count);
  // A merged packet that the device refused as such, in its segments.
  bool write_segments(const VnetHeader& vnet, const iovec* parts, size_t count);
  void to_peer(const Outgoing& out) override;
  void flush() override { finish(data_); }
  bool control(const Path& from, bool confirmed, const uint8_t* p, size_t n) override;
  bool frame(Ids ids, uint16_t protocol, const uint8_t* information, size_t n) override;
  bool punt(Ids ids, const uint8_t* packet, size_t n) override;
  bool violation(Ids ids, const Path& from) override;

  Options options_;
  GlobalCounters globals_;
  UpcallQueue upcalls_;

  // JS's side: which sessions there are, so that errors are known at once.
  std::unordered_map<uint32_t, std::shared_ptr<SessionCounters>> known_;
  std::unordered_map<uint32_t, std::shared_ptr<Counter>> violations_;  // by confirmed mark
  bool listening_ = false;

  std::mutex mutex_;
  std::condition_variable done_;
  std::vector<Command> commands_;
  size_t waiting_sends_ = 0;
  bool stopped_ = false;  // the thread runs no more commands

  // The packet thread's.
  Forwarder forwarder_;
  std::vector<Listener> listeners_;
  std::vector<int> tuns_;
  int epoll_ = -1;
  int wake_ = -1;
  bool ending_ = false;
  bool frame_is_control_ = false;
  uint64_t now_ = 0;  // ms of a monotonic clock, when this turn began
  // The clock of what waits for room. It goes on by little in a turn: what the thread, or the host, was stopped for is not the
  // line's doing, and costs no packet.
  uint64_t held_ms_ = 0;
  static constexpr uint64_t kHeldTurn = 50;
  // Packets of this turn and of this millisecond, and whether the one before had more than kBusy.
  size_t turn_ = 0, taken_ = 0;
  uint64_t rate_ms_ = 0;
  bool busy_ = false;
  static constexpr size_t kBusy = 50;
  static constexpr long kRest = 50'000;  // ns
  int may_wait_ = 0;  // of kControlWait, in this turn
  Failure fatal_;
  std::vector<Command> running_;
  Receiver receiver_;
  Sender data_{globals_}, control_{globals_};
  // Of one batch that was read.
  Path from_[Receiver::kMost];
  bool usable_[Receiver::kMost];
  std::unique_ptr<uint8_t[]> tun_buffers_;
  size_t tun_length_[kBatch];
  std::unique_ptr<uint8_t[]> whole_;  // write_segments()
  // Of one batch out of a FairQueue.
  FairQueue::Chunk* drained_[Sender::kPieces];
  FairQueue::Chunk* returned_[Sender::kPieces];
  std::unique_ptr<uint8_t[]> gathered_;  // packets of several chunks
  std::thread thread_;
};

}  // namespace dp
