// Sequence numbers of the data channel: RFC 2661 §5.4. Out of order is lost; reorder.h may hold it back before.
#pragma once
#include <cstdint>

namespace dp {

class Sequence {
 public:
  bool on = false;

  // The number of the next message to the peer.
  uint16_t next() { return next_++; }
  // The last one was not used.
  void give_back() { next_--; }

  // The number of the peer's next message, when there was one before; and whether this one is of later.
  bool is_next(uint16_t ns) const { return seen_ && ns == expected_; }
  bool is_ahead(uint16_t ns) const { return seen_ && ns != expected_ && static_cast<uint16_t>(ns - expected_) < 0x8000; }
  uint16_t expected() const { return expected_; }

  // Whether a message of the peer is taken. Half of the numbers are ahead of the one expected, half are behind (§5.8); the
  // first of all may have any. Five far behind in a row are a peer that has begun anew; near ones are repeats.
  bool take(uint16_t ns) {
    const bool ahead = !seen_ || static_cast<uint16_t>(ns - expected_) < 0x8000;
    const bool far = !ahead && static_cast<uint16_t>(expected_ - ns) > kNear;
    behind_ = !far ? 0 : behind_ > 0 && ns == behind_next_ ? behind_ + 1 : 1;
    behind_next_ = static_cast<uint16_t>(ns + 1);
    if (!ahead && behind_ < kBegunAnew) return false;
    seen_ = true;
    expected_ = static_cast<uint16_t>(ns + 1);
    behind_ = 0;
    return true;
  }

 private:
  static constexpr int kBegunAnew = 5;
  static constexpr uint16_t kNear = 1024;
  bool seen_ = false;
  uint16_t next_ = 0;
  uint16_t expected_ = 0;
  uint16_t behind_next_ = 0;
  int behind_ = 0;
};

}  // namespace dp
