# The Linux client as Debian ships it: strongSwan (charon-systemd, swanctl), xl2tpd and pppd; configured by hosts/client.
# shellcheck shell=bash

# start_client HOST: files, charon, IKE, xl2tpd, PPP; returns when PPP has its address.
start_client() {
  client_prepare "$1"
  client_ipsec "$1"
  client_l2tp "$1"
}
# client_prepare HOST: configuration in place, charon running.
client_prepare() {
  host_files "$1" client
  client_charon "$1"
}
client_charon() {
  ike_daemon "$1"
  check "$1: charon has its configuration" swan "$1" --load-all --noprompt --file "$RUN/$1/swanctl.conf"
}
# ike_daemon HOST: a charon of the host's own (not under systemd), in the background.
ike_daemon() {
  local dir=$RUN/$1
  mkdir -p "$dir"/{x509,x509ca,x509ocsp,x509aa,x509ac,x509crl,pubkey,private,rsa,ecdsa,bliss,pkcs8,pkcs12}
  STRONGSWAN_CONF=$dir/strongswan.conf on "$1" charon-systemd > "$dir/charon.out" 2>&1 &
  echo $! > "$dir/charon.pid"
  wait_for 60 test -S "$dir/vici" || fail "$1: charon does not start: $(tail -1 "$dir/charon.out")"
}
# swan HOST SWANCTL-ARGUMENT...
swan() { STRONGSWAN_CONF=$RUN/$1/strongswan.conf swanctl "$2" --uri "unix://$RUN/$1/vici" "${@:3}"; }

client_ipsec() {
  client_initiate "$1" || fail "$1: IKE: $(client_ike_error "$1")"
  passed "$1: IKE SA and CHILD_SA established"
}
client_initiate() { swan "$1" --initiate --child l2tp --timeout 60 > "$RUN/$1/initiate.log" 2>&1; }
client_ike_error() { grep -vE '^\[(ENC|NET)\]' "$RUN/$1/initiate.log" | tail -3 | tr '\n' ' '; }

client_l2tp() {
  client_dial "$1"
  wait_for 60 ppp_up "$1" || fail "$1: no PPP address: $(tail -1 "$RUN/$1/xl2tpd.log") / $(client_ppp_last "$1")"
  passed "$1: PPP is up with $(ppp_address "$1")"
}
client_dial() {
  local dir=$RUN/$1
  on "$1" xl2tpd -D -c "$dir/xl2tpd.conf" -p "$dir/xl2tpd.pid" -C "$dir/l2tp-control" > "$dir/xl2tpd.log" 2>&1 &
  echo $! > "$dir/xl2tpd.job"
}
client_ppp_last() { tail -2 "$RUN/$1/ppp.log" 2> /dev/null | tr '\n' ' '; }
ppp_address() { [[ $(ip -n "$1" -4 -o addr show dev ppp0 2> /dev/null) =~ inet\ ([0-9.]+) ]] && echo "${BASH_REMATCH[1]}"; }
ppp_up() { [[ $(ip -n "$1" -4 -o addr show dev ppp0) == *inet* ]]; }
ppp_gone() { ! ip -n "$1" link show ppp0; }
ppp_said() { grep -qE -- "$2" "$RUN/$1/ppp.log"; }
reaches() { on "$1" busybox ping -q -c 1 -W 2 "$2"; }
sa_count() { ip -n "$1" xfrm state | grep -c ^src; }
no_sa() { [ -z "$(ip -n "$1" xfrm state)" ]; }

# client_hangup HOST: what `echo d` does: pppd ends, CDN and StopCCN go out; IPsec is left to the gateway.
client_hangup() { echo 'd gw' > "$RUN/$1/l2tp-control"; }
client_ike_down() { swan "$1" --terminate --ike l2tp --timeout 20 > "$RUN/$1/terminate.log" 2>&1; }
