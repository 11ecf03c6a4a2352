// Packets for the benches that Node is too slow to make. Built by bench/targets.ts.
//
//   packets flood SECONDS [PER-SECOND] < flows   each line "source destination hex", hex a whole UDP datagram with its header;
//                                                they are sent in turns, 64 with one call; prints how many the kernel took
//   packets trains SECONDS < flows               as flood, but up to 64 that follow one another, of the same ends and size, leave as
//                                                one message with UDP_SEGMENT, as from a LAC; the ports may be in use (SO_REUSEPORT)
//   packets echo PORT                            sends every datagram back
//   packets ping SOURCE DESTINATION PORT COUNT MICROSECONDS    prints the round trip of each in microseconds, -1 when lost
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 64, MOST = 65536, LONGEST = 1600 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int die(const char* what) {
  perror(what);
  return 1;
}

static struct sockaddr_in name(const char* address, const char* port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  inet_pton(AF_INET, address, &a.sin_addr);
  return a;
}

/* The source of a packet is told by a control message. */
union source {
  char space[CMSG_SPACE(sizeof(struct in_pktinfo))];
  struct cmsghdr head;
};

struct flow {
  struct sockaddr_in to;
  union source from;
  struct iovec data;
};

static size_t read_flows(struct flow* flows) {
  static char line[2 * LONGEST + 64];
  size_t n = 0;
  while (n < MOST && fgets(line, sizeof line, stdin) != NULL) {
    char source[32], address[32];
    int at = 0;
    if (sscanf(line, "%31s %31s %n", source, address, &at) != 2) continue;
    flows[n].to = name(address, "0");
    flows[n].from.head = (struct cmsghdr){CMSG_LEN(sizeof(struct in_pktinfo)), IPPROTO_IP, IP_PKTINFO};
    const struct in_pktinfo info = {.ipi_spec_dst = name(source, "0").sin_addr};
    memcpy(CMSG_DATA(&flows[n].from.head), &info, sizeof info);
    uint8_t* data = malloc(LONGEST);
    size_t length = 0;
    for (unsigned octet; length < LONGEST && sscanf(line + at + 2 * length, "%2x", &octet) == 1; length++) data[length] = (uint8_t)octet;
    flows[n].data = (struct iovec){data, length};
    n++;
  }
  return n;
}

static int flood(double seconds, double rate) {
  static struct flow flows[MOST];
  const size_t count = read_flows(flows);
  const int fd = socket(AF_INET, SOCK_RAW, IPPROTO_UDP), size = 4 << 20;
  if (fd < 0 || count == 0) return die("socket");
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
  struct mmsghdr batch[BATCH];
  memset(batch, 0, sizeof batch);
  unsigned long sent = 0;
  size_t next = 0;
  const double began = now(), end = began + seconds;
  for (double t = began; t < end; t = now()) {
    if (rate > 0 && (double)sent > (t - began) * rate) {
      const struct timespec rest = {0, 200000};
      nanosleep(&rest, NULL);
      continue;
    }
    for (int i = 0; i < BATCH; i++) {
      struct flow* f = &flows[next];
      next = next + 1 == count ? 0 : next + 1;
      batch[i].msg_hdr = (struct msghdr){.msg_name = &f->to, .msg_namelen = sizeof f->to, .msg_iov = &f->data, .msg_iovlen = 1,
                                         .msg_control = &f->from, .msg_controllen = sizeof f->from};
    }
    const int n = sendmmsg(fd, batch, BATCH, 0);
    if (n > 0) sent += (unsigned long)n;
  }
  printf("%lu\n", sent);
  return 0;
}

/* Sockets of the sources that were asked for before, and a new one for a new source; -1 when it cannot be had. */
static int bound(const struct sockaddr_in* source) {
  static struct {
    struct sockaddr_in name;
    int fd;
  } sockets[256];
  static size_t count;
  for (size_t i = 0; i < count; i++)
    if (memcmp(&sockets[i].name, source, sizeof *source) == 0) return sockets[i].fd;
  const int fd = socket(AF_INET, SOCK_DGRAM, 0), one = 1, size = 4 << 20;
  if (fd < 0 || count == sizeof sockets / sizeof *sockets) return -1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
  if (bind(fd, (const struct sockaddr*)source, sizeof *source) != 0) return -1;
  sockets[count].name = *source;
  return sockets[count++].fd = fd;
}

struct train {
  int fd;
  size_t first, count; /* of the parts */
  uint16_t size;
};

static int trains(double seconds) {
  static struct flow flows[MOST];
  static struct iovec parts[MOST];
  static struct train all[MOST];
  const size_t count = read_flows(flows);
  size_t made = 0;
  for (size_t i = 0; i < count; i++) {
    struct flow* f = &flows[i];
    const uint8_t* head = f->data.iov_base;
    struct in_pktinfo info;
    memcpy(&info, CMSG_DATA(&f->from.head), sizeof info);
    struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr = info.ipi_spec_dst};
    memcpy(&source.sin_port, head, 2);
    memcpy(&f->to.sin_port, head + 2, 2);
    const int fd = bound(&source);
    if (fd < 0) return die("bind");
    parts[i] = (struct iovec){(uint8_t*)f->data.iov_base + 8, f->data.iov_len - 8};
    struct train* t = made > 0 ? &all[made - 1] : NULL;
    if (t != NULL && t->fd == fd && t->count < BATCH && t->size == parts[i].iov_len &&
        memcmp(&flows[t->first].to, &f->to, sizeof f->to) == 0) {
      t->count++;
    } else {
      all[made++] = (struct train){fd, i, 1, (uint16_t)parts[i].iov_len};
    }
  }
  if (made == 0) return die("flows");
  unsigned long sent = 0;
  size_t next = 0;
  for (const double end = now() + seconds; now() < end; next = next + 1 == made ? 0 : next + 1) {
    struct train* t = &all[next];
    union {
      char space[CMSG_SPACE(sizeof t->size)];
      struct cmsghdr head;
    } segment = {.head = {CMSG_LEN(sizeof t->size), IPPROTO_UDP, UDP_SEGMENT}};
    memcpy(CMSG_DATA(&segment.head), &t->size, sizeof t->size);
    const struct msghdr m = {.msg_name = &flows[t->first].to, .msg_namelen = sizeof flows->to, .msg_iov = &parts[t->first],
                             .msg_iovlen = t->count, .msg_control = &segment, .msg_controllen = sizeof segment};
    if (sendmsg(t->fd, &m, 0) > 0) sent += t->count;
  }
  printf("%lu\n", sent);
  return 0;
}

static int echo(const char* port) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  const struct sockaddr_in own = name("0.0.0.0", port);
  if (bind(fd, (const struct sockaddr*)&own, sizeof own) != 0) return die("bind");
  for (;;) {
    char data[LONGEST];
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    const ssize_t n = recvfrom(fd, data, sizeof data, 0, (struct sockaddr*)&from, &length);
    if (n > 0) sendto(fd, data, (size_t)n, 0, (struct sockaddr*)&from, length);
  }
}

static int ping(const char* source, const char* destination, const char* port, int count, long every) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  const struct sockaddr_in own = name(source, "0"), to = name(destination, port);
  if (bind(fd, (const struct sockaddr*)&own, sizeof own) != 0) return die("bind");
  for (int i = 0; i < count; i++) {
    char data[64] = {0};
    memcpy(data, &i, sizeof i);
    const double sent = now();
    sendto(fd, data, sizeof data, 0, (const struct sockaddr*)&to, sizeof to);
    double rtt = -1;
    for (struct pollfd p = {fd, POLLIN, 0}; rtt < 0 && poll(&p, 1, 500) > 0;) {
      int which = -1;
      if (recv(fd, data, sizeof data, 0) == sizeof data) memcpy(&which, data, sizeof which);
      if (which == i) rtt = (now() - sent) * 1e6;
    }
    printf("%.0f\n", rtt);
    const struct timespec rest = {0, every * 1000};
    nanosleep(&rest, NULL);
  }
  return 0;
}

int main(int argc, char** argv) {
  if (argc >= 3 && strcmp(argv[1], "flood") == 0) return flood(atof(argv[2]), argc > 3 ? atof(argv[3]) : 0);
  if (argc == 3 && strcmp(argv[1], "trains") == 0) return trains(atof(argv[2]));
  if (argc == 3 && strcmp(argv[1], "echo") == 0) return echo(argv[2]);
  if (argc == 7 && strcmp(argv[1], "ping") == 0) return ping(argv[2], argv[3], argv[4], atoi(argv[5]), atol(argv[6]));
  return 2;
}
