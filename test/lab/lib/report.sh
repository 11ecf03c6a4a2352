# What a scenario says: steps, checks (counted) and notes. The first failed check ends it: what follows would mean nothing.
# shellcheck shell=bash
CHECKS=0 STEP=start FAILED=
seconds() { cut -d' ' -f1 /proc/uptime; }
BEGAN=$(seconds)
elapsed() { awk -v a="$BEGAN" -v b="$(seconds)" 'BEGIN { printf "%.1f", b - a }'; }

# step NAME TEXT: what comes next, in a word and in a sentence.
step() { step_took; STEP=$1; printf '[%5ss] %-11s %s\n' "$(elapsed)" "$1" "$2"; }
# step_took: notes how long the step now over was; times: where the time went, in one line.
TIMES=() STEP_BEGAN=0
step_took() {
  local now
  now=$(elapsed)
  TIMES+=("$(awk -v a="$STEP_BEGAN" -v b="$now" 'BEGIN { printf "%.0f", b - a }') $STEP")
  STEP_BEGAN=$now
}
times() {
  step_took
  printf '[%5ss] %-11s %s\n' "$(elapsed)" times "$(printf '%s\n' "${TIMES[@]}" | awk '{ t[$2] += $1 } END { for (s in t) if (t[s] > 1) print t[s], s }' |
    sort -rn | awk '{ printf "%s%s %s s", sep, $2, $1; sep = ", " }')"
}
passed() { CHECKS=$((CHECKS + 1)); printf '[%5ss] %-11s   ok %s\n' "$(elapsed)" '' "$1"; }
failed() {
  FAILED="$STEP: $1"
  printf '[%5ss] %-11s   not ok: %s\n' "$(elapsed)" '' "$1"
  printf '%s\n' "$FAILED" > "$LAB_OUT/failed"
}
fail() { failed "$1"; exit 1; }
# note TEXT: a measured number for the results table.
note() { printf '[%5ss] %-11s   %s\n' "$(elapsed)" '' "$1"; printf '%s\n' "$1" >> "$LAB_OUT/notes"; }
# show TEXT: what a program printed, for the reader.
show() {
  local line
  while IFS= read -r line; do printf '%22s| %s\n' '' "$line"; done <<< "$1"
}
