# The control peer (LAB_GATEWAY=xl2tpd): charon and xl2tpd as LNS in place of our gateway, to try scenarios and clients
# without it. It has no sessions command and no event log: what asks for these is skipped. Two scenarios fail with it by its nature:
# two-clients (it cannot tell clients behind one NAT apart) and internet-through-nat (its tunnel outlives the SA).
# shellcheck shell=bash
start_gateway() {
  host_files gw xl2tpd
  ike_daemon gw
  check 'gw: charon has its configuration' swan gw --load-all --noprompt --file "$RUN/gw/swanctl.conf"
  install -m 600 "$RUN/gw/chap-secrets" /etc/ppp/chap-secrets
  on gw sysctl -qw net.ipv4.ip_forward=1
  on gw iptables-legacy -t nat -A POSTROUTING -s 10.99.0.0/24 ! -d 10.99.0.0/24 -j MASQUERADE
  on gw xl2tpd -D -c "$RUN/gw/xl2tpd.conf" -p "$RUN/gw/xl2tpd.pid" -C "$RUN/gw/l2tp-control" > "$RUN/gw/xl2tpd.log" 2>&1 &
  echo $! > "$RUN/gw/xl2tpd.job"
  eventually 20 'gw: xl2tpd is listening' xl2tpd_listens
}
xl2tpd_listens() { [ -n "$(on gw ss -lunH 'sport = :1701')" ]; }
gateway_event() { skip "log event $1"; }
gateway_sessions() { skip "sessions: $1"; }
gateway_no_sessions() { ! ip -n gw -o link | grep -q ': ppp'; }
gateway_disconnect() { client_hangup "${2:-c1}"; }
keeps_secret() { skip "secrets in logs"; }
gateway_clean_exit() { skip 'clean exit'; }
skip() { echo "         skipped with xl2tpd as the gateway: $1"; }
gateway_ends_ike() { false; }
gateway_table() { skip 'the joined table'; }
