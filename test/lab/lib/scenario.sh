#!/bin/bash
# scenario.sh SCENARIO: topology, captures, then the scenario's pre, check and post; runs as the first process of a cell.
set -u
LAB_DIR=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
# shellcheck disable=SC2034  # the parts use it
REPO=$(cd "$LAB_DIR/../.." && pwd)
SCENARIO=$1
RUN=/run/lab
for part in report poll topology wire layer client gateway-"${LAB_GATEWAY:-lockstep}" transfer lifecycle guard attack load order pki ikev2 native; do
  # shellcheck source=/dev/null
  . "$LAB_DIR/lib/$part.sh"
done

finish() {
  local status=$?
  trap - EXIT TERM
  [ "$status" = 0 ] || [ -n "$FAILED" ] || failed "the script ended with status $status"
  if [ "$status" != 0 ] || [ -n "${LAB_KEEP:-}" ]; then
    mkdir -p "$LAB_OUT/logs"
    on gw ip -s xfrm state > "$RUN/gw/xfrm-state.txt" 2>&1
    on gw ip xfrm policy > "$RUN/gw/xfrm-policy.txt" 2>&1
    on gw iptables-legacy-save > "$RUN/gw/firewall.txt" 2>&1
    [ -z "${LAB_BOOTED:-}" ] || booted_logs
    (cd "$RUN" && find . -type f -size -40M ! -name 'secret*' -exec cp --parents {} "$LAB_OUT/logs/" \;) 2>/dev/null
  fi
  times
  echo "$CHECKS" > "$LAB_OUT/checks"
  exit "$status"
}
trap finish EXIT
trap 'failed "no end after ${LAB_LIMIT:-300} s"; exit 1' TERM
(sleep "${LAB_LIMIT:-300}"; kill -TERM $$) 2>/dev/null &

[ -z "${LAB_BOOTED:-}" ] || . "$LAB_DIR/lib/booted.sh"
topology
wire_start
for phase in pre check post; do
  [ -f "$LAB_DIR/$SCENARIO/$phase" ] || continue
  # What does not parse would end with status 0.
  bash -n "$LAB_DIR/$SCENARIO/$phase" || fail "$phase does not parse"
  # shellcheck source=/dev/null
  . "$LAB_DIR/$SCENARIO/$phase"
done
