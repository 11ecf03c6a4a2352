# The life of the package on a booted Debian (booted.sh): install, connect, upgrade, status page, reload, crash, remove, purge.
# shellcheck shell=bash
apt() {
  local status=0
  sys env DEBIAN_FRONTEND=noninteractive apt-get -y -o Dpkg::Options::=--force-unsafe-io "$@" > "$RUN/gw/apt.log" 2>&1 || status=$?
  show "$(grep -E '^(lockstep:|Setting up lockstep|Removing lockstep|Purging|E:|W:|dpkg:)' "$RUN/gw/apt.log")"
  return "$status"
}
property() { sys systemctl show --value -p "$2" "$1"; }
active() { [ "$(property "$1" ActiveState)/$(property "$1" SubState)" = active/running ]; }
main_pid() { property "$1" MainPID; }
capabilities() { capsh --decode="$(sed -n "s/^$2:\t//p" "/proc/$1/status")" | cut -d= -f2; }
said() { sys journalctl --no-pager -b -o cat -u lockstep | grep -qE "$1"; }
version() { lockstep status --json | jq -r .version; }
# The newest ping that was sent is answered.
pings_answered() { on c1 busybox ping -q -c 1 -W 1 "$CORP" && tail -1 "$RUN/c1/ping.log" | grep -qE 'time=[0-9]{1,2}[.]'; }
connect() {
  client_ipsec c1
  client_l2tp c1
  ip -n c1 route replace 10.20.0.0/24 dev ppp0
  eventually 30 'c1 reaches corp through the gateway' reaches c1 "$CORP"
}
services_run() {
  eventually 120 'lockstep.service is active' active lockstep
  check 'lockstep-ike.service is active' active lockstep-ike
  same 'the gateway says' "$(lockstep status --json | jq -r .state)" listening
}

step install "apt install ./old.deb on Debian $(sys cat /etc/debian_version), systemd $(sys systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p')"
same 'forwarding, before' "$(cat /proc/sys/net/ipv4/ip_forward)" 0
sys install -D -m 644 /dev/stdin /etc/systemd/system/lockstep.service.d/iptables-legacy.conf < "$REPO/systemd/iptables-legacy.conf"
# Without DPD the only IKE message the gateway begins is a Delete (order.sh).
printf '[Service]\nEnvironment=LOCKSTEP_IKE_DPD_DELAY=1h\n' | sys install -D -m 644 /dev/stdin /etc/systemd/system/lockstep.service.d/no-dpd.conf
check 'apt installs it with what it depends on' apt install --no-install-recommends /root/old.deb iptables
services_run
show "$(sys lockstep status)"
note "node $(sys node --version), charon $(sys dpkg-query -W -f '${Version}' charon-systemd)"
same 'strongswan.service, which had no connections' "$(property strongswan ActiveState) $(property strongswan UnitFileState)" 'inactive disabled'
check 'apt.log has no key' not grep -qF "$(sys cat /etc/lockstep/psk)" "$RUN/gw/apt.log"
same 'files with secrets' "$(sys stat -c '%U %a' /etc/lockstep/psk /etc/lockstep/users.yaml | sort -u)" 'lockstep 600'

step locked 'what the services may do'
same 'lockstepd runs as' "$(ps -o uid= -p "$(main_pid lockstep)" | tr -d ' '):$(sys ps -o user= -p "$(main_pid lockstep)" | tr -d ' ')" "$(sys id -u lockstep):lockstep"
same 'its capabilities (net_raw for iptables-legacy)' "$(capabilities "$(main_pid lockstep)" CapEff)" cap_net_admin,cap_net_raw
show "charon: $(capabilities "$(main_pid lockstep-ike)" CapEff)"
same "charon's AppArmor profile" "$(cat "/proc/$(main_pid lockstep-ike)/attr/current")" 'lockstep-ike (enforce)'
exposure() { sys systemd-analyze security --no-pager "$@" | sed -n 's/.*Overall exposure level for .*: \([0-9.]*\) .*/\1/p'; }
for unit in lockstep-ike lockstep; do
  exposed=$(exposure --offline=true "/lib/systemd/system/$unit.service")
  note "systemd-analyze security $unit.service: $exposed"
done
check 'lockstep.service is at 2.0 or better' awk -v e="$exposed" 'BEGIN { exit !(e > 0 && e <= 2.0) }'

step connect 'c1, behind a NAT, with the key and the user that were made'
client_prepare c1
sed -i "s/lab-only-pre-shared-key/$(sys cat /etc/lockstep/psk)/" "$RUN/c1/secret.psk"
printf 'name user\npassword %s\n' "$(sys sed -n 's/^  user: {password: "\(.*\)"}/\1/p' /etc/lockstep/users.yaml)" > "$RUN/c1/secret.account"
check 'c1: key loaded' swan c1 --load-creds --clear --noprompt --file "$RUN/c1/swanctl.conf"
connect
gateway_sessions 'length == 1 and .[0].user == "user"' 'lockstep sessions shows the user'

step upgrade 'apt install ./new.deb, with a client connected'
# What needs a restart gets it by the upgrade.
printf 'status_page: {listen: "127.0.0.1:9180"}\nmetrics: {listen: "127.0.0.1:9101"}\n' | sys tee -a /etc/lockstep/lockstep.yaml > /dev/null
key=$(sys sha256sum /etc/lockstep/psk /etc/lockstep/users.yaml /etc/lockstep/lockstep.yaml)
was=$(version)
story_watch
story_cut
check 'apt upgrades it' apt install --no-install-recommends /root/new.deb
# Some clients do not take the end of the IKE SA alone for an end: charon must not be stopped before the gateway has told them.
in_order 'gw:TermReq client:TermAck gw:CDN gw:StopCCN client:ack gw:IKE-Delete'
story_end
services_run
same 'the version that runs' "$(version)" "$was+1"
same 'key, users and configuration' "$(sys sha256sum /etc/lockstep/psk /etc/lockstep/users.yaml /etc/lockstep/lockstep.yaml)" "$key"
eventually 60 'c1: its old session is gone' ppp_gone c1
eventually 60 'c1: no SA is left' no_sa c1
# Of its two processes the one in the pid file is xl2tpd itself, which still repeats the StopCCN of before.
kill "$(cat "$RUN/c1/xl2tpd.job")" "$(cat "$RUN/c1/xl2tpd.pid")"
wait_for 60 not kill -0 "$(cat "$RUN/c1/xl2tpd.pid")"
connect

step page 'the status page and the metrics of the unit, on loopback'
# get PORT PATH: what a program inside the booted system gets.
get() { sys bash -c "exec 3<> /dev/tcp/127.0.0.1/$1 && printf 'GET $2 HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3 && cat <&3"; }
body() { get "$@" | sed '1,/^\r*$/d'; }
check 'the page' eval 'get 9180 / | grep -q "<title>Lockstep</title>"'
check 'its script' eval 'get 9180 /page.js | grep -q api/overview'
same 'api/overview: state, sessions, user' "$(body 9180 /api/overview | jq -r '"\(.status.state) \(.found) \(.sessions[0].user)"')" 'listening 1 user'
check 'api/history' eval 'body 9180 /api/history | jq -e ".[0].at > 0"'
same 'another name than this host'"'"'s' "$(sys bash -c 'exec 3<> /dev/tcp/127.0.0.1/9180; printf "GET / HTTP/1.0\r\nHost: evil.example\r\n\r\n" >&3; head -c 12 <&3')" 'HTTP/1.1 421'
same 'metrics: sessions' "$(body 9101 /metrics | sed -n 's/^lockstep_sessions{state="up"} //p')" 1
check 'health' eval 'get 9101 /health | grep -q "200 OK"'
check 'page and metrics have no key' eval '! { body 9180 /api/overview; body 9101 /metrics; } | grep -qF "$(sys cat /etc/lockstep/psk)"'

step reload 'three times, under a ping'
# The guest holds packets back while systemd sets up a process, up to ten seconds on a busy machine; the client's pty has room for 16.
nsenter --net=/run/netns/c1 busybox ping -i 1 "$CORP" > "$RUN/c1/ping.log" 2>&1 &
pinger=$!
eventually 20 'the ping runs' grep -q seq=3 "$RUN/c1/ping.log"
# late: how late the daemon's event loop was at most since it was last asked for, in ms.
late() { body 9101 /metrics | awk '/^nodejs_eventloop_lag_max_seconds / { printf "%.0f", 1000 * $2 }'; }
late > /dev/null
for user in new1 new2 new3; do
  sys sed -i "\$a\\  $user: {password: \"something long\"}" /etc/lockstep/users.yaml
  check "systemctl reload, with user $user added" sys systemctl reload lockstep
  eventually 30 'active again, no process of its own' active lockstep
done
eventually 30 'the users were read again' said 'users.reloaded.*"users":4'
eventually 20 'pings are answered' pings_answered
kill -INT "$pinger"
wait "$pinger"
show "$(grep loss "$RUN/c1/ping.log")"
note "reload: longest answer $(sed -n 's/.*time=\([0-9.]*\) ms/\1/p' "$RUN/c1/ping.log" | sort -n | tail -1) ms, event loop $(late) ms late at most"
same 'pings lost' "$(sed -n 's/.* \([0-9]*\)% packet loss/\1/p' "$RUN/c1/ping.log")" 0
key=$(sys sha256sum /etc/lockstep/psk /etc/lockstep/users.yaml /etc/lockstep/lockstep.yaml)

step crash 'both are killed with a client connected, and not started again'
check 'SIGKILL' sys sh -c 'systemctl kill -s KILL lockstep lockstep-ike; systemctl stop lockstep lockstep-ike'
check 'gw: SAs are left in the kernel' test "$(sa_count gw)" -gt 0
check 'gw: the guard of UDP 1701 stands' test -n "$(gateway_firewall)"

# removed: what must be so after apt remove.
removed() {
  same 'strongswan.service is as it was' "$(property strongswan ActiveState) $(property strongswan UnitFileState)" 'active enabled'
  # Its policies are not ours.
  sys systemctl stop strongswan
  same 'gw: SAs left' "$(sa_count gw)" 0
  same 'gw: xfrm policies left' "$(ip -n gw xfrm policy | grep -c ^src)" 0
  same 'gw: firewall rules left' "$(gateway_firewall)" ''
  check 'gw: no device is left' not ip -n gw link show lockstep0
  same 'forwarding, as before' "$(cat /proc/sys/net/ipv4/ip_forward)" 0
  same 'processes of lockstep' "$(sys sh -c 'ps -o comm= -u lockstep; pgrep --ns 1 --nslist net -x charon-systemd')" ''
  same 'AppArmor profiles of lockstep' "$(sys grep -c '^lockstep' /sys/kernel/security/apparmor/profiles)" 0
}
step remove 'apt remove'
check 'apt removes it' apt remove lockstep
removed
check 'the configuration stays' sys test -e /etc/lockstep/psk

step again 'apt install, with the configuration of before'
sys systemctl start strongswan
check 'apt installs it' apt install --no-install-recommends /root/new.deb
services_run
same 'strongswan.service' "$(property strongswan ActiveState) $(property strongswan UnitFileState)" 'inactive disabled'
same 'key, users and configuration' "$(sys sha256sum /etc/lockstep/psk /etc/lockstep/users.yaml /etc/lockstep/lockstep.yaml)" "$key"

step purge 'apt purge'
check 'apt purges it' apt purge lockstep
removed
sys rm -r /etc/systemd/system/lockstep.service.d /root/old.deb /root/new.deb
same 'files of lockstep left' "$(sys sh -c "find / -xdev \( -path /proc -o -path /sys -o -path /tmp \) -prune -o -name '*lockstep*' -print")" ''
same 'units of lockstep left' "$(sys systemctl list-units --all --no-legend --plain 'lockstep*')" ''
wire_clean
