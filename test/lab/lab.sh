#!/bin/bash
# npm run lab -- SCENARIO... | --all | --fast | --list | --mutants [NAME...]   [--repeat N] [--jobs N] [--keep]
#
# Runs scenarios (directories with a `check`) against the gateway with real clients, two at a time, each in a kernel or cell of
# its own. Each leaves out/<scenario>/log, and on failure (or --keep) every host's logs and the captures. --all writes RESULTS.md.
# LAB_KERNEL=host|uml|tcg picks the kernel, LAB_GATEWAY=xl2tpd puts the control peer in the gateway's place.
set -u
LAB_DIR=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
REPO=$(cd "$LAB_DIR/../.." && pwd)
OUT=$LAB_DIR/out
# shellcheck source=SCRIPTDIR/lib/kernel.sh
. "$LAB_DIR/lib/kernel.sh"

usage() { sed -n '2s/^# //p' "$0" >&2; exit 2; }
scenarios() { for c in "$LAB_DIR"/*/check; do [ -e "${c%/check}/bench" ] || basename "$(dirname "$c")"; done; }
fast() { for s in $(scenarios); do [ -e "$LAB_DIR/$s/slow" ] || echo "$s"; done; }
title() { sed -n '1s/^# *//p' "$LAB_DIR/$1/README.md"; }

chosen=() repeat=1 jobs=2 all=''
while [ $# -gt 0 ]; do
  case $1 in
    --list) for s in $(scenarios); do printf '%-22s %s\n' "$s" "$(title "$s")"; done; exit ;;
    --all) all=yes; mapfile -t chosen < <(scenarios) ;;
    --fast) mapfile -t chosen < <(fast) ;;
    --repeat) repeat=${2:-}; shift ;;
    --jobs) jobs=${2:-}; shift ;;
    --mutants) shift; exec bash "$LAB_DIR/mutants/run" "$@" ;;
    --keep) export LAB_KEEP=yes ;;
    -*) usage ;;
    *) [ -f "$LAB_DIR/$1/check" ] || { echo "lab: no scenario '$1' (npm run lab -- --list)" >&2; exit 2; }; chosen+=("$1") ;;
  esac
  shift
done
[[ ${#chosen[@]} -gt 0 && $repeat =~ ^[1-9][0-9]*$ && $jobs =~ ^[1-9][0-9]*$ ]] || usage
[ "$(id -u)" = 0 ] || { echo 'lab: must be root (network namespaces, IPsec)' >&2; exit 2; }
[ -n "${LAB_READY:-}" ] || "$REPO/.ci/setup.sh" || exit 1
lab_program || { echo 'lab: the program cannot be bundled' >&2; exit 1; }

where=$(lab_kernel)
[ "$where" != uml ] || echo "lab: this kernel lacks $(kernel_lacks): each scenario boots a user-mode Linux guest"
[ "$where" != tcg ] || "$LAB_DIR/tcg/kernel" "$REPO/build/tcg" || exit 1
trap 'trap "" TERM; kill $(jobs -p) 2>/dev/null; wait; exit 130' INT TERM HUP

# run SCENARIO OUT: in the background; leaves OUT/result with "pass|fail SECONDS".
run() {
  local scenario=$1 out=$2 began=$SECONDS status=0 child limit
  trap 'kill "$child" 2>/dev/null; wait "$child"; exit 130' TERM
  limit=$(cat "$LAB_DIR/$scenario/"{limit,slow} 2> /dev/null | head -n 1)
  in_kernel "$where" "${limit:-300}" "$out" "$scenario" > "$out/log" 2>&1 &
  child=$!
  wait "$child" || status=$?
  [ "$status" = 0 ] || [ -s "$out/failed" ] || echo "no verdict (status $status): $(tail -1 "$out/log")" > "$out/failed"
  if [ "$status" = 0 ]; then
    echo "pass $((SECONDS - began))" > "$out/result"
    printf 'ok    %-22s %3d s, %s checks%s\n' "$scenario" $((SECONDS - began)) "$(cat "$out/checks")" "$(notes "$out" ' · ')"
  else
    echo "fail $((SECONDS - began))" > "$out/result"
    printf 'FAIL  %-22s %3d s, %s\n' "$scenario" $((SECONDS - began)) "$(cat "$out/failed")"
    tail -n 12 "$out/log" | sed 's/^/      | /'
    echo "      logs and captures: ${out#"$REPO"/}"
  fi
}
kernel_name() {
  case $where in
    host) uname -r ;;
    uml) echo "user-mode Linux ($(version user-mode-linux))" ;;
    tcg) echo "$(ls "$REPO/build/tcg/lib/modules") in QEMU without KVM" ;;
  esac
}
# notes OUT FIRST: the scenario's measurements in one line.
notes() { [ ! -s "$1/notes" ] || { printf '%s' "$2"; paste -sd'|' "$1/notes" | sed 's/|/; /g'; }; }

outs=()
began=$SECONDS
for ((round = 1; round <= repeat; round++)); do
  for scenario in "${chosen[@]}"; do
    out=$OUT/$scenario
    [ "$repeat" = 1 ] || out=$out.$round
    rm -rf "$out"
    mkdir -p "$out"
    outs+=("$out")
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
    run "$scenario" "$out" &
  done
done
wait
took=$((SECONDS - began))

passed=0 failed=0
for out in "${outs[@]}"; do
  passed=$((passed + $(cat "$out/checks" 2> /dev/null || echo 0)))
  grep -q ^pass "$out/result" 2> /dev/null || failed=$((failed + 1))
done
echo "$passed $failed" > "$OUT/totals"

# tally SCENARIO: over its rounds.
tally() {
  local out verdict time
  runs=0 good=0 longest=0 checks=0 text=
  for out in "${outs[@]}"; do
    [[ ${out##*/} == "$1" || ${out##*/} =~ ^"$1"\.[0-9]+$ ]] || continue
    runs=$((runs + 1))
    read -r verdict time < "$out/result" || verdict=fail time=0
    [ "$verdict" != pass ] || good=$((good + 1))
    [ "$time" -le "$longest" ] || longest=$time
    checks=$(cat "$out/checks" 2> /dev/null || echo 0)
    # A failure is what the reader must see, whatever came after it.
    if [ "$verdict" != pass ]; then text=$(cat "$out/failed" 2> /dev/null); elif [ "$good" = "$runs" ]; then text=$(notes "$out" ''); fi
  done
}
# The table: one row per scenario, over its rounds.
table() {
  local scenario
  echo '# Lab results'
  echo
  echo "Written by \`npm run lab -- --all\`: one row per scenario, each run in a kernel of its own against real clients (strongSwan"
  echo "$(version charon-systemd), xl2tpd $(version xl2tpd), pppd $(version ppp))."
  echo
  echo "- commit $(git -C "$REPO" rev-parse --short HEAD)$([ -z "$(git -C "$REPO" status --porcelain -uno -- ':!test/lab/RESULTS.md')" ] || echo ' with uncommitted changes'), $(date -u '+%Y-%m-%d %H:%M') UTC"
  echo "- gateway: ${LAB_GATEWAY:-lockstep}; kernel: $(kernel_name); $(nproc) CPUs, $jobs at a time; whole run $took s"
  echo
  echo '| scenario | result | longest run | checks | measured |'
  echo '|---|---|---|---|---|'
  for scenario in "${chosen[@]}"; do
    tally "$scenario"
    echo "| $scenario | $([ "$good" = "$runs" ] && echo pass || echo FAIL) $good/$runs | $longest s | $checks | $text |"
  done
}
version() { dpkg-query -W -f '${Version}' "$1" 2> /dev/null | sed 's/^[0-9]*://; s/-[^-]*$//'; }
if [ -n "$all" ] && [ "${LAB_GATEWAY:-lockstep}" = lockstep ]; then
  table > "$LAB_DIR/RESULTS.md"
  # The rounds of one run say the same; the last one is written down.
  results=$(find "$OUT" -path '*/native-matrix*/native.jsonl' -size +0 | sort | tail -1)
  [ -z "$results" ] || node "$REPO/dist/test/clients/matrix.js" docs "$results" > "$REPO/docs/clients.md"
fi

if [ "$repeat" -gt 1 ]; then
  for scenario in "${chosen[@]}"; do
    tally "$scenario"
    printf '%-22s %d/%d, longest %d s\n' "$scenario" "$good" "$runs" "$longest"
  done
fi
echo "lab: $(( ${#outs[@]} - failed )) of ${#outs[@]} scenario runs passed, $passed checks, $took s"
[ "$failed" = 0 ]
