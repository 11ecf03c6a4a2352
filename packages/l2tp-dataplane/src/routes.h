// Prefix -> session, longest match first, IPv4 and IPv6: the way back, and the anti-spoofing check.
#pragma once
#include <array>
#include <unordered_map>

#include "table.h"

namespace dp {

// Two sessions may hold the same prefix while a client reconnects: the newer has the route, the older has it back when
// the newer goes. Sessions are named by pointer and never looked into, except for their prefixes in `may_use`.
class Routes {
 public:
  void add(const Prefix& prefix, Session* owner);
  void remove(const Prefix& prefix, Session* owner);

  // Asks ahead for what find(a) will read.
  void expect(const Address& a) const;
  // The session with the longest prefix that holds `a`; null when none does.
  Session* find(const Address& a) const;
  // Whether `a` is a source of `s`: some prefix of `s` is as long as the longest that holds `a`. A more specific prefix
  // of another session inside a framed route of this one is not its own.
  bool may_use(const Address& a, const Session* s) const;

  size_t size() const { return entries_.size(); }

 private:
  struct Hash {
    size_t operator()(const Prefix& p) const;
  };
  struct Match {
    Prefix prefix;
    Session* owner = nullptr;
  };
  Match match(const Address& a) const;

  FlatMap<Prefix, Session*, Hash> entries_;
  // Who has held a prefix for longer than its owner, oldest first: seldom anybody.
  std::unordered_map<Prefix, std::vector<Session*>, Hash> older_;
  // How many prefixes of each length there are, and the lengths in use, longest first.
  std::array<uint32_t, 129> count_[2]{};
  std::vector<uint8_t> lengths_[2];
};

}  // namespace dp
