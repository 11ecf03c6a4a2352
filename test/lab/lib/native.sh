# Emulated native clients (test/clients): a charon with their offers and a program that speaks their L2TP and PPP.
# shellcheck shell=bash
declare -A NATIVE_USER=([c1]='alice secret1' [c2]='bob secret2' [c3]='carol secret3' [c4]='dave secret4')
declare -A NATIVE_ADDRESS=([c1]=$C1 [c2]=$C2 [c3]=$C3 [c4]=$C4)

# native_prepare HOST...: charon runs, with no connection yet.
native_prepare() {
  local host
  for host; do
    host_files "$host" client
    ike_daemon "$host"
  done
}
# native HOST JOB...: in the background; NATIVE_JOBS are their processes.
NATIVE_JOBS=()
native() {
  local host=$1
  # shellcheck disable=SC2086
  on "$host" node "$REPO/dist/test/clients/lab.js" "$host" "$RUN/$host" "${NATIVE_ADDRESS[$host]}" ${NATIVE_USER[$host]} "${@:2}" \
    >> "$RUN/$host/native.jsonl" 2>> "$RUN/$host/native.err" &
  NATIVE_JOBS+=($!)
}
# native_done: all of them have ended, and did not fail at what they are.
native_done() {
  local pid
  for pid in "${NATIVE_JOBS[@]}"; do wait "$pid" || fail "native client: $(cat "$RUN"/c?/native.err | tail -3)"; done
  NATIVE_JOBS=()
  cat "$RUN"/c?/native.jsonl > "$LAB_OUT/native.jsonl"
}
# native_verdicts: one check for each dial so far.
native_verdicts() {
  local ok line bad=0
  [ -s "$LAB_OUT/native.jsonl" ] || fail 'no dial'
  while IFS=$'\t' read -r ok line; do
    if [ "$ok" = true ]; then passed "$line"; else failed "$line"; bad=1; fi
  done < <(jq -r '[.ok, "\(.client) by \(.method), \(.path), \(.host): \(.why // "\(.ms) ms, \(.ike), \(.esp)\(if .informed then ", DHCPINFORM answered" else "" end)")"] | @tsv' "$LAB_OUT/native.jsonl")
  [ "$bad" = 0 ]
}
