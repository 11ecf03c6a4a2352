// rig N COMMAND...: runs COMMAND with N SOCK_SEQPACKET pairs that stand in for TUN devices: descriptors 10, 12, ... are the
// data plane's ends, 11, 13, ... the test's. With --tun NAME before N, descriptor 9 is that (new) TUN device, vnet header on.
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

static int fail(const char* what) {
  perror(what);
  return 125;
}

int main(int argc, char** argv) {
  int at = 1;
  if (argc > 2 && strcmp(argv[at], "--tun") == 0) {
    const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (fd < 0) return fail("/dev/net/tun");
    ifreq ifr{};
    ifr.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
    strncpy(ifr.ifr_name, argv[at + 1], IFNAMSIZ - 1);
    if (ioctl(fd, TUNSETIFF, &ifr) < 0) return fail("TUNSETIFF");
    if (dup2(fd, 9) < 0) return fail("dup2");
    if (fd != 9) close(fd);
    at += 2;
  }
  if (argc < at + 2) return 2;
  const int pairs = atoi(argv[at++]);
  for (int i = 0; i < pairs; i++) {
    int sv[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv) < 0) return fail("socketpair");
    const int size = 4 << 20;
    for (int j = 0; j < 2; j++) {
      setsockopt(sv[j], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
      if (dup2(sv[j], 10 + 2 * i + j) < 0) return fail("dup2");
    }
    for (int j = 0; j < 2; j++) {
      if (sv[j] < 10) close(sv[j]);
    }
  }
  execvp(argv[at], argv + at);
  return fail(argv[at]);
}
