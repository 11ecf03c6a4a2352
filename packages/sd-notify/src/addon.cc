// send(path, text): one datagram to a unix socket; returns 0 or the errno. unix(7), sd_notify(3).
// exit(code): the end of the process, now. _exit(2).
#include <errno.h>
#include <node_api.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>

namespace {

// A manager that does not read must not hold the event loop up for longer.
constexpr timeval kLongestWait{2, 0};

int send_datagram(const std::string& path, const std::string& text) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof to.sun_path) return ENAMETOOLONG;
  std::memcpy(to.sun_path, path.data(), path.size());
  if (path[0] == '@') to.sun_path[0] = '\0';
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &kLongestWait, sizeof kLongestWait);
  const socklen_t length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  const ssize_t sent =
      sendto(fd, text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&to), length);
  const int error = sent < 0 ? errno : 0;
  close(fd);
  return error;
}

bool text_of(napi_env env, napi_value value, std::string& out) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) return false;
  out.resize(length);
  // The call writes a terminating zero, for which std::string has room.
  return napi_get_value_string_utf8(env, value, out.data(), length + 1, &length) == napi_ok;
}

napi_value send(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  size_t count = 2;
  std::string path, text;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count < 2 ||
      !text_of(env, arguments[0], path) || !text_of(env, arguments[1], text)) {
    napi_throw_type_error(env, nullptr, "sd-notify: send(path, text) takes two strings");
    return nullptr;
  }
  napi_value result = nullptr;
  napi_create_int32(env, send_datagram(path, text), &result);
  return result;
}

napi_value exit_now(napi_env env, napi_callback_info info) {
  napi_value code;
  size_t count = 1;
  int32_t status = 0;
  if (napi_get_cb_info(env, info, &count, &code, nullptr, nullptr) != napi_ok || count < 1 ||
      napi_get_value_int32(env, code, &status) != napi_ok) {
    napi_throw_type_error(env, nullptr, "sd-notify: exit(code) takes a number");
    return nullptr;
  }
  _exit(status);
}

napi_value init(napi_env env, napi_value exports) {
  napi_value function;
  if (napi_create_function(env, "exit", NAPI_AUTO_LENGTH, exit_now, nullptr, &function) == napi_ok)
    napi_set_named_property(env, exports, "exit", function);
  if (napi_create_function(env, "send", NAPI_AUTO_LENGTH, send, nullptr, &function) == napi_ok)
    napi_set_named_property(env, exports, "send", function);
  return exports;
}

}  // namespace

NAPI_MODULE(NODE_GYP_MODULE_NAME, init)
