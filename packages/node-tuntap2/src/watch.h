// Readiness: uv_poll on the environment's own loop rather than a thread with a ThreadSafeFunction. No wake-up per packet
// crosses threads, an idle watch costs nothing, backpressure is uv_poll_stop, and workers work. libuv's ABI is stable
// within 1.x, which every supported Node carries.
#pragma once

#include <napi.h>
#include <uv.h>

#include <memory>
#include <utility>

namespace tuntap {

// A uv_poll on one queue and the function it calls. It deletes itself once libuv has let go of the handle; the cleanup
// hook makes a dying environment (a worker, say) wait for that.
class Watch {
 public:
  // Fills `*slot`, which is emptied again when the watch closes, whoever closes it.
  static void Start(Napi::Env env, int fd, Watch** slot) {
    uv_loop_t* loop = nullptr;
    if (napi_get_uv_event_loop(env, &loop) != napi_ok) return;
    auto watch = std::unique_ptr<Watch>(new Watch(env, slot));
    if (uv_poll_init(loop, &watch->poll_, fd) != 0) return;
    watch->poll_.data = watch.get();
    napi_add_async_cleanup_hook(env, &Watch::OnTeardown, watch.get(), &watch->hook_);
    *slot = watch.release();
  }

  // Level-triggered: `callback(events)` runs in every turn of the loop in which one of `events` holds. 0 stops.
  bool Arm(int events, const Napi::Function& callback) {
    if (events == 0) {
      callback_.Reset();
      return uv_poll_stop(&poll_) == 0;
    }
    if (callback_.IsEmpty() || !callback_.Value().StrictEquals(callback)) callback_ = Napi::Persistent(callback);
    return uv_poll_start(&poll_, events, &Watch::OnReady) == 0;
  }

  // uv_close takes the descriptor out of epoll at once, so it may be closed right after this.
  void Close() {
    if (slot_ == nullptr) return;
    *std::exchange(slot_, nullptr) = nullptr;
    callback_.Reset();
    uv_close(reinterpret_cast<uv_handle_t*>(&poll_), [](uv_handle_t* handle) {
      auto* watch = static_cast<Watch*>(handle->data);
      const auto hook = watch->hook_;
      delete watch;
      if (hook != nullptr) napi_remove_async_cleanup_hook(hook);
    });
  }

 private:
  Watch(Napi::Env env, Watch** slot) : env_(env), slot_(slot), context_(env, "tuntap2:watch") {}

  static void OnTeardown(napi_async_cleanup_hook_handle, void* data) { static_cast<Watch*>(data)->Close(); }

  static void OnReady(uv_poll_t* handle, int status, int events) {
    auto* watch = static_cast<Watch*>(handle->data);
    // An error (the interface is gone: EPOLLERR) is reported as readiness for everything: the next read or write names it.
    const int reported = status == 0 ? events : UV_READABLE | UV_WRITABLE;
    if (watch->slot_ == nullptr || watch->callback_.IsEmpty()) return;
    const Napi::Env env(watch->env_);
    const Napi::HandleScope scope(env);
    const Napi::Function callback = watch->callback_.Value();
    callback.MakeCallback(env.Global(), {Napi::Number::New(env, reported)}, watch->context_);
    // Nobody above us on the stack: an exception of the listener is an uncaught exception.
    if (env.IsExceptionPending()) napi_fatal_exception(env, env.GetAndClearPendingException().Value());
  }

  napi_env env_;
  Watch** slot_;  // null once closing
  Napi::AsyncContext context_;
  Napi::FunctionReference callback_;
  uv_poll_t poll_{};
  napi_async_cleanup_hook_handle hook_ = nullptr;
};

}  // namespace tuntap
