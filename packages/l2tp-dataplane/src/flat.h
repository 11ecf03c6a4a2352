// A hash table in one array (linear probing, at most half full): a lookup is one place in memory, which can be asked for ahead.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace dp {

// Asks the cache for what will be touched. A hint: `p` may be anything.
inline void ahead(const void* p, size_t n) {
  const auto begin = reinterpret_cast<uintptr_t>(p);
  for (uintptr_t at = begin & ~uintptr_t{63}; at < begin + n; at += 64) {
    __builtin_prefetch(reinterpret_cast<const void*>(at));
  }
}

// `V` is a pointer, plain or owning; a null one is no entry. add() and remove() move entries.
template <class K, class V, class Hash>
class FlatMap {
 public:
  size_t size() const { return size_; }
  void expect(const K& key) const {
    if (size_ > 0) ahead(&slots_[home(key)], sizeof(Slot));
  }
  // Null when there is none.
  const V* find(const K& key) const {
    if (size_ == 0) return nullptr;
    const Slot& s = slots_[place(key)];
    return s.value == nullptr ? nullptr : &s.value;
  }
  V* find(const K& key) { return const_cast<V*>(std::as_const(*this).find(key)); }
  // False: there is one with this key.
  bool add(const K& key, V value) {
    if (2 * (size_ + 1) > slots_.size()) grow();
    Slot& s = slots_[place(key)];
    if (s.value != nullptr) return false;
    s.key = key;
    s.value = std::move(value);
    size_++;
    return true;
  }
  bool remove(const K& key) {
    if (size_ == 0) return false;
    size_t gap = place(key);
    if (slots_[gap].value == nullptr) return false;
    slots_[gap].value = nullptr;
    size_--;
    // Whoever was put behind the gap because its own place was taken moves up: a search ends at a gap.
    for (size_t i = next(gap); slots_[i].value != nullptr; i = next(i)) {
      if (((i - home(slots_[i].key)) & mask()) < ((i - gap) & mask())) continue;
      slots_[gap].key = slots_[i].key;
      slots_[gap].value = std::exchange(slots_[i].value, nullptr);
      gap = i;
    }
    return true;
  }

 private:
  struct Slot {
    K key{};
    V value{};
  };
  size_t mask() const { return slots_.size() - 1; }
  size_t home(const K& key) const { return Hash()(key) & mask(); }
  size_t next(size_t i) const { return (i + 1) & mask(); }
  // Where `key` is, or would be.
  size_t place(const K& key) const {
    size_t i = home(key);
    while (slots_[i].value != nullptr && !(slots_[i].key == key)) i = next(i);
    return i;
  }
  void grow() {
    std::vector<Slot> old(slots_.empty() ? 16 : 2 * slots_.size());
    old.swap(slots_);
    for (Slot& s : old) {
      if (s.value != nullptr) {
        Slot& to = slots_[place(s.key)];
        to.key = s.key;
        to.value = std::move(s.value);
      }
    }
  }

  std::vector<Slot> slots_;
  size_t size_ = 0;
};

}  // namespace dp
