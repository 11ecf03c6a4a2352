// N-API glue only: JavaScript values to and from PacketThread's. lib/index.ts has checked every argument.
#include <napi.h>

#include "thread.h"

namespace {

using dp::Address;
using dp::Failure;
using dp::Ids;
using dp::PacketThread;
using dp::Path;

// What lives as long as the thread-safe function: the packet thread, and JS's callback for its end.
struct Shared {
  std::unique_ptr<PacketThread> thread;
  Napi::FunctionReference on_end;
  Napi::ObjectReference self;  // the JS object lives while its thread does
  dp::UpcallBatch batch;
  bool torn_down = false;  // or never started: nobody waits for on_end
};

void call_js(Napi::Env env, Napi::Function on_batch, Shared* shared, void*);
using Tsfn = Napi::TypedThreadSafeFunction<Shared, void, call_js>;

// The environment (a worker, the process) ends with the thread running.
void tear_down(void* data) {
  auto* shared = static_cast<Shared*>(data);
  shared->torn_down = true;
  shared->thread->stop();
  shared->thread->join();
}

// undefined, or { errno, syscall } for lib/index.ts to throw.
Napi::Value result(Napi::Env env, const Failure& failure) {
  if (!failure) return env.Undefined();
  Napi::Object o = Napi::Object::New(env);
  o.Set("errno", failure.error);
  o.Set("syscall", failure.call);
  return o;
}

uint32_t number(const Napi::Value& v) { return v.As<Napi::Number>().Uint32Value(); }

Address to_address(const Napi::Value& v) {
  Address a;
  dp::parse_address(v.As<Napi::String>().Utf8Value(), a);
  return a;
}

std::vector<dp::Prefix> to_prefixes(const Napi::Value& v) {
  const auto list = v.As<Napi::Array>();
  std::vector<dp::Prefix> prefixes(list.Length());
  for (uint32_t i = 0; i < list.Length(); i++) dp::parse_prefix(list.Get(i).As<Napi::String>().Utf8Value(), prefixes[i]);
  return prefixes;
}

Path to_path(const Napi::Value& v) {
  const auto o = v.As<Napi::Object>();
  Path p;
  p.mark = number(o.Get("mark"));
  p.local = to_address(o.Get("local"));
  p.remote = to_address(o.Get("remote"));
  p.port = static_cast<uint16_t>(number(o.Get("remotePort")));
  return p;
}

Napi::Object from_path(Napi::Env env, const Path& p) {
  Napi::Object o = Napi::Object::New(env);
  o.Set("mark", p.mark);
  o.Set("local", dp::to_text(p.local));
  o.Set("remote", dp::to_text(p.remote));
  o.Set("remotePort", p.port);
  return o;
}

Ids to_ids(const Napi::Value& tunnel, const Napi::Value& session) {
  return {static_cast<uint16_t>(number(tunnel)), static_cast<uint16_t>(number(session))};
}

std::vector<uint8_t> to_bytes(const Napi::Value& v) {
  const auto a = v.As<Napi::Uint8Array>();
  return {a.Data(), a.Data() + a.ByteLength()};
}

dp::SessionUpdate to_update(const Napi::Value& v) {
  const auto o = v.As<Napi::Object>();
  const auto flag = [&](const char* key, std::optional<bool>& out) {
    const Napi::Value value = o.Get(key);
    if (!value.IsUndefined()) out = value.As<Napi::Boolean>().Value();
  };
  dp::SessionUpdate u;
  flag("open", u.open);
  flag("clampMss", u.clamp_mss);
  flag("acfc", u.acfc);
  flag("lengthBit", u.length_bit);
  flag("sequencing", u.sequencing);
  flag("smallFirst", u.small_first);
  if (const Napi::Value mtu = o.Get("mtu"); !mtu.IsUndefined()) u.mtu = static_cast<uint16_t>(number(mtu));
  if (const Napi::Value n = o.Get("reorder"); !n.IsUndefined()) u.reorder = number(n);
  if (const Napi::Value dscp = o.Get("dscp"); !dscp.IsUndefined()) {
    u.dscp = dscp.IsString() ? dp::kCopyDscp : static_cast<int8_t>(number(dscp));
  }
  if (const Napi::Value value = o.Get("limit"); !value.IsUndefined()) {
    const auto limit = value.As<Napi::Object>();
    const auto rate = [&](const char* key) {
      return static_cast<uint64_t>(limit.Get(key).As<Napi::Number>().Int64Value());
    };
    u.limit = {rate("up"), rate("down")};
  }
  if (const Napi::Value list = o.Get("prefixes"); !list.IsUndefined()) u.prefixes = to_prefixes(list);
  return u;
}

Napi::Value from_counters(Napi::Env env, const std::shared_ptr<const dp::SessionCounters>& c) {
  if (c == nullptr) return env.Undefined();
  Napi::Object drops = Napi::Object::New(env);
  for (size_t i = 0; i < c->drops.size(); i++) {
    const uint64_t n = c->drops[i].get();
    if (n > 0) drops.Set(dp::kSessionDrops[i], Napi::BigInt::New(env, n));
  }
  Napi::Object o = Napi::Object::New(env);
  o.Set("packetsIn", Napi::BigInt::New(env, c->packets_in.get()));
  o.Set("octetsIn", Napi::BigInt::New(env, c->octets_in.get()));
  o.Set("packetsOut", Napi::BigInt::New(env, c->packets_out.get()));
  o.Set("octetsOut", Napi::BigInt::New(env, c->octets_out.get()));
  o.Set("drops", drops);
  o.Set("lastTraffic", static_cast<double>(c->last_traffic.get()));
  return o;
}

Napi::Object from_upcall(Napi::Env env, const dp::Upcall& u, const uint8_t* bytes) {
  static constexpr const char* kKinds[] = {"control", "frame", "punt", "violation"};
  Napi::Object o = Napi::Object::New(env);
  o.Set("kind", kKinds[static_cast<size_t>(u.kind)]);
  const bool control = u.kind == dp::UpcallKind::control;
  if (control || u.kind == dp::UpcallKind::violation) o.Set("path", from_path(env, u.path));
  if (control) {
    o.Set("confirmed", u.confirmed);
  } else {
    o.Set("tunnelId", u.ids.tunnel);
    o.Set("sessionId", u.ids.session);
  }
  if (u.kind != dp::UpcallKind::violation) {
    Napi::Uint8Array data = Napi::Uint8Array::New(env, u.length);
    if (u.length > 0) std::memcpy(data.Data(), bytes + u.at, u.length);
    o.Set("data", data);
  }
  return o;
}

void call_js(Napi::Env env, Napi::Function on_batch, Shared* shared, void*) {
  if (env == nullptr) return;
  shared->thread->take(shared->batch);
  const dp::UpcallBatch& batch = shared->batch;
  Napi::Array upcalls = Napi::Array::New(env, batch.items.size());
  for (uint32_t i = 0; i < batch.items.size(); i++) upcalls.Set(i, from_upcall(env, batch.items[i], batch.bytes.data()));
  Napi::Array flushed = Napi::Array::New(env, batch.flushed.size());
  for (uint32_t i = 0; i < batch.flushed.size(); i++) flushed.Set(i, batch.flushed[i]);
  on_batch.Call({upcalls, flushed});
}

// The packet thread has released the function: the last thing that happens.
void finalize(Napi::Env env, void*, Shared* shared) {
  if (shared->thread != nullptr) shared->thread->join();
  if (!shared->torn_down) {
    napi_remove_env_cleanup_hook(env, tear_down, shared);
    const Failure fatal = shared->thread->fatal();
    shared->on_end.Call({result(env, fatal)});
  }
  delete shared;
}

class Native : public Napi::ObjectWrap<Native> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Native",
                       {InstanceMethod<&Native::start>("start"), InstanceMethod<&Native::listen>("listen"),
                        InstanceMethod<&Native::unlisten>("unlisten"),
                        InstanceAccessor<&Native::listening>("listening"),
                        InstanceMethod<&Native::confirm_mark>("confirmMark"),
                        InstanceMethod<&Native::forget_mark>("forgetMark"),
                        InstanceMethod<&Native::violations>("violations"),
                        InstanceMethod<&Native::add_session>("addSession"),
                        InstanceMethod<&Native::update_session>("updateSession"),
                        InstanceMethod<&Native::move_path>("movePath"),
                        InstanceMethod<&Native::remove_session>("removeSession"),
                        InstanceMethod<&Native::session_counters>("sessionCounters"),
                        InstanceMethod<&Native::global_counters>("globalCounters"),
                        InstanceMethod<&Native::send_control>("sendControl"),
                        InstanceMethod<&Native::send_frame>("sendFrame"), InstanceMethod<&Native::flush>("flush"),
                        InstanceMethod<&Native::wake>("wake"),
                        InstanceMethod<&Native::stop>("stop")});
  }

  explicit Native(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Native>(info) {}

 private:
  using Info = Napi::CallbackInfo;

  // start({ tunFds, vnetHeader, receiveBuffer, maxSessions, gateway }, onBatch, onEnd). lib/index.ts calls nothing else
  // before it succeeded, and nothing after onEnd.
  Napi::Value start(const Info& info) {
    const Napi::Env env = info.Env();
    const auto o = info[0].As<Napi::Object>();
    const auto fds = o.Get("tunFds").As<Napi::Array>();
    PacketThread::Options options;
    for (uint32_t i = 0; i < fds.Length(); i++) options.tun_fds.push_back(fds.Get(i).As<Napi::Number>().Int32Value());
    options.vnet_header = o.Get("vnetHeader").As<Napi::Boolean>().Value();
    options.receive_buffer = o.Get("receiveBuffer").As<Napi::Number>().Int32Value();
    options.max_sessions = number(o.Get("maxSessions"));
    options.deferred_wakeups = true;
    const auto gateway = o.Get("gateway").As<Napi::Array>();
    for (uint32_t i = 0; i < gateway.Length(); i++) options.gateway.push_back(to_address(gateway.Get(i)));

    auto* shared = new Shared;
    Tsfn tsfn = Tsfn::New(env, info[1].As<Napi::Function>(), "l2tp-dataplane", 0, 1, shared, finalize,
                          static_cast<void*>(nullptr));
    options.notify = [tsfn] { tsfn.NonBlockingCall(); };
    options.ended = [tsfn]() mutable { tsfn.Release(); };
    shared->on_end = Napi::Persistent(info[2].As<Napi::Function>());
    shared->self = Napi::Persistent(info.This().As<Napi::Object>());
    if (const Failure f = PacketThread::start(std::move(options), shared->thread)) {
      shared->torn_down = true;
      tsfn.Release();
      return result(env, f);
    }
    napi_add_env_cleanup_hook(env, tear_down, shared);
    thread_ = shared->thread.get();
    return env.Undefined();
  }

  Napi::Value listen(const Info& info) {
    const auto list = info[0].As<Napi::Array>();
    std::vector<dp::ListenSpec> specs(list.Length());
    for (uint32_t i = 0; i < list.Length(); i++) {
      const auto o = list.Get(i).As<Napi::Object>();
      specs[i].address = to_address(o.Get("address"));
      specs[i].port = static_cast<uint16_t>(number(o.Get("port")));
      const Napi::Value raw = o.Get("raw");
      if (raw.IsUndefined()) continue;
      specs[i].policy.raw = true;
      specs[i].policy.peers = to_prefixes(raw.As<Napi::Object>().Get("peers"));
      specs[i].interface = raw.As<Napi::Object>().Get("interface").As<Napi::String>().Utf8Value();
    }
    return result(info.Env(), thread_->listen(specs));
  }

  void unlisten(const Info&) { thread_->unlisten(); }
  Napi::Value listening(const Info& info) { return Napi::Boolean::New(info.Env(), thread_->listening()); }
  void confirm_mark(const Info& info) { thread_->confirm_mark(number(info[0])); }
  void forget_mark(const Info& info) { thread_->forget_mark(number(info[0])); }
  Napi::Value violations(const Info& info) {
    return Napi::BigInt::New(info.Env(), thread_->violations(number(info[0])));
  }

  Napi::Value add_session(const Info& info) {
    const auto o = info[0].As<Napi::Object>();
    const dp::SessionSpec spec{to_ids(o.Get("tunnelId"), o.Get("sessionId")),
                               to_ids(o.Get("peerTunnelId"), o.Get("peerSessionId")), to_path(o.Get("path"))};
    return result(info.Env(), thread_->add_session(spec, to_update(info[1])));
  }

  Napi::Value update_session(const Info& info) {
    return result(info.Env(), thread_->update_session(to_ids(info[0], info[1]), to_update(info[2])));
  }

  void move_path(const Info& info) { thread_->move_path(static_cast<uint16_t>(number(info[0])), to_path(info[1])); }

  Napi::Value remove_session(const Info& info) {
    return from_counters(info.Env(), thread_->remove_session(to_ids(info[0], info[1])));
  }

  Napi::Value session_counters(const Info& info) {
    return from_counters(info.Env(), thread_->counters(to_ids(info[0], info[1])));
  }

  Napi::Value global_counters(const Info& info) {
    Napi::Object o = Napi::Object::New(info.Env());
    for (size_t i = 0; i < thread_->globals().drops.size(); i++) {
      const uint64_t n = thread_->globals().get(static_cast<dp::GlobalDrop>(i));
      if (n > 0) o.Set(dp::kGlobalDrops[i], Napi::BigInt::New(info.Env(), n));
    }
    return o;
  }

  void send_control(const Info& info) {
    const auto list = info[0].As<Napi::Array>();
    std::vector<dp::ControlDatagram> datagrams(list.Length());
    for (uint32_t i = 0; i < list.Length(); i++) {
      const auto o = list.Get(i).As<Napi::Object>();
      datagrams[i] = {to_path(o.Get("path")), to_bytes(o.Get("data"))};
    }
    thread_->send_control(std::move(datagrams));
  }

  void send_frame(const Info& info) { thread_->send_frame(to_ids(info[0], info[1]), to_bytes(info[2]), info[3].As<Napi::Boolean>().Value()); }
  void flush(const Info& info) { thread_->flush(number(info[0])); }
  void wake(const Info&) { thread_->wake(); }
  void stop(const Info&) { thread_->stop(); }

  PacketThread* thread_ = nullptr;
};

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("Native", Native::define(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(l2tp_dataplane, init)
