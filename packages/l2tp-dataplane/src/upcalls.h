// What the packet thread hands up, in bounded batches: each kind has its own room, so that none can starve another.
#pragma once
#include <array>
#include <mutex>

#include "table.h"

namespace dp {

enum class UpcallKind : uint8_t { control, frame, punt, violation };

struct Upcall {
  UpcallKind kind;
  bool confirmed;
  Ids ids;
  Path path;
  size_t at;  // of `bytes`
  size_t length;
};

// Reused: its memory grows to the bounds and stays.
struct UpcallBatch {
  std::vector<Upcall> items;
  std::vector<uint8_t> bytes;
  std::vector<uint32_t> flushed;
  void clear() {
    items.clear();
    bytes.clear();
    flushed.clear();
  }
};

class UpcallQueue {
 public:
  // The bytes of an upcall are `head` and then `body`. False: no room for its kind.
  bool push(Upcall upcall, const uint8_t* head, size_t head_length, const uint8_t* body, size_t body_length);
  void flushed(uint32_t id);
  // True once after something was pushed, until the next take().
  bool should_notify();
  // Moves everything into `out`, which is cleared first.
  void take(UpcallBatch& out);

 private:
  enum Class { kConfirmed, kRaw, kUnconfirmed, kFrame, kPunt, kClasses };
  struct Room {
    size_t items, bytes;
  };
  // Raw control has no mark to be limited by: its room is not that of IPsec peers. Control under an unknown mark has little:
  // JS holds at most 256 of them (4 per mark).
  static constexpr Room kRoom[kClasses] = {
      {4096, 4 << 20}, {4096, 4 << 20}, {256, 512 << 10}, {4096, 4 << 20}, {1024, 2 << 20}};

  std::mutex mutex_;
  UpcallBatch batch_;
  std::array<Room, kClasses> used_{};
  bool notified_ = false;
};

}  // namespace dp
