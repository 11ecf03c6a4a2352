// N-API glue only: checks argument shapes, turns faults into exceptions and libuv readiness into calls. One Device object
// owns the queues, the netlink socket and the polls, and gives them back when closed, collected or torn down.
#include <napi.h>

#include <algorithm>
#include <vector>

#include "netlink_linux.h"
#include "tun_linux.h"
#include "watch.h"

namespace tuntap {

namespace {

void Throw(Napi::Env env, const Fault& fault) {
  Napi::Error error = Napi::Error::New(env, fault.detail.empty() ? fault.syscall : fault.detail);
  error.Set("errno", Napi::Number::New(env, fault.error));
  error.Set("syscall", Napi::String::New(env, fault.syscall));
  error.Set("detail", Napi::String::New(env, fault.detail));
  error.ThrowAsJavaScriptException();
}

void ThrowShape(Napi::Env env, const char* what) { Napi::TypeError::New(env, what).ThrowAsJavaScriptException(); }

bool IsBytes(const Napi::Value& value) {
  return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
}

bool ToIp(const Napi::Value& value, IpAddress* ip) {
  if (!IsBytes(value)) return false;
  const auto bytes = value.As<Napi::Uint8Array>();
  if (bytes.ByteLength() != 4 && bytes.ByteLength() != 16) return false;
  ip->size = static_cast<uint8_t>(bytes.ByteLength());
  std::copy_n(bytes.Data(), ip->size, ip->bytes.begin());
  return true;
}

Napi::Value FromIp(Napi::Env env, const IpAddress& ip) {
  auto bytes = Napi::Uint8Array::New(env, ip.size);
  std::copy_n(ip.bytes.begin(), ip.size, bytes.Data());
  return bytes;
}

bool ToNumber(const Napi::Value& value, double max, uint32_t* number) {
  if (!value.IsNumber()) return false;
  const double given = value.As<Napi::Number>().DoubleValue();
  if (!(given >= 0 && given <= max)) return false;
  *number = static_cast<uint32_t>(given);
  return true;
}

bool ToPrefix(const Napi::Value& value, const IpAddress& ip, uint8_t* prefix) {
  uint32_t number = 0;
  if (!ToNumber(value, ip.size * 8, &number)) return false;
  *prefix = static_cast<uint8_t>(number);
  return true;
}

bool ToOptionalIp(const Napi::Value& value, const IpAddress& like, std::optional<IpAddress>* ip) {
  if (value.IsUndefined()) return true;
  IpAddress given;
  if (!ToIp(value, &given) || given.size != like.size) return false;
  *ip = given;
  return true;
}

}  // namespace

class Device : public Napi::ObjectWrap<Device> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Device",
                       {
                           InstanceAccessor<&Device::Name>("name"),
                           InstanceAccessor<&Device::Index>("index"),
                           InstanceAccessor<&Device::Offloads>("offloads"),
                           InstanceMethod<&Device::Descriptor>("fd"),
                           InstanceMethod<&Device::Read>("read"),
                           InstanceMethod<&Device::Write>("write"),
                           InstanceMethod<&Device::SetWatch>("watch"),
                           InstanceMethod<&Device::GetLink>("link"),
                           InstanceMethod<&Device::SetMtu>("setMtu"),
                           InstanceMethod<&Device::SetUp>("setUp"),
                           InstanceMethod<&Device::AddAddress>("addAddress"),
                           InstanceMethod<&Device::RemoveAddress>("removeAddress"),
                           InstanceMethod<&Device::Addresses>("addresses"),
                           InstanceMethod<&Device::AddRoute>("addRoute"),
                           InstanceMethod<&Device::RemoveRoute>("removeRoute"),
                           InstanceMethod<&Device::Routes>("routes"),
                           InstanceMethod<&Device::Close>("close"),
                       });
  }

  // new Device(tap, name, queues, vnetHeader, offloads, persist | undefined)
  explicit Device(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Device>(info) {
    TunOptions options;
    uint32_t queues = 0;
    uint32_t offloads = 0;
    if (!info[0].IsBoolean() || !info[1].IsString() || !ToNumber(info[2], 256, &queues) || queues == 0 || !info[3].IsBoolean() ||
        !ToNumber(info[4], 0xff, &offloads) || !(info[5].IsUndefined() || info[5].IsBoolean())) {
      ThrowShape(info.Env(), "Device(tap, name, queues, vnetHeader, offloads, persist)");
      return;
    }
    options.tap = info[0].As<Napi::Boolean>();
    options.name = info[1].As<Napi::String>().Utf8Value();
    options.queues = queues;
    options.vnet_header = info[3].As<Napi::Boolean>();
    options.offloads = offloads;
    if (info[5].IsBoolean()) options.persist = info[5].As<Napi::Boolean>().Value();

    Link link;
    Fault fault = netlink_.Open();
    if (!fault) fault = tun_.Open(options, netlink_);
    if (!fault) fault = netlink_.LinkByName(tun_.name(), &link);
    if (fault) {
      Release();
      Throw(info.Env(), fault);
      return;
    }
    index_ = link.index;
    watches_.resize(tun_.queues());
    packet_.resize(Tun::kMaxPacket);
  }

  ~Device() override { Release(); }

 private:
  Napi::Value Name(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), tun_.name()); }
  Napi::Value Index(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), index_); }
  Napi::Value Offloads(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), tun_.offloads()); }

  bool Queue(const Napi::Value& value, uint32_t* queue) { return ToNumber(value, static_cast<double>(tun_.queues()) - 1, queue); }

  Napi::Value Descriptor(const Napi::CallbackInfo& info) {
    uint32_t queue = 0;
    return Napi::Number::New(info.Env(), Queue(info[0], &queue) ? tun_.fd(queue) : -1);
  }

  // read(queue, max): packets. A failure after the first packet is left for the next call to find.
  Napi::Value Read(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    uint32_t queue = 0;
    uint32_t max = 0;
    if (!Queue(info[0], &queue) || !ToNumber(info[1], 65536, &max)) return ThrowShape(env, "read(queue, max)"), env.Undefined();
    auto packets = Napi::Array::New(env);
    for (uint32_t i = 0; i < max; i++) {
      size_t got = 0;
      const Fault fault = tun_.Read(queue, packet_.data(), packet_.size(), &got);
      if (fault && i == 0) return Throw(env, fault), env.Undefined();
      if (fault || got == 0) break;
      auto packet = Napi::Uint8Array::New(env, got);
      if (env.IsExceptionPending()) return env.Undefined();
      std::copy_n(packet_.data(), got, packet.Data());
      packets.Set(i, packet);
    }
    return packets;
  }

  // write(queue, packets): how many were taken. Throws only for the first packet, so that the caller knows which one.
  Napi::Value Write(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    uint32_t queue = 0;
    if (!Queue(info[0], &queue) || !info[1].IsArray()) return ThrowShape(env, "write(queue, packets)"), env.Undefined();
    if (tun_.fd(queue) < 0) return Throw(env, {EBADF, "write"}), env.Undefined();
    const auto packets = info[1].As<Napi::Array>();
    const uint32_t count = packets.Length();
    uint32_t written = 0;
    for (; written < count; written++) {
      const Napi::Value packet = packets.Get(written);  // may run a getter, even one that closes this device: no fd is kept
      if (env.IsExceptionPending()) return env.Undefined();
      bool taken = false;
      Fault fault{EINVAL, "write"};
      if (IsBytes(packet)) {
        const auto bytes = packet.As<Napi::Uint8Array>();
        fault = tun_.Write(queue, bytes.Data(), bytes.ByteLength(), &taken);
      }
      if (fault && written == 0) return Throw(env, fault), env.Undefined();
      if (fault || !taken) break;
    }
    return Napi::Number::New(env, written);
  }

  // watch(queue, events, callback): events 1 readable, 2 writable, 0 stop.
  Napi::Value SetWatch(const Napi::CallbackInfo& info) {
    static_assert(UV_READABLE == 1 && UV_WRITABLE == 2);
    const Napi::Env env = info.Env();
    uint32_t queue = 0;
    uint32_t events = 0;
    if (!Queue(info[0], &queue) || !ToNumber(info[1], 3, &events) || (events != 0 && !info[2].IsFunction())) {
      return ThrowShape(env, "watch(queue, events, callback)"), env.Undefined();
    }
    if (tun_.fd(queue) < 0) return Throw(env, {EBADF, "watch"}), env.Undefined();
    Watch*& watch = watches_[queue];
    if (watch == nullptr && events == 0) return env.Undefined();
    if (watch == nullptr) Watch::Start(env, tun_.fd(queue), &watch);
    const bool armed = watch != nullptr && watch->Arm(static_cast<int>(events), events != 0 ? info[2].As<Napi::Function>() : Napi::Function());
    if (!armed) Throw(env, {EBADF, "uv_poll"});
    return env.Undefined();
  }

  Napi::Value GetLink(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Link link;
    if (const Fault fault = netlink_.LinkByIndex(index_, &link)) return Throw(env, fault), env.Undefined();
    auto result = Napi::Object::New(env);
    result.Set("mtu", Napi::Number::New(env, link.mtu));
    result.Set("up", Napi::Boolean::New(env, link.up));
    return result;
  }

  Napi::Value SetMtu(const Napi::CallbackInfo& info) {
    uint32_t mtu = 0;
    if (!ToNumber(info[0], 0x7fffffff, &mtu)) return ThrowShape(info.Env(), "setMtu(mtu)"), info.Env().Undefined();
    return Done(info, netlink_.SetMtu(index_, mtu));
  }

  Napi::Value SetUp(const Napi::CallbackInfo& info) {
    if (!info[0].IsBoolean()) return ThrowShape(info.Env(), "setUp(up)"), info.Env().Undefined();
    return Done(info, netlink_.SetUp(index_, info[0].As<Napi::Boolean>()));
  }

  static bool ToAddress(const Napi::CallbackInfo& info, AddressEntry* address) {
    if (ToIp(info[0], &address->local) && ToPrefix(info[1], address->local, &address->prefix) && ToIp(info[2], &address->peer) &&
        address->peer.size == address->local.size) {
      return true;
    }
    ThrowShape(info.Env(), "address(local, prefix, peer)");
    return false;
  }

  Napi::Value AddAddress(const Napi::CallbackInfo& info) {
    AddressEntry address;
    // A TUN device has no neighbours that could own the address; without this it would stay tentative for a moment, and a
    // route with it as source would be refused.
    return ToAddress(info, &address) ? Done(info, netlink_.AddAddress(index_, address, !tun_.tap())) : info.Env().Undefined();
  }

  Napi::Value RemoveAddress(const Napi::CallbackInfo& info) {
    AddressEntry address;
    return ToAddress(info, &address) ? Done(info, netlink_.RemoveAddress(index_, address)) : info.Env().Undefined();
  }

  Napi::Value Addresses(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    std::vector<AddressEntry> found;
    if (const Fault fault = netlink_.Addresses(index_, &found)) return Throw(env, fault), env.Undefined();
    auto list = Napi::Array::New(env, found.size());
    for (uint32_t i = 0; i < found.size(); i++) {
      auto entry = Napi::Object::New(env);
      entry.Set("local", FromIp(env, found[i].local));
      entry.Set("prefix", Napi::Number::New(env, found[i].prefix));
      entry.Set("peer", FromIp(env, found[i].peer));
      list.Set(i, entry);
    }
    return list;
  }

  // { destination, prefix, via?, source?, metric, table }
  static bool ToRoute(const Napi::CallbackInfo& info, RouteEntry* route) {
    if (info[0].IsObject()) {
      const auto given = info[0].As<Napi::Object>();
      if (ToIp(given.Get("destination"), &route->destination) && ToPrefix(given.Get("prefix"), route->destination, &route->prefix) &&
          ToOptionalIp(given.Get("via"), route->destination, &route->via) &&
          ToOptionalIp(given.Get("source"), route->destination, &route->source) &&
          ToNumber(given.Get("metric"), 0xffffffff, &route->metric) && ToNumber(given.Get("table"), 0xffffffff, &route->table)) {
        return true;
      }
    }
    if (!info.Env().IsExceptionPending()) ThrowShape(info.Env(), "route({ destination, prefix, via, source, metric, table })");
    return false;
  }

  Napi::Value AddRoute(const Napi::CallbackInfo& info) {
    RouteEntry route;
    return ToRoute(info, &route) ? Done(info, netlink_.AddRoute(index_, route)) : info.Env().Undefined();
  }

  Napi::Value RemoveRoute(const Napi::CallbackInfo& info) {
    RouteEntry route;
    return ToRoute(info, &route) ? Done(info, netlink_.RemoveRoute(index_, route)) : info.Env().Undefined();
  }

  Napi::Value Routes(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    std::vector<RouteEntry> found;
    if (const Fault fault = netlink_.Routes(index_, &found)) return Throw(env, fault), env.Undefined();
    auto list = Napi::Array::New(env, found.size());
    for (uint32_t i = 0; i < found.size(); i++) {
      const RouteEntry& route = found[i];
      auto entry = Napi::Object::New(env);
      entry.Set("destination", FromIp(env, route.destination));
      entry.Set("prefix", Napi::Number::New(env, route.prefix));
      entry.Set("via", route.via ? FromIp(env, *route.via) : env.Undefined());
      entry.Set("source", route.source ? FromIp(env, *route.source) : env.Undefined());
      entry.Set("metric", Napi::Number::New(env, route.metric));
      entry.Set("table", Napi::Number::New(env, route.table));
      list.Set(i, entry);
    }
    return list;
  }

  Napi::Value Close(const Napi::CallbackInfo& info) {
    Release();
    return info.Env().Undefined();
  }

  static Napi::Value Done(const Napi::CallbackInfo& info, const Fault& fault) {
    if (fault) Throw(info.Env(), fault);
    return info.Env().Undefined();
  }

  // Polls first: a descriptor must be out of epoll before its number can be reused.
  void Release() {
    for (Watch*& watch : watches_) {
      if (watch != nullptr) watch->Close();
    }
    tun_.Close();
    netlink_.Close();
  }

  Netlink netlink_;
  Tun tun_;
  int index_ = 0;
  std::vector<Watch*> watches_;
  std::vector<uint8_t> packet_;
};

}  // namespace tuntap

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("Device", tuntap::Device::Define(env));
  return exports;
}

NODE_API_MODULE(tuntap2, Init)
