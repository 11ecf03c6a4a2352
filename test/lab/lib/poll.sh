# Conditions. Nothing in the lab sleeps for a length of time; it waits until something is so, at most for a length of time.
# shellcheck shell=bash

# A process costs the guest tens of milliseconds of its one CPU, which whoever is waited for needs, too: waiting starts none.
exec {NEVER}<> <(:)
# wait_for SECONDS COMMAND...: until the command succeeds; 1 when time is up.
wait_for() {
  local until=$((SECONDS + $1))
  shift
  until "$@" > /dev/null 2>&1; do
    [ "$SECONDS" -lt "$until" ] || return 1
    read -r -t 0.3 -u "$NEVER" || :
  done
}
# check TEXT COMMAND...: must be so now.
check() {
  local text=$1 said
  shift
  said=$("$@" 2>&1) || fail "$text (${*}${said:+: ${said:0:300}})"
  passed "$text"
}
# eventually SECONDS TEXT COMMAND...: must become so.
eventually() {
  local limit=$1 text=$2
  shift 2
  wait_for "$limit" "$@" || fail "$text: not within $limit s (${*})"
  passed "$text"
}
# same TEXT GOT WANTED: shows the value, too, unless it is long (a checksum).
same() {
  [ "$2" = "$3" ] || fail "$1: got '$2', wanted '$3'"
  if [ ${#2} -le 24 ]; then passed "$1: ${2:-none}"; else passed "$1"; fi
}
not() { ! "$@"; }
