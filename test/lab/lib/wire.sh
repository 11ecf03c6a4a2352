# What went over the wan: a capture of all but full-size ESP packets (headers), and one of UDP 1701 in clear.
# shellcheck shell=bash
wire_start() {
  local log
  # -U: a packet is in the file when it has passed, so that the file can be read while the capture runs.
  on wan tcpdump -i br0 -n -U -s 192 -w "$RUN/wan/wire.pcap" 'not ((esp or udp port 4500) and greater 700)' 2> "$RUN/wan/wire.log" &
  on wan tcpdump -i br0 -n -U -s 0 -w "$RUN/wan/clear.pcap" udp port 1701 2> "$RUN/wan/clear.log" &
  for log in wire clear; do
    wait_for 20 grep -q listening "$RUN/wan/$log.log" || fail "tcpdump does not start: $(cat "$RUN/wan/$log.log")"
  done
}
# packets CAPTURE MOST [FILTER]: how many packets match, counting up to MOST.
packets() { tcpdump -n -c "$2" -r "$RUN/wan/$1.pcap" "${@:3}" 2> /dev/null | wc -l; }
CLEAR_PROBE="src host $C4 and dst host $ISP"
wire_sees_clear() { [ "$(packets clear 1 "$CLEAR_PROBE")" = 1 ]; }
# wire_clean [clients-excused]: during the whole run the gateway sent no L2TP in clear, and nor did a client, unless the scenario
# makes a client lose its SA while its xl2tpd goes on. Both captures see what they are for, or they would prove nothing: encrypted
# packets, and one in clear from c4 to its router.
wire_clean() {
  step wire 'what an observer on the wan saw'
  on c4 bash -c "echo x > /dev/udp/$ISP/1701"
  eventually 20 'the capture of UDP 1701 in clear works' wire_sees_clear
  check 'encrypted packets were captured' test "$(packets wire 21 'esp or udp port 4500')" = 21
  same 'UDP 1701 packets in clear from the gateway' "$(packets clear 99 "src host $GW${GW6:+ or src host $GW6}")" 0
  [ "${1:-}" = clients-excused ] || same 'UDP 1701 packets in clear from anybody' "$(packets clear 99 "not ($CLEAR_PROBE)")" 0
}
