# What a scenario says: steps, checks (counted) and notes. The first failed check ends it: what follows would mean nothing.
# shellcheck shell=bash
CHECKS=0 STEP=start FAILED=
seconds() { cut -d' ' -f1 /proc/uptime; }
# elapsed: sets NOW to the tenths of a second since the beginning, and ELAPSED to how they read. No process is started for it: in the
# guest that takes 30 ms and more, and hundreds of lines are written.
elapsed() {
  local up
  read -r up _ < /proc/uptime
  up=${up/./}
  NOW=$((up / 10 - ${BEGAN:-0}))
  ELAPSED=$((NOW / 10)).$((NOW % 10))
}
elapsed
BEGAN=$NOW

# step NAME TEXT: what comes next, in a word and in a sentence.
step() { step_took; STEP=$1; printf '[%5ss] %-11s %s\n' "$ELAPSED" "$1" "$2"; }
# step_took: notes how long the step now over was; times: where the time went, in one line.
TIMES=() STEP_BEGAN=0
step_took() {
  elapsed
  TIMES+=("$(((NOW - STEP_BEGAN + 5) / 10)) $STEP")
  STEP_BEGAN=$NOW
}
times() {
  step_took
  printf '[%5ss] %-11s %s\n' "$ELAPSED" times "$(printf '%s\n' "${TIMES[@]}" | awk '{ t[$2] += $1 } END { for (s in t) if (t[s] > 1) print t[s], s }' |
    sort -rn | awk '{ printf "%s%s %s s", sep, $2, $1; sep = ", " }')"
}
passed() { CHECKS=$((CHECKS + 1)); elapsed; printf '[%5ss] %-11s   ok %s\n' "$ELAPSED" '' "$1"; }
failed() {
  FAILED="$STEP: $1"
  elapsed
  printf '[%5ss] %-11s   not ok: %s\n' "$ELAPSED" '' "$1"
  printf '%s\n' "$FAILED" > "$LAB_OUT/failed"
}
fail() { failed "$1"; exit 1; }
# note TEXT: a measured number for the results table.
note() { elapsed; printf '[%5ss] %-11s   %s\n' "$ELAPSED" '' "$1"; printf '%s\n' "$1" >> "$LAB_OUT/notes"; }
# show TEXT: what a program printed, for the reader.
show() {
  local line
  while IFS= read -r line; do printf '%22s| %s\n' '' "$line"; done <<< "$1"
}
