// The counters of lib/types.ts. One thread writes a session's, any thread reads; the order is that of the TypeScript lists.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>

namespace dp {

enum class SessionDrop { path, closed, spoof, malformed, multicast, too_big, rate, send, tun, limit, sequence, queue, count };
enum class GlobalDrop {
  mark_zero,
  mark_unknown,
  no_session,
  no_route,
  too_short,
  version,
  queue_full,
  unconfirmed_send,
  send,
  raw_peer,
  control_rate,
  port_zero,
  count
};

constexpr const char* kSessionDrops[] = {"path",    "closed", "spoof", "malformed", "multicast",
                                         "too-big", "rate",   "send",  "tun",       "limit", "sequence", "queue"};
constexpr const char* kGlobalDrops[] = {"mark-zero", "mark-unknown", "no-session",       "no-route", "short",
                                        "version",   "queue-full",   "unconfirmed-send", "send",     "raw-peer",
                                        "control-rate", "port-zero"};

// 64 bits, written by one thread only: no locked instruction on the packet path.
class Counter {
 public:
  void add(uint64_t n = 1) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  void set(uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

struct SessionCounters {
  Counter packets_in, octets_in, packets_out, octets_out, last_traffic;
  std::array<Counter, static_cast<size_t>(SessionDrop::count)> drops;

  void drop(SessionDrop why, uint64_t n = 1) { drops[static_cast<size_t>(why)].add(n); }
};

// Written by the JS thread too (a full command queue), so added to atomically.
struct GlobalCounters {
  std::array<std::atomic<uint64_t>, static_cast<size_t>(GlobalDrop::count)> drops{};

  void drop(GlobalDrop why, uint64_t n = 1) {
    drops[static_cast<size_t>(why)].fetch_add(n, std::memory_order_relaxed);
  }
  uint64_t get(GlobalDrop why) const { return drops[static_cast<size_t>(why)].load(std::memory_order_relaxed); }
};

}  // namespace dp
