# TCP transfers with checksums. A stream is 100 000 000 bytes: ten million numbers that begin with the stream's own digit,
# so that every line names its stream and its place in it.
# shellcheck shell=bash
LINES_PER_STREAM=${LAB_LINES:-10000000}
stream() { seq "${1}00000000" $((${1}00000000 + LINES_PER_STREAM - 1)); }
stream_sum() { stream "$1" | sha256sum | cut -d' ' -f1; }
listening() { [ -n "$(on "$1" ss -ltnH "sport = :$2")" ]; }

# serve HOST STREAM PORT: HOST sends the stream to the first caller.
serve() {
  # Not by socat's SYSTEM: when that program ends before its last block is sent, the block is lost now and then.
  stream "$2" | on "$1" socat -u -b 65536 - "TCP-LISTEN:$3,reuseaddr" &
  wait_for 20 listening "$1" "$3" || fail "no listener on $1:$3"
}
# sink HOST NAME PORT: HOST writes the checksum of what the first caller sends to HOST's NAME.sum.
sink() {
  rm -f "$RUN/$1/$2.sum"
  { on "$1" socat -u -b 65536 "TCP-LISTEN:$3,reuseaddr" - | sha256sum | cut -d' ' -f1 > "$RUN/$1/$2.tmp"; mv "$RUN/$1/$2.tmp" "$RUN/$1/$2.sum"; } &
  wait_for 20 listening "$1" "$3" || fail "no listener on $1:$3"
}
# download HOST STREAM PORT [FROM]: the checksum of what HOST gets.
download() { on "$1" timeout 150 socat -u -b 65536 "TCP:${4:-$CORP}:$3" - | sha256sum | cut -d' ' -f1; }
# upload HOST STREAM PORT
upload() { stream "$2" | on "$1" timeout 150 socat -u -b 65536 - "TCP:$CORP:$3"; }

# transfers HOST STREAM: both ways between HOST and corp, one after the other, checksums compared.
transfers() {
  local host=$1 stream=$2 want began port=$((5000 + 10 * $2)) megabytes=$((LINES_PER_STREAM / 100000))
  want=$(stream_sum "$stream")
  serve corp "$stream" "$port"
  began=$(date +%s%N)
  same "$host: $megabytes MB down, checksums match" "$(download "$host" "$stream" "$port")" "$want"
  note "$host down $(rate "$megabytes" "$began")"
  sink corp "$host" $((port + 1))
  began=$(date +%s%N)
  upload "$host" "$stream" $((port + 1)) || fail "$host: the upload broke off"
  wait_for 30 test -f "$RUN/corp/$host.sum" || fail "$host: corp never saw the end of the upload"
  note "$host up $(rate "$megabytes" "$began")"
  same "$host: $megabytes MB up, checksums match" "$(cat "$RUN/corp/$host.sum")" "$want"
}
rate() { awk -v mb="$1" -v a="$2" -v b="$(date +%s%N)" 'BEGIN { printf "%.0f Mbit/s", mb * 8e9 / (b - a) }'; }

# flows HOST STREAM SECONDS [RATE]: both ways at once for so long; the sums of both ends are in HOST's {down,up}.{sent,got}.
# A stream is numbers that begin with its own digit, without an end: as fast as it goes, or RATE kilobytes a second.
flows() {
  local host=$1 dir=$RUN/$1 down=$((5000 + 10 * $2)) up=$((5001 + 10 * $2)) limit=$(($3 + 150))
  rm -f "$dir"/{down,up}.{sent,got} "$RUN/corp/$host".*
  endless "$2" "$3" "$dir/down.sent" "${4:-}" | on corp socat -u -b 65536 - "TCP-LISTEN:$down,reuseaddr" &
  sink corp "$host" "$up"
  wait_for 20 listening corp "$down" || fail "no listener on corp:$down"
  { on "$host" timeout $limit socat -u -b 65536 "TCP:$CORP:$down" - | sum_to "$dir/down.got"; } &
  endless "$2" "$3" "$dir/up.sent" "${4:-}" | on "$host" timeout $limit socat -u -b 65536 - "TCP:$CORP:$up" &
}
endless() { timeout "$2" seq "${1}00000000" "${1}99999999" | paced "${4:-}" | tee >(sum_to "$3"); }
# paced [KILOBYTES-PER-SECOND]
paced() {
  [ -n "${1:-}" ] || exec cat
  /usr/bin/python3 -c 'import sys, time
size, due = int(sys.argv[1]) * 20, time.monotonic()
while octets := sys.stdin.buffer.read(size):
    sys.stdout.buffer.write(octets)
    sys.stdout.buffer.flush()
    due = max(due + 0.02, time.monotonic() - 0.2)
    time.sleep(max(0, due - time.monotonic()))' "$1"
}
sum_to() { sha256sum | cut -d' ' -f1 > "$1.tmp"; mv "$1.tmp" "$1"; }
# flows_whole HOST SECONDS: both have ended, and what was sent was got.
flows_whole() {
  eventually $(($2 + 150)) "$1: both flows have ended" test -f "$RUN/$1/down.got" -a -f "$RUN/$1/down.sent" -a -f "$RUN/$1/up.sent" -a -f "$RUN/corp/$1.sum"
  same "$1: down, sum sent and got" "$(cat "$RUN/$1/down.got")" "$(cat "$RUN/$1/down.sent")"
  same "$1: up, sum sent and got" "$(cat "$RUN/corp/$1.sum")" "$(cat "$RUN/$1/up.sent")"
}
