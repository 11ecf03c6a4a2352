#!/bin/bash
# cell.sh SCENARIO: runs one scenario in a cell of its own: private mounts, process ids and network. When the cell's first
# process ends, the kernel ends everything in it, so a scenario cannot leave a process, namespace, device or file behind.
# The same on a capable host and in the user-mode guest. LAB_OUT is the directory that is kept.
set -u
LAB_DIR=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)

if [ "${LAB_CELL:-}" != inside ]; then
  # What the kernel would load on demand is loaded here: inside, a network namespace may not ask for it.
  modprobe -qa xfrm_user esp4 esp6 authenc cbc hmac gcm ctr ghash-generic echainiv seqiv des_generic veth bridge tun \
    iptable_nat iptable_filter iptable_mangle xt_u32 xt_length xt_multiport xt_comment xt_NFLOG nfnetlink_log ip6table_nat ip6table_filter xt_MASQUERADE xt_policy xt_TCPMSS xt_conntrack xt_mark xt_connmark \
    ppp_generic ppp_mppe ppp_async ppp_synctty pppox l2tp_ppp 2>/dev/null
  export LAB_CELL=inside
  # A booted system is a cell already, and its first process is to be seen.
  [ -z "${LAB_BOOTED:-}" ] || exec bash "$0" "$@"
  exec unshare --mount --pid --net --fork --kill-child=KILL --mount-proc bash "$0" "$@"
fi

mount -t tmpfs -o mode=755 run /run
mkdir -p /run/lock /run/netns /run/lab
mount -t tmpfs -o mode=755 ppp /etc/ppp   # pppd reads only what the scenario wrote
: > /etc/ppp/options
ip link set lo up
# A mutant's files in place of the built ones, in this cell only (../mutants).
[ -z "${LAB_MUTANT:-}" ] || (cd "$LAB_MUTANT" && find . -type f -exec mount --bind {} "${LAB_DIR%/test/lab}/{}" \;)
exec bash "$LAB_DIR/lib/scenario.sh" "$1"
