// The bounded queue between packet thread and JS thread.
#include "upcalls.h"

namespace dp {

bool UpcallQueue::push(Upcall upcall, const uint8_t* head, size_t head_length, const uint8_t* body, size_t body_length) {
  Class c = kPunt;
  if (upcall.kind == UpcallKind::control) {
    c = !upcall.confirmed ? kUnconfirmed : upcall.path.mark == 0 ? kRaw : kConfirmed;
  }
  if (upcall.kind == UpcallKind::frame) c = kFrame;
  const size_t n = head_length + body_length;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (used_[c].items + 1 > kRoom[c].items || used_[c].bytes + n > kRoom[c].bytes) return false;
  used_[c].items++;
  used_[c].bytes += n;
  upcall.at = batch_.bytes.size();
  upcall.length = n;
  batch_.bytes.insert(batch_.bytes.end(), head, head + head_length);
  batch_.bytes.insert(batch_.bytes.end(), body, body + body_length);
  batch_.items.push_back(upcall);
  return true;
}

void UpcallQueue::flushed(uint32_t id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  batch_.flushed.push_back(id);
}

bool UpcallQueue::should_notify() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (notified_ || (batch_.items.empty() && batch_.flushed.empty())) return false;
  notified_ = true;
  return true;
}

void UpcallQueue::take(UpcallBatch& out) {
  out.clear();
  const std::lock_guard<std::mutex> lock(mutex_);
  std::swap(out, batch_);
  used_ = {};
  notified_ = false;
}

}  // namespace dp
