// Big-endian loads and stores, and the Internet checksum: RFC 1071, RFC 1624.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace dp {

inline uint16_t get16(const uint8_t* p) { return static_cast<uint16_t>(p[0] << 8 | p[1]); }
inline uint32_t get32(const uint8_t* p) {
  return static_cast<uint32_t>(p[0]) << 24 | static_cast<uint32_t>(p[1]) << 16 | static_cast<uint32_t>(p[2]) << 8 | p[3];
}
inline void put16(uint8_t* p, size_t v) {
  p[0] = static_cast<uint8_t>(v >> 8);
  p[1] = static_cast<uint8_t>(v);
}
inline void put32(uint8_t* p, uint32_t v) {
  put16(p, v >> 16);
  put16(p + 2, v & 0xffff);
}

inline uint16_t fold(uint64_t s) {
  while (s >> 16) s = (s & 0xffff) + (s >> 16);
  return static_cast<uint16_t>(s);
}

// One's complement sum of big-endian words, not yet folded; an odd last octet is padded with zero (RFC 1071 §1).
// Only the last part of a sum made of several parts may have an odd length. The words are added in the machine's order, two
// lanes of 32 bits that cannot overflow, and the folded sum is turned around at the end (RFC 1071 §2 (B)).
inline uint64_t sum(const uint8_t* p, size_t n, uint64_t s = 0) {
  uint64_t low = 0, high = 0;
  for (; n >= 32; p += 32, n -= 32) {
    uint64_t w[4];
    std::memcpy(w, p, 32);
    low += (w[0] & 0xffffffff) + (w[1] & 0xffffffff) + (w[2] & 0xffffffff) + (w[3] & 0xffffffff);
    high += (w[0] >> 32) + (w[1] >> 32) + (w[2] >> 32) + (w[3] >> 32);
  }
  for (; n >= 4; p += 4, n -= 4) {
    uint32_t w;
    std::memcpy(&w, p, 4);
    low += w;
  }
  uint8_t rest[4] = {};
  if (n > 0) std::memcpy(rest, p, n);
  uint32_t last;
  std::memcpy(&last, rest, 4);
  const uint16_t folded = fold(low + high + last);
  return s + static_cast<uint16_t>(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap16(folded) : folded);
}

inline uint16_t checksum(uint64_t s) { return static_cast<uint16_t>(~fold(s)); }

// The checksum after one 16-bit word it covers changed: RFC 1624 equation 3. `odd`: the word starts at an odd offset.
inline void update_checksum(uint8_t* field, uint16_t before, uint16_t after, bool odd) {
  if (odd) {
    before = __builtin_bswap16(before);
    after = __builtin_bswap16(after);
  }
  const uint64_t s = static_cast<uint16_t>(~get16(field)) + static_cast<uint64_t>(static_cast<uint16_t>(~before)) + after;
  put16(field, checksum(s));
}

}  // namespace dp
