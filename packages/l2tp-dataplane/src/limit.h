// A token bucket on a millisecond clock that is passed in.
#pragma once
#include <algorithm>
#include <cstdint>

namespace dp {

// `burst` at once, `per_second` in the long run. Starts full.
class Limit {
 public:
  constexpr Limit(uint32_t per_second, uint32_t burst)
      : rate_(per_second), full_(uint64_t{burst} * 1000), left_(full_) {}

  bool take(uint64_t now) {
    if (now > last_) {
      // Beyond full_ milliseconds even one token per second has filled the bucket.
      left_ = std::min(full_, left_ + std::min(now - last_, full_) * rate_);
      last_ = now;
    }
    if (left_ < 1000) return false;
    left_ -= 1000;
    return true;
  }

 private:
  uint64_t rate_;
  uint64_t full_;
  uint64_t left_;
  uint64_t last_ = 0;
};

}  // namespace dp
