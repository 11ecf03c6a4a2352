# In which order the layers end, on packets: the gateway's L2TP as its kernel sees it outside ESP (what came out of it, and what is on
# its way in), and the IKE informational exchanges it begins (a Delete, where there is no DPD). One queue of the kernel holds all, so
# that their order is the true one.
# shellcheck shell=bash

story_watch() {
  local log=(-j NFLOG --nflog-group 17 --nflog-threshold 1)
  STORY=$RUN/gw/story.pcap
  on gw iptables-legacy -t mangle -A INPUT -p udp --dport 1701 "${log[@]}" &&
    on gw iptables-legacy -t mangle -A OUTPUT -p udp --sport 1701 "${log[@]}" &&
    on gw iptables-legacy -t mangle -A OUTPUT -p udp --sport 4500 -m u32 --u32 '0>>22&0x3C@8=0 && 0>>22&0x3C@28>>8&0xFF=5' "${log[@]}" ||
    fail 'gw: cannot watch its packets'
  ip netns exec gw tcpdump -i nflog:17 -n -U -w "$STORY" 2> "$RUN/gw/story.log" &
  STORY_JOB=$!
  wait_for 20 grep -q listening "$RUN/gw/story.log" || fail "gw: tcpdump does not start: $(cat "$RUN/gw/story.log")"
}
story_end() {
  on gw iptables-legacy -t mangle -F INPUT
  on gw iptables-legacy -t mangle -F OUTPUT
  kill "$STORY_JOB" 2> /dev/null
  wait_for 20 not kill -0 "$STORY_JOB"
}
story_packets() { tcpdump -n -r "$STORY" 2> /dev/null; }
# story_cut: what `story` looks at begins here.
story_cut() { STORY_CUT=$(story_packets | wc -l); }
# story: the messages of an end, each when it was first seen, in one line. "ack" is the first word of the other side, a ZLB or any
# other control message, whose Nr is past the StopCCN.
story() {
  story_packets | tail -n "+$((STORY_CUT + 1))" | awk -v gw="$GW" '
    { side = index($0, "IP " gw ".") ? "gw" : "client"; other = side == "gw" ? "client" : "gw"; said = "" }
    / isakmp/ { tell("gw", "IKE-Delete"); next }
    match($0, /Ns=[0-9]+,Nr=[0-9]+/) {
      split(substr($0, RSTART, RLENGTH), n, /[=,]/)
      if (stopped[other] && n[4] > stop[other]) tell(side, "ack")
    }
    /MSGTYPE\(StopCCN\)|\(StopCCN\)/ { stopped[side] = 1; stop[side] = n[2]; tell(side, "StopCCN") }
    /\(CDN\)/ { tell(side, "CDN") }
    /LCP, Term-Request/ { tell(side, "TermReq") }
    /LCP, Term-Ack/ { tell(side, "TermAck") }
    function tell(who, what) { if (!told[who, what]++) printf "%s%s:%s", count++ ? " " : "", who, what }
    END { print "" }'
}
story_over() { story | grep -q 'gw:IKE-Delete'; }
# after_delete: L2TP packets of the gateway after its first IKE Delete.
after_delete() { story_packets | tail -n "+$((STORY_CUT + 1))" | awk -v gw="$GW" '/ isakmp/ { gone = 1; next } gone && index($0, "IP " gw ".1701 ") { n++ } END { print n + 0 }'; }
# in_order WANTED [WORD]: the story, without WORD (what may come at any time), is this one, and it ends with the IKE SA's.
in_order() {
  local told
  eventually 60 'gw: it has deleted the IKE SA' story_over
  told=$(story)
  [ -z "${2:-}" ] || told=$(tr ' ' '\n' <<< "$told" | grep -vx "$2" | paste -sd' ')
  same 'on the wire, in order' "$told" "$1"
  show "$told"
  nothing_after_delete
}
nothing_after_delete() { same 'gw: L2TP packets after the IKE Delete' "$(after_delete)" 0; }
