#!/bin/bash
# Inside a guest of the lab: what a session costs xl2tpd's way, which is a pppd each. COUNT of them, connected to as many others.
# Prints the proportional set size (proc(5), smaps_rollup) of one, in KB: pages that all of them share count once.
set -eu
count=${1:-20}
modprobe ppp_async 2>/dev/null || true
[ -c /dev/ppp ] || mknod /dev/ppp c 108 0
for i in $(seq "$count"); do
  pppd nodetach noauth nodefaultroute local ipcp-accept-remote 10.9.$i.1:10.9.$i.2 ipparam lns \
    pty "pppd nodetach noauth nodefaultroute local notty" > /dev/null 2>&1 &
done
for _ in $(seq 60); do
  [ "$(ip -br link | grep -c '^ppp')" -ge $((2 * count)) ] && break
  sleep 1
done
kb=0
n=0
for pid in $(pgrep -f 'ipparam lns'); do
  [ "$(cat "/proc/$pid/comm")" = pppd ] || continue
  kb=$((kb + $(awk '/^Pss:/ {print $2}' "/proc/$pid/smaps_rollup")))
  n=$((n + 1))
done
echo "pppd $n $((kb / n))"
