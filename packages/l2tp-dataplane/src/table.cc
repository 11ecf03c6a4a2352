// Sessions by (tunnel id, session id), chained by tunnel so that a whole tunnel can move. RFC 2661 §3.1.
#include "table.h"

namespace dp {

Session* SessionTable::add(std::unique_ptr<Session> session) {
  Session* s = session.get();
  if (!sessions_.add(s->ours.key(), std::move(session))) return nullptr;
  Session*& first = tunnels_[s->ours.tunnel];
  s->next_of_tunnel = first;
  if (first != nullptr) first->previous_of_tunnel = s;
  first = s;
  return s;
}

bool SessionTable::remove(Ids ids) {
  const Session* s = find(ids);
  if (s == nullptr) return false;
  if (s->next_of_tunnel != nullptr) s->next_of_tunnel->previous_of_tunnel = s->previous_of_tunnel;
  if (s->previous_of_tunnel != nullptr) {
    s->previous_of_tunnel->next_of_tunnel = s->next_of_tunnel;
  } else {
    tunnels_[ids.tunnel] = s->next_of_tunnel;
  }
  return sessions_.remove(ids.key());
}

}  // namespace dp
