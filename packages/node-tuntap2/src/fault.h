// A failed system call as a value (nothing here throws), and a file descriptor that closes itself.
#pragma once

#include <unistd.h>

#include <string>
#include <utility>

namespace tuntap {

struct Fault {
  int error = 0;             // errno; 0 means success
  const char* syscall = "";  // the call, ioctl or netlink request that failed
  std::string detail = {};   // the kernel's own words (netlink extended acknowledgement), when it has any

  explicit operator bool() const { return error != 0; }
};

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      Reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }

  // Linux releases the descriptor even when close() reports EINTR: never retry.
  void Reset() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

}  // namespace tuntap
