# A Debian that booted with its own systemd: the guest's first process and its network are the gateway `gw`; the clients are
# namespaces beside it, run from this machine's user land.
# shellcheck shell=bash
# sys COMMAND...: inside the booted system.
sys() { nsenter --target 1 --mount --root --wd -- "$@"; }
booted_logs() {
  timeout 20 nsenter --target 1 --mount --root --wd -- journalctl --no-pager -b > "$RUN/gw/journal.txt" 2>&1
  timeout 20 nsenter --target 1 --mount --root --wd -- systemctl --no-pager status lockstep lockstep-ike strongswan > "$RUN/gw/units.txt" 2>&1
}
CONTROL=/proc/1/root/run/lockstep/control.sock
# As in gateway-lockstep.sh.
lockstep() {
  case "$*" in 'status --json' | 'sessions --json' | 'pool --json') control_get "/$1" && return ;; esac
  sys lockstep "$@"
}
running() { [[ $(sys systemctl is-system-running) == @(running|degraded) ]]; }
wait_for 120 running || fail "systemd does not come up: $(sys systemctl is-system-running 2>&1)"
mkdir -p "$RUN/gw"
ip netns attach gw 1
sys chmod 666 /dev/net/tun # as udev does, which a minimal system lacks
for package in old new; do cp "$LAB_OUT/$package.deb" "/proc/1/root/root/$package.deb"; done
