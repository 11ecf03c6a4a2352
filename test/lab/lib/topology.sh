# The lab's network, one namespace per host:
#
#   corp 10.20.0.10 --lan-- 10.20.0.1 gw 198.51.100.1 --+-- 198.51.100.2 nat 192.168.77.1 --+-- c1 192.168.77.11
#                                                       |                                   +-- c2 192.168.77.12
#   wan (a bridge)                                      +-- 198.51.100.13 c3, 198.51.100.14 c4
#                                                       +-- 198.51.100.254 web 203.0.113.80  (the internet)
#
# c1 and c2 share nat's address. corp and web have no route to the clients' pool: the gateway must translate.
# shellcheck shell=bash disable=SC2034
GW=198.51.100.1 NAT=198.51.100.2 C1=192.168.77.11 C2=192.168.77.12 C3=198.51.100.13 C4=198.51.100.14
CORP=10.20.0.10 WEB=203.0.113.80 ISP=198.51.100.254

# on HOST COMMAND... (not by `ip netns exec`, which mounts /sys anew each time; nothing here looks into it)
on() { local host=$1; shift; nsenter --net="/run/netns/$host" ${MOUNTS[$host]:+--target="${MOUNTS[$host]}" --mount --root --wd} "$@"; }
declare -A MOUNTS=() # of hosts that have packages of their own (layer.sh)

topology() {
  local host
  for host in wan gw corp nat c1 c2 c3 c4 web; do
    [ -e "/run/netns/$host" ] || echo "netns add $host"
    mkdir -p "$RUN/$host"
  done | ip -batch -
  {
    echo 'link add br0 netns wan type bridge'
    echo 'link add br0 netns nat type bridge'
    for host in gw nat c3 c4 web; do echo "link add $host netns wan type veth peer name wan netns $host"; done
    for host in c1 c2; do echo "link add $host netns nat type veth peer name lan netns $host"; done
    echo 'link add lan netns gw type veth peer name lan netns corp'
  } | ip -batch -
  for host in gw nat c3 c4 web; do echo "link set $host master br0 up"; done | ip -n wan -batch -
  ip -n wan link set br0 up
  for host in c1 c2; do echo "link set $host master br0 up"; done | ip -n nat -batch -
  host gw wan $GW/24 $ISP lan 10.20.0.1/24
  host nat wan $NAT/24 $ISP br0 192.168.77.1/24
  host corp lan $CORP/24 ''
  host c1 lan $C1/24 192.168.77.1
  host c2 lan $C2/24 192.168.77.1
  host c3 wan $C3/24 $ISP
  host c4 wan $C4/24 $ISP
  host web wan $ISP/24 '' lo $WEB/32
  on nat sysctl -qw net.ipv4.ip_forward=1
  on web sysctl -qw net.ipv4.ip_forward=1
  on nat iptables-legacy -t nat -A POSTROUTING -o wan -j MASQUERADE
}
# host NAME DEVICE ADDRESS/LEN DEFAULT-ROUTE|'' [DEVICE ADDRESS/LEN]
host() {
  ip -n "$1" -batch - << X
link set lo up
link set $2 up
addr add $3 dev $2
${4:+route add default via $4}
${5:+link set $5 up}
${5:+addr add $6 dev $5}
X
}
# host_files HOST ROLE: the role's default files, then the scenario's own for this host, into the host's directory.
host_files() {
  local from file
  for from in "$LAB_DIR/hosts/$2" "$LAB_DIR/$SCENARIO/hosts/$1"; do
    [ -d "$from" ] || continue
    for file in "$from"/*; do
      (umask 077; sed "s#@DIR@#$RUN/$1#g" "$file" > "$RUN/$1/${file##*/}")
    done
  done
}
