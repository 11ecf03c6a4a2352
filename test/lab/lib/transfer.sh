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

# flows HOST STREAM SECONDS RATE: both ways at once, RATE kilobytes a second each, for so long or until flows_end; the sums of both ends
# are in HOST's STREAM.{down,up}.{sent,got}, and in STREAM.{down,up}.sent.octets how many were sent. A stream is numbers that begin with
# its own digit, without an end.
flows() {
  local host=$1 files=$RUN/$1/$2 down=$((5000 + 10 * $2)) up=$((5001 + 10 * $2)) limit=$(($3 + 150))
  rm -f "$files".*
  endless "$2" "$4" "$3" "$files.end" "$files.down.sent" | on corp socat -u -b 65536 - "TCP-LISTEN:$down,reuseaddr" &
  { on corp socat -u -b 65536 "TCP-LISTEN:$up,reuseaddr" - | sum_to "$files.up.got"; } &
  wait_for 20 listening corp "$up" || fail "no listener on corp:$up"
  wait_for 20 listening corp "$down" || fail "no listener on corp:$down"
  { on "$host" timeout $limit socat -u -b 65536 "TCP:$CORP:$down" - | sum_to "$files.down.got"; } &
  endless "$2" "$4" "$3" "$files.end" "$files.up.sent" | on "$host" timeout $limit socat -u -b 65536 - "TCP:$CORP:$up" &
}
# flows_end HOST STREAM
flows_end() { : > "$RUN/$1/$2.end"; }
# endless STREAM RATE SECONDS END-FILE SUM-FILE
endless() { seq "${1}00000000" "${1}99999999" 2> /dev/null | /usr/bin/python3 "$LAB_DIR/lib/paced.py" "${@:2:3}" "$5.octets" | tee >(sum_to "$5"); }
sum_to() { sha256sum | cut -d' ' -f1 > "$1.tmp"; mv "$1.tmp" "$1"; }
# flows_under_way, flows_over HOST STREAM: no end of either flow has seen its end; all four have.
flows_under_way() { ! compgen -G "$RUN/$1/$2.*.[sg]*t" > /dev/null; }
flows_over() { [ -f "$RUN/$1/$2.down.got" ] && [ -f "$RUN/$1/$2.down.sent" ] && [ -f "$RUN/$1/$2.up.sent" ] && [ -f "$RUN/$1/$2.up.got" ]; }
# flows_whole HOST STREAM SECONDS: both have ended, and what was sent was got.
flows_whole() {
  local files=$RUN/$1/$2
  eventually $(($3 + 150)) "$1: both flows have ended" flows_over "$1" "$2"
  same "$1: down, sum sent and got" "$(cat "$files.down.got")" "$(cat "$files.down.sent")"
  same "$1: up, sum sent and got" "$(cat "$files.up.got")" "$(cat "$files.up.sent")"
}
# flows_carried HOST STREAM KILOBYTES: so many at least, each of both; they have ended.
flows_carried() {
  local way octets
  for way in down up; do
    octets=$(cat "$RUN/$1/$2.$way.sent.octets")
    check "$1: $way, $((${octets:-0} / 1000)) kB of $3 at least" test "${octets:-0}" -ge $(($3 * 1000))
  done
}
