// Longest match as one hash lookup per prefix length in use: few lengths occur (/32, /128, /64 and the framed routes').
#include "routes.h"

#include <algorithm>

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
  const auto [it, fresh] = entries_.try_emplace(prefix, Node{owner, {}});
  if (!fresh) {
    it->second.older.push_back(it->second.owner);
    it->second.owner = owner;
    return;
  }
  const size_t v = side(prefix.address.family);
  if (count_[v][prefix.length]++ > 0) return;
  auto& lengths = lengths_[v];
  lengths.insert(std::upper_bound(lengths.begin(), lengths.end(), prefix.length, [](uint8_t a, uint8_t b) { return a > b; }), prefix.length);
}

void Routes::remove(const Prefix& prefix, Session* owner) {
  const auto it = entries_.find(prefix);
  if (it == entries_.end()) return;
  Node& node = it->second;
  auto& older = node.older;
  if (node.owner != owner) {
    const auto found = std::find(older.begin(), older.end(), owner);
    if (found != older.end()) older.erase(found);
    return;
  }
  if (!older.empty()) {
    node.owner = older.back();
    older.pop_back();
    return;
  }
  entries_.erase(it);
  const size_t v = side(prefix.address.family);
  if (--count_[v][prefix.length] > 0) return;
  auto& lengths = lengths_[v];
  lengths.erase(std::find(lengths.begin(), lengths.end(), prefix.length));
}

const std::pair<const Prefix, Routes::Node>* Routes::match(const Address& a) const {
  for (const uint8_t length : lengths_[side(a.family)]) {
    const auto it = entries_.find(Prefix{a.masked(length), length});
    if (it != entries_.end()) return &*it;
  }
  return nullptr;
}

Session* Routes::find(const Address& a) const {
  const auto* entry = match(a);
  return entry == nullptr ? nullptr : entry->second.owner;
}

bool Routes::may_use(const Address& a, const Session* s) const {
  // Nearly always: nobody's prefix is longer than the one of a leased address.
  if (!s->prefixes.empty() && s->prefixes[0].length == a.bits() && s->prefixes[0].address == a) return true;
  const auto* entry = match(a);
  if (entry == nullptr) return false;
  if (entry->second.owner == s) return true;
  return std::find(s->prefixes.begin(), s->prefixes.end(), entry->first) != s->prefixes.end();
}

}  // namespace dp
