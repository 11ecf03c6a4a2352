# The life of two IKEv2 clients behind one NAT; what they authenticate with is the scenario's.
# shellcheck shell=bash

ikev2_life() {
  local before rekeys
  step connect 'c1 and c2, IKEv2 from behind the NAT'
  start_client c1
  start_client c2
  gateway_sessions 'length == 2 and all(.[]; .ike.version == 2 and .child.encap == true) and (map(.child.mark) | unique | length) == 2' \
    'two sessions over IKEv2, ESP in UDP, a mark each'
  to_corp c1
  to_corp c2

  step rekey 'c1 rekeys its CHILD_SA, then its IKE SA, while both ping'
  cut_log
  before=$(session_identity alice)
  ping_start c1 "$CORP" 0.5
  ping_start c2 "$CORP" 0.5
  rekeys=$(child_ids c1)
  check 'c1: rekeys the CHILD_SA' swan c1 --rekey --child l2tp
  eventually 20 'c1: the CHILD_SA is another' child_changed c1 "$rekeys"
  rekeys=$(ike_ids c1)
  check 'c1: rekeys the IKE SA' swan c1 --rekey --ike l2tp
  eventually 20 'c1: the IKE SA is another' ike_changed c1 "$rekeys"
  eventually 20 'c1: one IKE SA is left' one_ike c1
  check 'c1: it is the new one' ike_changed c1 "$rekeys"
  no_ping_lost c1
  same 'gw: the same tunnel, session, address and mark' "$(session_identity alice)" "$before"
  check 'gw: no event of L2TP or PPP' undisturbed

  step delete 'c1 deletes its IKE SA, and says nothing of L2TP'
  check 'c1: the IKE SA is deleted' client_ike_down c1
  gateway_event session.end '.user == "alice"' 'session.end for alice'
  gateway_sessions 'length == 1 and .[0].user == "bob"' 'bob stays'

  step reconnect 'c1 again; the administrator ends it'
  client_crash c1
  start_client c1
  check 'c1 reaches the gateway' reaches c1 10.99.0.1
  gateway_disconnect alice
  eventually 30 'c1: PPP is gone' ppp_gone c1
  eventually 30 'c1: its SA was deleted by the gateway' no_sa c1
  no_ping_lost c2
  gateway_clean_exit
  wire_clean clients-excused
}
child_ids() { swan "$1" --list-sas --raw 2> /dev/null | grep -o 'spi-in=[0-9a-f]*' | sort | tr '\n' ' '; }
ike_ids() { swan "$1" --list-sas --raw 2> /dev/null | grep -o 'initiator-spi=[0-9a-f]*' | sort | tr '\n' ' '; }
child_changed() { local now; now=$(child_ids "$1"); [ -n "$now" ] && [ "$now" != "$2" ]; }
ike_changed() { local now; now=$(ike_ids "$1"); [ -n "$now" ] && [ "$now" != "$2" ]; }
one_ike() { [ "$(ike_ids "$1" | wc -w)" = 1 ]; }
