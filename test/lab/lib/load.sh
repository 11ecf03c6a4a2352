# Load on one session, bulk TCP and 100 pings/s, while its SAs are renewed; and where each lost ping was lost.
# shellcheck shell=bash disable=SC2034

# The pings have a length of their own: of 406 octets, they are datagrams of 467 to 482 octets to UDP 1701, whatever L2TP and PPP
# leave out, and all these become ESP-in-UDP packets of 528 octets (AES-CBC, HMAC-SHA1-96).
PING=406 PLAIN=467:482 OUTER=528
# hop CHAIN NAME RULE...: a line of iptables-restore that counts packets of the pings, or (esp, plain) all.
hop() { echo "-A $1 ${*:3} -m comment --comment $2"; }
# hops HOST: takes lines of `hop`.
hops() { { echo '*mangle'; cat; echo COMMIT; } | on "$1" iptables-legacy-restore --noflush || fail "$1: cannot count"; }
# counts: all of them, "NAME N" in lines, with XfrmAcquireError of both ends.
counts() {
  local h
  for h in $COUNTED gw corp; do on $h iptables-legacy -t mangle -nvxL | sed -n 's#^ *\([0-9]*\) .*/\* \(.*\) \*/.*#\2 \1#p'; done
  for h in gw $COUNTED; do on $h awk -v h=$h '$1 == "XfrmAcquireError" { print h "-errors", $2 }' /proc/net/xfrm_stat; done
}
# A ping's way: through the client's PPP and L2TP, into ESP, over the wan, out of ESP, through the gateway to corp, and back. The kernel
# shows a packet of an SA in transport mode to its chains on both sides of ESP. ESP is what begins with an SPI, not with IKE's zeros.
# A segment of TCP may have the size of a ping. What the gateway itself takes and gives is told by the protocol of the packet inside, too,
# which begins 7 to 12 octets into UDP, whatever L2TP and PPP leave out.
# count_hops HOST: for the pings of that client.
count_hops() {
  COUNTED=$1
  local esp=(-p udp -m multiport --ports 4500 -m u32 --u32 '0>>22&0x3C@8=1:0xFFFFFFFF') big=(-m length --length $OUTER) l2tp=(-p udp --dport 1701) size=(-m length --length $PLAIN) inner at h
  hop INPUT corp -p icmp --icmp-type 8 | hops corp
  for h in $COUNTED gw; do
    {
      [ $h = gw ] || hop OUTPUT asked -o ppp0 -p icmp --icmp-type 8
      [ $h = gw ] || hop INPUT answered -i ppp0 -p icmp --icmp-type 0
      hop OUTPUT $h-out "${l2tp[@]}" "${size[@]}"
      hop OUTPUT $h-out-esp "${esp[@]}" "${big[@]}"
      hop PREROUTING $h-in-esp "${esp[@]}" "${big[@]}"
      hop PREROUTING $h-in "${l2tp[@]}" "${size[@]}"
      hop PREROUTING $h-esp "${esp[@]}"
      hop PREROUTING $h-plain "${l2tp[@]}"
      [ $h != gw ] || for at in 7 8 9 10 11 12; do
        inner=(-m u32 --u32 "0>>22&0x3C@$((8 + at))>>16&0xFFFF=0x4500&&0>>22&0x3C@$((16 + at))>>16&0xFF=1")
        hop PREROUTING gw-ping-in "${l2tp[@]}" "${size[@]}" "${inner[@]}"
        hop OUTPUT gw-ping-out "${l2tp[@]}" "${size[@]}" "${inner[@]}"
      done
    } | hops $h
  done
}
# counted_since: fills COUNT with how many came since the load began, by name.
declare -A COUNT
counted_since() {
  local name n
  COUNT=()
  while read -r name n; do COUNT[$name]=$((COUNT[$name] - n)); done <<< "$COUNTS"
  while read -r name n; do COUNT[$name]=$((COUNT[$name] + n)); done <<< "$(counts)"
}
# missing FROM TO: those that were counted at FROM and not at TO.
missing() { echo $((COUNT[$1] - COUNT[$2])); }
# pings_counted: LOST are those of the SENT pings whose answer did not come back to the client's kernel (ping's own buffer is small, and a
# starved guest lets it run over); LOST_ESP of these went missing in ESP at either end, LOST_INSIDE in the gateway or behind it.
pings_counted() {
  local c=$COUNTED
  counted_since
  SENT=${COUNT[asked]} LOST=$(missing asked answered)
  LOST_ESP=$(($(missing $c-out $c-out-esp) + $(missing gw-in-esp gw-in) + $(missing gw-out gw-out-esp) + $(missing $c-in-esp $c-in)))
  LOST_INSIDE=$(($(missing gw-ping-in corp) + $(missing corp gw-ping-out)))
}
show_pings() { show "pings of $SENT lost: $LOST; in ESP $LOST_ESP, in the gateway and behind it $LOST_INSIDE, elsewhere $((LOST - LOST_ESP - LOST_INSIDE))"; }
# pings_start HOST, pings_end: 5 a second, counted at each hop, of which none may be lost.
pings_start() {
  count_hops "$1"
  COUNTS=$(counts) OVERFLOW=$(overflow)
  ping_start "$1" "$CORP" 0.2 $PING
}
pings_answered() { pings_counted; [ "$LOST" = 0 ]; }
pings_end() {
  kill -INT "$(cat "$RUN/$COUNTED/ping.pid")"
  wait_for 20 pings_answered
  show_pings
  show "its program saw $(grep -c ttl= "$RUN/$COUNTED/ping.log") answers; packets that found a queue full: $(($(overflow) - OVERFLOW))"
  check "$COUNTED: pings were counted" test "${COUNT[gw-in-esp]}" -ge $((SENT * 9 / 10)) -a "$SENT" -gt 20
  same "$COUNTED: pings lost of $SENT" "$LOST" 0
}
# xfrm HOST: the counters of loss that are not 0.
xfrm() { on "$1" awk '$2 > 0 { print $1 "=" $2 }' /proc/net/xfrm_stat | sort; }
# resets: TCP connections that ended by a reset. (A late segment of one that has ended is answered with a reset, too, and harms nobody.)
resets() { local h; for h in c1 corp; do on "$h" nstat -asz TcpEstabResets | awk '/^Tcp/ { print $2 }'; done | awk '{ s += $1 } END { print s }'; }
# overflow: packets that queues outside IPsec had no room for: the TUN device's, while the packet thread had no time, and sockets'.
overflow() {
  echo $(($(ip -n gw -s -j link show lockstep0 | jq '.[0].stats64.tx.dropped') + $(on gw nstat -asz UdpRcvbufErrors | awk '/^Udp/ { print $2 }') +
    $(on $COUNTED nstat -asz UdpRcvbufErrors | awk '/^Udp/ { print $2 }')))
}

# dropped: what the packet thread has dropped, all in all and of each session. Not no-route: the gateway's own kernel sends to the device
# when it likes (router solicitations, multicast reports), and that is no client's.
dropped() { echo "$(lockstep status --json | jq -S -c '.drops | del(.["no-route"])') $(lockstep sessions --json | jq -S -c 'map(.drops)')"; }
# esp_gave HOST: what ESP took there and did not give is in XfrmAcquireError.
esp_gave() { same "$1: packets that ESP took and did not give, and XfrmAcquireError" "$(missing "$1-esp" "$1-plain")" "${COUNT[$1-errors]}"; }

# load SECONDS: TCP both ways, 8 Mbit/s each, below what the machine can do, and 100 pings/s.
load() {
  COUNTS=$(counts)
  OVERFLOW=$(overflow) RESETS=$(resets) DROPPED=$(dropped)
  [[ $DROPPED == '{'*'} [{'* ]] || fail "gw: no counters of a session: $DROPPED"
  flows c1 7 "$1" 1000
  LOAD_TIME=$1 LOAD_BEGAN=$SECONDS
  on c1 busybox ping -i 0.01 -s $PING -c $(($1 * 100)) "$CORP" > "$RUN/c1/ping" 2>&1 &
  PING_JOB=$!
}
# loaded: waits for its end. ERRORS is the rise of XfrmAcquireError at both ends.
loaded() {
  local h took
  check 'the load lasted until now' kill -0 "$PING_JOB"
  wait "$PING_JOB"
  took=$((SECONDS - LOAD_BEGAN))
  # Each ping waits for the timer anew: in the guest 100 a second are 92 at best, and were 63 when four guests shared two processors.
  check "the pings took $took s for $LOAD_TIME, at most half as long again and 5 s" test "$took" -le $((LOAD_TIME * 3 / 2 + 5))
  flows_whole c1 7 30
  # The first two seconds may go by before both are connected.
  flows_carried c1 7 $(((LOAD_TIME - 2) * 800))
  pings_counted
  ERRORS=0
  for h in gw c1; do
    check "$h: pings were counted" test "${COUNT[$h-in-esp]}" -ge $((SENT * 9 / 10))
    esp_gave $h
    ERRORS=$((ERRORS + COUNT[$h-errors]))
  done
  show_pings
  same 'pings lost in the gateway' "$LOST_INSIDE" 0
  same 'gw, c1: packets lost in other ways by xfrm' "$({ xfrm gw; xfrm c1; } | grep -v XfrmAcquireError | tr '\n' ' ')" ''
  same 'packets that found a queue full (this machine is too slow)' "$(($(overflow) - OVERFLOW))" 0
  same 'gw: packets that the packet thread dropped, all in all and of the session' "$(dropped)" "$DROPPED"
  same 'TCP connections reset' "$(($(resets) - RESETS))" 0
}
# in_turn SECONDS "SOCKET KEY=VALUE..."...: one of these rekeyings every 2 s, in turn; the load outlasts the last one. ASKED is how many;
# asked_of PATTERN: of these.
CLIENT_IKE=$RUN/c1/vici GATEWAY_IKE=$RUN/gw/run/charon.vici
in_turn() {
  /usr/bin/python3 "$LAB_DIR/lib/renew.py" $(($1 - 3)) 2 "${@:2}" > "$RUN/c1/rekey.log" 2>&1 || fail "renew.py: $(tail -1 "$RUN/c1/rekey.log")"
  ASKED=$(grep -c 'asked$' "$RUN/c1/rekey.log")
}
asked_of() { grep -c "$1.*asked\$" "$RUN/c1/rekey.log"; }
# ike_events TYPE [CONDITION]: how many since the cut.
ike_events() { log_tail | jq -n "[inputs | select(.event == \"ike.event\" and .type == \"$1\" and (${2:-true}))] | length"; }
session_row() { lockstep sessions --json | jq -c '.[] | [.tunnelId, .sessionId, .child.mark, .user, .address]'; }
# load_quiet: the measure itself loses nothing.
load_quiet() {
  count_hops c1
  # The guest has one processor, shared with others: its naps must not become losses.
  ip -n gw link set lockstep0 txqueuelen 10000
  load 10
  loaded
  same "pings lost of $SENT" "$LOST" 0
}
# load_end: the gateway must find nothing but its own rules when it stops.
load_end() { on gw iptables-legacy -t mangle -F; }
