// Numbered data messages that came before their time, held until what is missing comes or is given up: RFC 2661 §5.4.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

namespace dp {

constexpr size_t kMaxReorder = 64;       // messages of a session
constexpr uint64_t kReorderFor = 100;    // ms from the first that is held
constexpr size_t kReorderOctets = 4 << 20;  // of all sessions together
constexpr size_t kReorderOfOne = 128 << 10;  // more than kMaxReorder messages of an Ethernet's size

struct Session;

class Reorder {
 public:
  struct Message {
    uint16_t ns;
    size_t length;
    std::unique_ptr<uint8_t[]> data;
  };

  explicit Reorder(size_t most) : most_(most) {}

  bool empty() const { return held_.empty(); }
  bool full(size_t n) const { return held_.size() >= most_ || octets_ + n > kReorderOfOne; }  // for n octets more
  size_t octets() const { return octets_; }
  uint64_t since() const { return since_; }  // when the first of those held came

  // Copies a message that is ahead of `expected`. False: it is there already.
  bool hold(uint16_t ns, uint16_t expected, const uint8_t* p, size_t n, uint64_t now) {
    const auto ahead = [&](uint16_t number) { return static_cast<uint16_t>(number - expected); };
    const auto at = std::find_if(held_.begin(), held_.end(), [&](const Message& m) { return ahead(m.ns) >= ahead(ns); });
    if (at != held_.end() && at->ns == ns) return false;
    if (held_.empty()) since_ = now;
    Message m{ns, n, std::unique_ptr<uint8_t[]>(new uint8_t[n])};
    if (n > 0) std::memcpy(m.data.get(), p, n);
    held_.insert(at, std::move(m));
    octets_ += n;
    return true;
  }

  uint16_t first() const { return held_.front().ns; }
  Message take_first() {
    Message m = std::move(held_.front());
    held_.erase(held_.begin());
    octets_ -= m.length;
    return m;
  }

  // Of the sessions that hold something, in the order in which they began to.
  Session* before = nullptr;
  Session* after = nullptr;

 private:
  size_t most_;
  size_t octets_ = 0;
  uint64_t since_ = 0;
  std::vector<Message> held_;  // in order
};

}  // namespace dp
