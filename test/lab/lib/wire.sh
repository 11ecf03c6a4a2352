# What went over the wan: one capture of everything (headers), one of UDP 1701 in clear, which must stay empty.
# shellcheck shell=bash
wire_start() {
  # -U: a packet is in the file when it has passed, so that the file can be read while the capture runs.
  on wan tcpdump -i br0 -n -U -s 192 -w "$RUN/wan/wire.pcap" 2> "$RUN/wan/wire.log" &
  on wan tcpdump -i br0 -n -U -s 0 -w "$RUN/wan/clear.pcap" udp port 1701 2> "$RUN/wan/clear.log" &
  local log
  for log in wire clear; do
    wait_for 20 grep -q listening "$RUN/wan/$log.log" || fail "tcpdump does not start: $(cat "$RUN/wan/$log.log")"
  done
}
packets() { tcpdump -n -r "$RUN/wan/$1.pcap" "${@:2}" 2> /dev/null | wc -l; }
# wire_clean: nothing of L2TP was seen in clear, and encrypted traffic was seen at all (or the capture proves nothing).
wire_clean() {
  step wire 'what an observer on the wan saw'
  check 'encrypted packets were captured' test "$(packets wire 'esp or udp port 4500')" -gt 20
  same 'UDP 1701 packets in clear' "$(packets clear)" 0
}
