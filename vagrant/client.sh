#!/bin/bash
# client.sh up|status|down [USER]: connects this machine (c1 or c2) to the gateway with the lab's client files and functions.
set -u
REPO=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
# shellcheck disable=SC2034
LAB_DIR=$REPO/test/lab RUN=/run/lab SCENARIO=two-clients LAB_OUT=/run/lab
for part in report poll topology client; do
  # shellcheck source=/dev/null
  . "$LAB_DIR/lib/$part.sh"
done
on() { shift; "$@"; }   # this machine is the host
me=$(hostname -s)
mkdir -p "$RUN/$me"

down() {
  [ ! -p "$RUN/$me/l2tp-control" ] || client_hangup "$me"
  wait_for 20 ppp_gone "$me" || true
  [ ! -S "$RUN/$me/vici" ] || client_ike_down "$me" || true
  local job
  for job in xl2tpd.job charon.pid; do
    [ -f "$RUN/$me/$job" ] || continue
    # The shell that waits for the program; the program is its child.
    pkill -TERM -P "$(cat "$RUN/$me/$job")" || kill "$(cat "$RUN/$me/$job")" 2> /dev/null
    wait_for 20 not kill -0 "$(cat "$RUN/$me/$job")" || true
  done
  rm -rf "${RUN:?}/$me"
}
case ${1:-} in
  up)
    step up "$me connects to $GW"
    start_client "$me"
    ip route replace 10.20.0.0/24 dev ppp0
    eventually 20 "$CORP answers" reaches "$me" "$CORP"
    disown -a
    ;;
  status) swan "$me" --list-sas; ip addr show dev ppp0 ;;
  down) down ;;
  *) sed -n '2s/^# //p' "$0" >&2; exit 2 ;;
esac
