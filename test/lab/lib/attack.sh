# Attackers and what the gateway made of them. Counters are read before and after, never assumed to begin at 0.
# shellcheck shell=bash

# l2tp HOST ARGUMENT...: lib/l2tp.py there; prints "sent N answered M".
l2tp() { on "$1" /usr/bin/python3 "$LAB_DIR/lib/l2tp.py" "${@:2}"; }
# session_field USER JQ-PATH: of the row of `lockstep sessions --json`.
session_field() { lockstep sessions --json | jq -r ".[] | select(.user == \"$1\") | ($2)"; }
# session_identity USER: what stays the same as long as the session is the same one. No session is like no other.
session_identity() { session_field "$1" '[.tunnelId, .sessionId, .address, .upSince, .child.mark, .child.reqid] | join("/")' | grep . || echo "none at $(seconds)"; }
# gateway_drops COUNTER: a global one.
gateway_drops() { lockstep status --json | jq -r ".drops[\"$1\"]"; }
# gateway_lines EVENT [JQ-CONDITION]: how many lines of the log.
gateway_lines() { jq -c "select(.event == \"$1\") | select(${2:-true})" "$RUN/gw/log.json" | wc -l; }
# guard_drops in|out: packets the gateway's own firewall rule for cleartext stopped.
guard_drops() {
  if on gw nft list table inet lockstep > /dev/null 2>&1; then
    on gw nft list chain inet lockstep "guard-$1" | sed -n 's/.*counter packets \([0-9]*\).*/\1/p'
  else
    on gw iptables-legacy -nvxL "LOCKSTEP-${1^^}" | awk '/DROP/ && /none/ { print $1; exit }'
  fi
}
# xfrm_stat COUNTER: of the gateway's kernel.
xfrm_stat() { on gw awk -v name="$1" '$1 == name { print $2 }' /proc/net/xfrm_stat; }
# ping_start HOST ADDRESS INTERVAL [SIZE]: pings that go on until no_ping_lost.
ping_start() {
  ip netns exec "$1" busybox ping -i "$3" -s "${4:-56}" "$2" > "$RUN/$1/ping.log" 2>&1 &
  echo $! > "$RUN/$1/ping.pid"
  wait_for 20 grep -q ttl= "$RUN/$1/ping.log" || fail "$1: no answer from $2: $(tail -1 "$RUN/$1/ping.log")"
}
# no_ping_lost HOST [ALLOWED]: ends them; the one under way when they end may be without its answer.
no_ping_lost() {
  local sent got allowed=${2:-0}
  kill -INT "$(cat "$RUN/$1/ping.pid")"
  wait_for 20 grep -q 'packets transmitted' "$RUN/$1/ping.log" || fail "$1: ping does not end"
  read -r sent got <<< "$(sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) packets received.*/\1 \2/p' "$RUN/$1/ping.log")"
  check "$1: no ping of $sent was lost, or at most $allowed" test "$got" -gt 5 -a $((sent - got)) -le $((allowed + 1))
  check "$1: pings were answered without a gap, or with at most $allowed" test "$(ping_gaps "$1")" -le "$allowed"
}
# ping_gaps HOST: answers that are missing before the last, or came late.
ping_gaps() { sed -n 's/.* seq=\([0-9]*\) .*/\1/p' "$RUN/$1/ping.log" | awk 'NR > 1 && $1 != last + 1 { n += $1 > last ? $1 - last - 1 : 1 } { last = $1 } END { print n + 0 }'; }
# discard_watch: corp notes each datagram to UDP port 9 (l2tp.py's "ip" message); discarded: how many there were.
discard_watch() {
  on corp tcpdump -i lan -n -U -w "$RUN/corp/discard.pcap" udp dst port 9 2> "$RUN/corp/discard.log" &
  wait_for 20 grep -q listening "$RUN/corp/discard.log" || fail 'tcpdump does not start on corp'
}
discarded() { tcpdump -n -r "$RUN/corp/discard.pcap" 2> /dev/null | wc -l; }
