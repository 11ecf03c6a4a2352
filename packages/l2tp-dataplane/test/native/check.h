// The least of a test framework: CHECK stops with the place, EQ with both values; cases() runs a table of functions.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#define CHECK(x)                                                        \
  do {                                                                  \
    if (!(x)) {                                                         \
      std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #x); \
      std::abort();                                                     \
    }                                                                   \
  } while (0)

#define EQ(a, b) eq_at((a), (b), #a, __FILE__, __LINE__)

template <class A, class B>
void eq_at(const A& a, const B& b, const char* what, const char* file, int line) {
  if (a == static_cast<A>(b)) return;
  std::fprintf(stderr, "%s:%d: %s: %llu, wanted %llu\n", file, line, what, static_cast<unsigned long long>(a),
               static_cast<unsigned long long>(b));
  std::abort();
}

using Bytes = std::vector<uint8_t>;

inline Bytes hex(const std::string& text) {
  Bytes out;
  int half = -1;
  for (const char c : text) {
    if (c == ' ' || c == '\n') continue;
    const int v = c <= '9' ? c - '0' : (c | 32) - 'a' + 10;
    if (half < 0) {
      half = v;
    } else {
      out.push_back(static_cast<uint8_t>(half << 4 | v));
      half = -1;
    }
  }
  return out;
}

// xorshift64*: the same sequence everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : s_(seed * 2685821657736338717ull + 88172645463325252ull) {}
  uint64_t next() {
    s_ ^= s_ >> 12;
    s_ ^= s_ << 25;
    s_ ^= s_ >> 27;
    return s_ * 2685821657736338717ull;
  }
  uint64_t below(uint64_t n) { return next() % n; }

 private:
  uint64_t s_;
};

inline void cases(std::initializer_list<std::pair<const char*, void (*)()>> all) {
  for (const auto& [name, run] : all) {
    run();
    std::printf("ok %s\n", name);
  }
}

// merge.cc, queue.cc
void merge_cases();
void queue_cases();

// drive.cc
using FuzzTarget = void (*)(const uint8_t* input, size_t size);
void drive(FuzzTarget target, const char* path, long rounds);
