# Ways in which a connection ends and comes back, and what the gateway's log says of when.
# shellcheck shell=bash disable=SC2034

# gw_swan SWANCTL-ARGUMENT...: our sidecar's charon, through its private socket.
gw_swan() { STRONGSWAN_CONF=$RUN/c1/strongswan.conf swanctl "$1" --uri "unix://$RUN/gw/run/charon.vici" "${@:2}"; }

# cut: what `since` and `between` look at begins here.
cut_log() { CUT=$(wc -l < "$RUN/gw/log.json"); }
log_tail() { tail -n "+$((CUT + 1))" "$RUN/gw/log.json"; }
# since JQ-CONDITION: the first such event after the cut.
since() { log_tail | jq -e -c -n "first(inputs | select($1))"; }
MS='def ms: (.time[0:19] + "Z" | fromdateiso8601) * 1000 + (.time[20:23] | tonumber);'
# between JQ-CONDITION JQ-CONDITION: milliseconds between the first such events after the cut.
between() { log_tail | jq -n "$MS [inputs] | (map(select($2)) | first | ms) - (map(select($1)) | first | ms)"; }
# time_of JQ-CONDITION: of the first such event after the cut, in ms.
time_of() { log_tail | jq -n "$MS [inputs | select($1)] | first | ms"; }
SA_DELETED='.event == "ike.event" and (.type == "child-updown" or .type == "ike-updown") and .up == false'
SESSION_END='.event == "session.end"'
median() { printf '%s\n' "$@" | sort -n | awk '{ a[NR] = $1 } END { print a[int(NR / 2) + 1] }'; }

# pid_of HOST NAME
pid_of() {
  local pid
  for pid in $(ip netns pids "$1"); do
    [ "$(cat "/proc/$pid/comm" 2> /dev/null)" != "$2" ] || echo "$pid"
  done
}
# client_kill_l2tp HOST: xl2tpd and pppd end without a word.
client_kill_l2tp() {
  # shellcheck disable=SC2046
  kill -KILL $(pid_of "$1" xl2tpd) $(pid_of "$1" pppd) 2> /dev/null
  wait_for 20 ppp_gone "$1" || fail "$1: PPP stays"
}
# client_crash HOST: power off: every process and SA of the host, without a word to anybody.
client_crash() {
  # shellcheck disable=SC2046
  kill -KILL $(ip netns pids "$1") 2> /dev/null
  ip -n "$1" -batch - <<< $'xfrm state flush\nxfrm policy flush'
  rm -f "$RUN/$1/vici"
  wait_for 20 ppp_gone "$1"
}
to_corp() {
  ip -n "$1" route replace 10.20.0.0/24 dev ppp0
  eventually 20 "$1 reaches corp" reaches "$1" "$CORP"
}
status() { lockstep status --json | jq -r "$1"; }
# no_ike: the gateway's charon answers, and has no IKE SA.
no_ike() {
  local said
  said=$(gw_swan --list-sas --raw 2> /dev/null) && [[ $said != *initiator-spi=* ]]
}
# leases: addresses that users have, fixed ones, too.
leases() { lockstep pool --json | jq '.dynamic.leased + .fixed.leased'; }
no_tunnels() { [ "$(status .tunnels)" = 0 ]; }
# route_gone ADDRESS: a packet to it finds no session.
route_gone() {
  local before
  before=$(status '.drops["no-route"] // 0')
  on gw busybox ping -q -c 1 -W 1 "$1" > /dev/null && return 1
  [ "$(status '.drops["no-route"] // 0')" -gt "$before" ]
}
# none_since JQ-CONDITION: no such event came after the cut; a log that cannot be read proves nothing.
none_since() { [ "${CUT:-0}" -gt 0 ] && [ "$(log_tail | jq -n "[inputs | select($1)] | length")" = 0 ]; }
# undisturbed: no event of L2TP or PPP came after the cut.
undisturbed() { none_since '.event | test("^(l2tp|tunnel|session|auth|ppp|packet|lcp|ipcp)[.]")'; }
# rebind NAT PORTS: the NAT maps UDP 4500 to others from now on.
rebind() {
  nat_ports "$1" "$2"
  nat_forgets "$1"
}
# nat_ports NAT PORTS: of mappings that begin from now on; those that are there stay.
nat_ports() { on "$1" iptables-legacy -t nat -I POSTROUTING -o wan -p udp --sport 4500 -j MASQUERADE --to-ports "$2"; }
# nat_forgets NAT: MASQUERADE drops the mappings of an interface that goes down.
nat_forgets() { ip -n "$1" -batch - <<< $'link set wan down\nlink set wan up\nroute replace default via '"$ISP"; }
