// drive(target, seeds, rounds): mutates the seeds (hex, one per line) ROUNDS times, the same way each run, and keeps mutants as new
// seeds now and then: a poor man's libFuzzer, for compilers without it.
#include <algorithm>
#include <fstream>

#include "check.h"

namespace {

void mutate(Bytes& b, const std::vector<Bytes>& seeds, Random& random) {
  static const uint8_t kEdges[] = {0, 1, 2, 7, 8, 19, 20, 40, 0x3f, 0x40, 0x7f, 0x80, 0xfe, 0xff};
  const auto at = [&] { return b.begin() + static_cast<long>(random.below(b.size())); };
  switch (b.empty() ? 4 : random.below(8)) {
    case 0:
      *at() ^= static_cast<uint8_t>(1 << random.below(8));
      break;
    case 1:
      *at() = static_cast<uint8_t>(random.next());
      break;
    case 2:
      *at() = kEdges[random.below(sizeof kEdges)];
      break;
    case 3:
      b.resize(random.below(b.size()) + 1);
      break;
    case 4:
      b.insert(b.end(), 1 + random.below(32), static_cast<uint8_t>(random.next()));
      break;
    case 5: {
      const auto from = at();
      b.erase(from, from + static_cast<long>(std::min<size_t>(1 + random.below(4), static_cast<size_t>(b.end() - from))));
      break;
    }
    case 6:
      b.insert(at(), static_cast<uint8_t>(random.next()));
      break;
    case 7: {
      const Bytes& other = seeds[random.below(seeds.size())];
      b.resize(random.below(b.size()) + 1);
      if (other.size() > b.size()) b.insert(b.end(), other.begin() + static_cast<long>(b.size()), other.end());
      break;
    }
  }
}

}  // namespace

void drive(FuzzTarget target, const char* path, long rounds) {
  std::vector<Bytes> seeds;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (const size_t comment = line.find('#'); comment != std::string::npos) line.resize(comment);
    if (Bytes b = hex(line); !b.empty()) seeds.push_back(b);
  }
  CHECK(seeds.size() > 5);
  const size_t originals = seeds.size();
  for (const Bytes& s : seeds) target(s.data(), s.size());
  Random random(4);
  for (long i = 0; i < rounds; i++) {
    Bytes b = seeds[random.below(seeds.size())];
    for (uint64_t n = 1 + random.below(6); n > 0; n--) mutate(b, seeds, random);
    if (b.size() > 70000) continue;
    target(b.data(), b.size());
    if (i % 64 != 0) continue;
    if (seeds.size() < originals + 500) {
      seeds.push_back(b);
    } else {
      seeds[originals + random.below(500)] = b;
    }
  }
  std::printf("ok %ld mutated inputs\n", rounds);
}
