# Fail closed: load towards a client that does not ask whether the tunnel works, and what the guard did with it.
# shellcheck shell=bash

# flood HOST ADDRESS: about 50 datagrams a second from HOST, whatever becomes of them, until flood_end. They go through a session now,
# but for flood_blind.
flood() {
  local was
  was=$(moved_packets)
  flood_blind "$@"
  eventually 20 'the load flows' moved_more "$was"
}
flood_blind() {
  ip netns exec "$1" bash -c "exec {never}<> <(:); while ! read -r -t 0.02 -u \$never; do echo lockstep-load > /dev/udp/$2/9; done" 2> /dev/null &
  FLOOD=$! FLOOD_FROM=$1
}
moved_packets() { lockstep sessions --json | jq '[.[] | .packetsIn + .packetsOut] | add // 0'; }
moved_more() { [ "$(moved_packets)" -gt $(($1 + 20)) ]; }
# flooding: it goes on.
flooding() {
  local was
  was=$(flooded)
  wait_for 5 flooded_more "$was"
}
flooded() { on "$FLOOD_FROM" nstat -asz UdpOutDatagrams | awk '/^Udp/ { print $2 }'; }
flooded_more() { [ "$(flooded)" -gt $(($1 + 5)) ]; }
flood_end() { kill "$FLOOD" 2> /dev/null; wait "$FLOOD" 2> /dev/null; }
# guard_dropped in|out: packets the gateway's own firewall rule has dropped so far.
guard_dropped() {
  local chain
  if on gw nft list table inet lockstep > /dev/null 2>&1; then
    on gw nft list chain inet lockstep "guard-$1" | sed -n 's/.*missing counter packets \([0-9]*\).*/\1/p'
  else
    chain=$(tr a-z A-Z <<< "LOCKSTEP-$1")
    on gw iptables-legacy -nvxL "$chain" | awk '/DROP/ { print $1; exit }'
  fi
}
guard_dropped_more() { [ "$(guard_dropped "$1")" -gt "$2" ]; }
# unreachable_dropped: ICMP errors about UDP 1701 that the firewall kept back.
unreachable_dropped() {
  if on gw nft list table inet lockstep > /dev/null 2>&1; then
    on gw nft list chain inet lockstep guard-out | awk '/icmp/ { for (i = 1; i < NF; i++) if ($i == "packets") n += $(i + 1) } END { print n + 0 }'
  else
    on gw iptables-legacy -nvxL LOCKSTEP-OUT | awk '/icmp/ { print $1 }'
  fi
}
# guard_bypass, guard_again: whatever the guard would stop passes, in both families. (Taken out, it would be back within 5 s.)
guard_bypass() { guard_top -I; }
guard_again() { guard_top -D; }
guard_top() {
  local tool chain
  for tool in iptables-legacy ip6tables-legacy; do
    for chain in INPUT OUTPUT; do on gw $tool "$1" $chain -m comment --comment bypass -j ACCEPT || fail "gw: $tool $1 $chain"; done
  done
}
# guard_remove: by hand, what nobody should do.
guard_remove() {
  on gw nft flush ruleset 2> /dev/null
  on gw iptables-legacy -F
  on gw iptables-legacy -t nat -F
}
guard_stands() { on gw nft list chain inet lockstep guard-out > /dev/null 2>&1 || on gw iptables-legacy -C OUTPUT -j LOCKSTEP-OUT 2> /dev/null; }
# clear_out: L2TP in clear from the gateway, seen on the wan so far.
clear_out() { packets clear 999 "src host $GW"; }
clear_out_some() { [ "$(clear_out)" -gt 0 ]; }
# port_shut: no socket on UDP 1701.
port_shut() { [ -z "$(on gw ss -lunH 'sport = :1701')" ]; }
port_open() { not port_shut; }
gateway_charon() { pgrep_in gw charon; }
# pgrep_in HOST NAME: process ids in HOST whose name begins with NAME.
pgrep_in() {
  local pid
  for pid in $(ip netns pids "$1"); do
    case $(cat "/proc/$pid/comm" 2> /dev/null) in "$2"*) echo "$pid" ;; esac
  done
}
# said_count EVENT: how often the gateway has logged it.
said_count() { grep -c "\"event\":\"$1\"" "$RUN/gw/log.json"; }
said_more() { [ "$(said_count "$1")" -gt "$2" ]; }
# hold_daemon, let_daemon: the daemon's main thread stands still meanwhile, as under extreme load; its packet thread sends on.
hold_daemon() {
  mkfifo "$RUN/gw/hold"
  /usr/bin/python3 "$LAB_DIR/lib/hold.py" "$GATEWAY" < "$RUN/gw/hold" > "$RUN/gw/held" 2>&1 &
  exec 8> "$RUN/gw/hold"
  wait_for 20 grep -q held "$RUN/gw/held" || fail "the daemon cannot be held: $(cat "$RUN/gw/held")"
}
let_daemon() {
  exec 8>&-
  rm -f "$RUN/gw/hold"
}
# nobodys MARK ADDRESS: c2 comes in and is given what c1 had; what c1 still sends under its old SA is not taken for c2's.
nobodys() {
  local heard lost
  start_client c2
  same 'the new charon gives c2 the mark c1 had' "$(lockstep sessions --json | jq '.[0].child.mark')" "$1"
  same 'and c2 the address, too' "$(ppp_address c2)" "$2"
  heard=$(lockstep sessions --json | jq '.[0].packetsIn')
  lost=$(xfrm_stat XfrmInNoStates)
  for _ in 1 2 3; do check 'c1 reaches nothing' not reaches c1 10.99.0.1; done
  check 'they came, and their SA is unknown' test $(($(xfrm_stat XfrmInNoStates) - lost)) -ge 3
  gateway_sessions "length == 1 and .[0].packetsIn == $heard" 'nothing of it was counted as from c2'
  check 'c2 reaches the gateway' reaches c2 10.99.0.1
}
no_shunt() { ! ip -n gw xfrm policy | grep -q 'action block'; }
