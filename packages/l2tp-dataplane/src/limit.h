// Token buckets on a millisecond clock that is passed in: of events, and of octets.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace dp {

// `burst` at once, `per_second` in the long run. Starts full.
class Limit {
 public:
  constexpr Limit(uint32_t per_second, uint32_t burst)
      : rate_(per_second), full_(uint64_t{burst} * 1000), left_(full_) {}

  bool take(uint64_t now, uint64_t cost = 1) {
    if (now > last_) {
      // Beyond full_ milliseconds even one token per second has filled the bucket.
      left_ = std::min(full_, left_ + std::min(now - last_, full_) * rate_);
      last_ = now;
    }
    if (left_ < cost * 1000) return false;
    left_ -= cost * 1000;
    return true;
  }

 private:
  uint64_t rate_;
  uint64_t full_;
  uint64_t left_;
  uint64_t last_ = 0;
};

// A rate in bits per second; 0 = none. What it lets pass at once is a tenth of a second's, at least two of the largest packets.
class Rate {
 public:
  void set(uint64_t bits_per_second) {
    rate_ = std::min(bits_per_second, kMax);
    full_ = std::max(rate_ / 10, kLeast) * 1000;
    left_ = full_;
  }

  bool take(size_t octets, uint64_t now) {
    if (rate_ == 0) return true;
    if (now > last_) {
      // Thousandths of bits. Whatever was left, it is full after full_ / rate_ + 1 milliseconds.
      left_ = std::min(full_, left_ + std::min(now - last_, full_ / rate_ + 1) * rate_);
      last_ = now;
    }
    const uint64_t need = uint64_t{octets} * 8000;
    if (left_ < need) return false;
    left_ -= need;
    return true;
  }

 private:
  static constexpr uint64_t kMax = 1'000'000'000'000;
  static constexpr uint64_t kLeast = 2 * 65535 * 8;
  uint64_t rate_ = 0;
  uint64_t full_ = 0;
  uint64_t left_ = 0;
  uint64_t last_ = 0;
};

}  // namespace dp
