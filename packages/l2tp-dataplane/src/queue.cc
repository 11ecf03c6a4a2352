// Deficit round robin over the sessions that wait. RFC 8290 §4.1, §4.2.
#include "queue.h"

#include <algorithm>
#include <cstring>

namespace dp {

void FairQueue::push(Session& s, const uint8_t* head, size_t head_length, const uint8_t* body, size_t body_length,
                     size_t octets, uint8_t traffic_class, bool small, uint64_t now) {
  // It moved to another listener.
  if (s.backlog != nullptr && s.backlog->queue != this) s.backlog->queue->forget(s);
  if (chunks_ == nullptr) {
    chunks_.reset(new Chunk[kHeldChunks]);
    flows_.reset(new Backlog[kHeldChunks]);
    by_size_.reset(new Backlog*[kHeldChunks + 1]());
    for (size_t i = 0; i < kHeldChunks; i++) {
      chunks_[i].next = free_;
      free_ = &chunks_[i];
      flows_[i].after = free_flow_;
      free_flow_ = &flows_[i];
    }
  }
  const size_t length = head_length + body_length;
  const size_t need = (length + kChunk - 1) / kChunk;
  while (free_count_ < need && longest_ > 0) drop_first(*by_size_[longest_]);
  if (free_count_ < need) return s.drop(SessionDrop::queue);  // all of it is the caller's
  Chunk* packet = nullptr;
  Chunk** link = &packet;
  const uint8_t* const parts[] = {head, body};
  size_t left[] = {head_length, body_length};
  size_t part = 0;
  for (size_t i = 0; i < need; i++) {
    Chunk* c = free_;
    free_ = c->next;
    free_count_--;
    *link = c;
    link = &c->rest;
    c->rest = nullptr;
    for (size_t at = 0; part < 2 && at < kChunk;) {
      const size_t n = std::min(left[part], kChunk - at);
      if (n > 0) std::memcpy(c->data + at, parts[part] + (part == 0 ? head_length : body_length) - left[part], n);
      at += n;
      left[part] -= n;
      if (left[part] == 0) part++;
    }
  }
  packet->session = &s;
  packet->next = nullptr;
  packet->since = now;
  packet->length = static_cast<uint32_t>(length);
  packet->octets = static_cast<uint32_t>(octets);
  packet->traffic_class = traffic_class;
  packet->small = small;
  packet->kept = false;
  if (s.backlog == nullptr) begin(s, true);
  Backlog& f = *s.backlog;
  Backlog::Fifo& fifo = small ? f.small : f.large;
  (fifo.first == nullptr ? fifo.first : fifo.last->next) = packet;
  fifo.last = packet;
  waiting_++;
  resize(f, f.chunks + need);
}

namespace {
size_t chunks_of(const FairQueue::Chunk* packet) { return (packet->length + kChunk - 1) / kChunk; }
int cost_of(const FairQueue::Chunk* packet) { return static_cast<int>(packet->length) + kOuter; }
}  // namespace

FairQueue::Chunk* FairQueue::take_first(Backlog& f) {
  const bool small = f.small.first != nullptr && (f.large.first == nullptr || f.small_in_a_row < kSmallInARow);
  f.small_in_a_row = small ? f.small_in_a_row + 1 : 0;
  Backlog::Fifo& fifo = small ? f.small : f.large;
  Chunk* packet = fifo.first;
  fifo.first = packet->next;
  waiting_--;
  resize(f, f.chunks - chunks_of(packet));
  return packet;
}

// The oldest large one where there is one: the small ones are those that were to come first.
void FairQueue::drop_first(Backlog& f) {
  Backlog::Fifo& fifo = f.large.first != nullptr ? f.large : f.small;
  Chunk* packet = fifo.first;
  fifo.first = packet->next;
  waiting_--;
  packet->session->drop(SessionDrop::queue);
  resize(f, f.chunks - chunks_of(packet));
  release(packet);
  if (f.chunks == 0) end(f);
}

FairQueue::Chunk* FairQueue::next(uint64_t now) {
  for (;;) {
    Backlog* f = new_.first != nullptr ? new_.first : old_.first;
    if (f == nullptr) return nullptr;
    if (f->deficit <= 0) {
      f->deficit += kQuantum;
      unlink(*f);
      append(old_, *f);
      continue;
    }
    if (f->turns == &old_) old_turns_++;
    Chunk* packet = take_first(*f);
    const bool late = now > packet->since + kHoldFor;
    if (!late) f->deficit -= cost_of(packet);
    if (f->chunks == 0) end(*f);
    if (!late) return packet;
    packet->session->drop(SessionDrop::queue);
    release(packet);
  }
}

void FairQueue::release(Chunk* packet) {
  while (packet != nullptr) {
    Chunk* const rest = packet->rest;
    packet->next = free_;
    free_ = packet;
    free_count_++;
    packet = rest;
  }
}

void FairQueue::put_back(Chunk* packet) {
  Session& s = *packet->session;
  if (s.backlog == nullptr) begin(s, false);
  Backlog& f = *s.backlog;
  Backlog::Fifo& fifo = packet->small ? f.small : f.large;
  packet->next = fifo.first;
  if (fifo.first == nullptr) fifo.last = packet;
  fifo.first = packet;
  f.deficit += cost_of(packet);
  waiting_++;
  resize(f, f.chunks + chunks_of(packet));
}

void FairQueue::forget(Session& s) {
  while (s.backlog != nullptr) drop_first(*s.backlog);
}

void FairQueue::clear() {
  while (longest_ > 0) drop_first(*by_size_[longest_]);
}

void FairQueue::begin(Session& s, bool first) {
  // Who had his first turn since an old one had his waits behind those. RFC 8290 §4.2 keeps his empty queue among the old ones.
  first = first && s.new_turn != old_turns_;
  Backlog& f = *free_flow_;
  free_flow_ = f.after;
  f = {};
  f.queue = this;
  f.session = &s;
  f.deficit = first ? kQuantum : 0;
  if (first) s.new_turn = old_turns_;
  s.backlog = &f;
  append(first ? new_ : old_, f);
}

void FairQueue::end(Backlog& f) {
  f.session->backlog = nullptr;
  unlink(f);
  f.after = free_flow_;
  free_flow_ = &f;
}

void FairQueue::resize(Backlog& f, size_t chunks) {
  if (f.chunks > 0) {
    (f.shorter != nullptr ? f.shorter->longer : by_size_[f.chunks]) = f.longer;
    if (f.longer != nullptr) f.longer->shorter = f.shorter;
  }
  f.chunks = chunks;
  if (chunks > 0) {
    f.shorter = nullptr;
    f.longer = by_size_[chunks];
    if (f.longer != nullptr) f.longer->shorter = &f;
    by_size_[chunks] = &f;
  }
  longest_ = std::max(longest_, chunks);
  while (longest_ > 0 && by_size_[longest_] == nullptr) longest_--;
}

void FairQueue::append(Turns& list, Backlog& f) {
  f.turns = &list;
  f.before = list.last;
  f.after = nullptr;
  (list.last != nullptr ? list.last->after : list.first) = &f;
  list.last = &f;
}

void FairQueue::unlink(Backlog& f) {
  (f.before != nullptr ? f.before->after : f.turns->first) = f.after;
  (f.after != nullptr ? f.after->before : f.turns->last) = f.before;
}

}  // namespace dp
