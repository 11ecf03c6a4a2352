// Longest match as one hash lookup per prefix length in use: few lengths occur (/32, /128, /64 and the framed routes').
#include "routes.h"

#include <algorithm>
#include <utility>

namespace dp {

namespace {
size_t side(Family f) { return f == Family::v4 ? 0 : 1; }
}  // namespace

size_t Routes::Hash::operator()(const Prefix& p) const {
  uint64_t a, b;
  std::memcpy(&a, p.address.bytes.data(), 8);
  std::memcpy(&b, p.address.bytes.data() + 8, 8);
  uint64_t h = (a ^ (b * 0x9e3779b97f4a7c15)) + (uint64_t{p.length} << 1) + side(p.address.family);
  h = (h ^ (h >> 32)) * 0xd6e8feb86659fd93;
  return static_cast<size_t>(h ^ (h >> 32));
}

void Routes::add(const Prefix& prefix, Session* owner) {
  if (Session** holder = entries_.find(prefix); holder != nullptr) {
    older_[prefix].push_back(std::exchange(*holder, owner));
    return;
  }
  entries_.add(prefix, owner);
  const size_t v = side(prefix.address.family);
  if (count_[v][prefix.length]++ > 0) return;
  auto& lengths = lengths_[v];
  lengths.insert(std::upper_bound(lengths.begin(), lengths.end(), prefix.length, [](uint8_t a, uint8_t b) { return a > b; }), prefix.length);
}

void Routes::remove(const Prefix& prefix, Session* owner) {
  Session** holder = entries_.find(prefix);
  if (holder == nullptr) return;
  if (const auto waiting = older_.find(prefix); waiting != older_.end()) {
    auto& older = waiting->second;
    if (*holder == owner) {
      *holder = older.back();
      older.pop_back();
    } else if (const auto found = std::find(older.begin(), older.end(), owner); found != older.end()) {
      older.erase(found);
    }
    if (older.empty()) older_.erase(waiting);
    return;
  }
  if (*holder != owner) return;
  entries_.remove(prefix);
  const size_t v = side(prefix.address.family);
  if (--count_[v][prefix.length] > 0) return;
  auto& lengths = lengths_[v];
  lengths.erase(std::find(lengths.begin(), lengths.end(), prefix.length));
}

void Routes::expect(const Address& a) const {
  for (const uint8_t length : lengths_[side(a.family)]) entries_.expect(Prefix{a.masked(length), length});
}

Routes::Match Routes::match(const Address& a) const {
  for (const uint8_t length : lengths_[side(a.family)]) {
    const Prefix prefix{a.masked(length), length};
    if (Session* const* owner = entries_.find(prefix); owner != nullptr) return {prefix, *owner};
  }
  return {};
}

Session* Routes::find(const Address& a) const { return match(a).owner; }

bool Routes::may_use(const Address& a, const Session* s) const {
  // Nearly always: nobody's prefix is longer than the one of a leased address.
  if (!s->prefixes.empty() && s->prefixes[0].length == a.bits() && s->prefixes[0].address == a) return true;
  const Match entry = match(a);
  if (entry.owner == nullptr) return false;
  if (entry.owner == s) return true;
  return std::find(s->prefixes.begin(), s->prefixes.end(), entry.prefix) != s->prefixes.end();
}

}  // namespace dp
