# Our gateway in namespace gw: started as an operator would, asked through its control socket and its JSON log.
# shellcheck shell=bash
CONTROL=$RUN/gw/control

# The program as it is installed: two files, where the compiled tree has hundreds to open, a second's work in the guest. A mutant
# lies over the tree.
PROGRAM=$REPO/build/lab
[ -z "${LAB_MUTANT:-}" ] || PROGRAM=$REPO
start_gateway() {
  host_files gw gw
  DEVICES=$(devices gw)
  # The new process empties its files when it gets to run; until then they would show the one before it, ready.
  : > "$RUN/gw/log.json"
  ip netns exec gw node "$PROGRAM/dist/src/main.js" --config "$RUN/gw/lockstep.yaml" --log-format json > "$RUN/gw/log.json" 2> "$RUN/gw/stderr" &
  GATEWAY=$!
  wait_for 90 gateway_settled
  gateway_said gateway.ready > /dev/null || fail "gw: lockstepd $(gateway_state), not ready: $(gateway_last)"
  same 'gw: lockstepd answers on its control socket' "$(control_command status --json | jq -r .state)" listening
}
gateway_settled() { [[ $(< "$RUN/gw/log.json") == *'"event":"gateway.ready"'* ]] || ! kill -0 "$GATEWAY"; }
gateway_state() { kill -0 "$GATEWAY" 2> /dev/null && echo runs || { wait "$GATEWAY"; echo "ended with status $?"; }; }
gateway_last() {
  grep -m 1 -E '^[A-Za-z]*Error|^lockstep' "$RUN/gw/stderr" || tail -n 2 "$RUN/gw/stderr" "$RUN/gw/log.json"
}
# lockstep ARGUMENT...: the operator's command. What scenarios ask again and again comes from its socket directly: to start Node takes
# a second in the guest.
lockstep() {
  case "$*" in 'status --json' | 'sessions --json' | 'pool --json') control_get "/$1" && return ;; esac
  control_command "$@"
}
control_command() { on gw node "$PROGRAM/dist/src/ctl.js" --socket "$CONTROL" "$@"; }
control_get() {
  local answer
  answer=$(printf 'GET %s HTTP/1.0\r\n\r\n' "$1" | socat -t 10 - "UNIX-CONNECT:$CONTROL" 2> /dev/null)
  [[ $answer == 'HTTP/1.'?' 200 '* ]] && printf '%s\n' "${answer#*$'\r\n\r\n'}"
}
# gateway_said EVENT [JQ-CONDITION]
gateway_said() { jq -e -n --arg event "$1" "first(inputs | select(.event == \$event) | select(${2:-true}))" "$RUN/gw/log.json"; }
# gateway_event EVENT JQ-CONDITION TEXT: the gateway's log must come to say so.
gateway_event() { eventually 30 "gw: the log says $3" gateway_said "$1" "$2"; }
# gateway_sessions JQ-CONDITION TEXT: true of the array that `lockstep sessions --json` prints.
gateway_sessions() { eventually 30 "gw: $2" sessions_are "$1"; }
sessions_are() { lockstep sessions --json | tee "$RUN/gw/sessions.json" | jq -e "$1"; }
gateway_no_sessions() { sessions_are 'length == 0'; }
# gateway_table: what an operator sees; alice must be in it.
gateway_table() {
  local table
  table=$(lockstep sessions) || fail 'lockstep sessions failed'
  show "$table"
  check 'gw: the table shows alice with her address' grep -qE 'alice.*10[.]99[.]0[.]|10[.]99[.]0[.].*alice' <<< "$table"
}
# gateway_disconnect USER
gateway_disconnect() { check "gw: lockstep disconnect $1" lockstep disconnect "$1"; }
# Whether the gateway takes the IKE SA down with the tunnel.
gateway_ends_ike() { true; }

# keeps_secret SECRET: neither what the gateway wrote nor any process list shows it.
keeps_secret() {
  test -s "$RUN/gw/log.json" && ! grep -rqF --exclude='secret*' -- "$1" "$RUN/gw" && ! grep -qaF -- "$1" /proc/[0-9]*/cmdline
}
# gateway_clean_exit: SIGTERM, and nothing of it is left.
gateway_clean_exit() {
  local status=0
  step stop 'SIGTERM to the gateway'
  kill -TERM "$GATEWAY" 2> /dev/null
  wait_for 60 not kill -0 "$GATEWAY" || fail 'gw: lockstepd still runs 60 s after SIGTERM'
  wait "$GATEWAY" || status=$?
  same 'gw: exit status' "$status" 0
  check 'gw: no SA is left' no_sa gw
  same 'gw: xfrm policies left' "$(ip -n gw xfrm policy | grep -c ^src)" 0
  same 'gw: firewall rules left' "$(gateway_firewall)" ''
  same 'gw: devices, as before' "$(devices gw)" "$DEVICES"
  same 'gw: processes left' "$(ip netns pids gw | tr '\n' ' ')" ''
}
devices() { ip -n "$1" -o link | awk -F': ' '{ print $2 }' | tr '\n' ' '; }
gateway_firewall() {
  { on gw iptables-legacy-save; on gw ip6tables-legacy-save; on gw nft list tables; } 2> /dev/null | grep -iE 'lockstep|^-A'
}
