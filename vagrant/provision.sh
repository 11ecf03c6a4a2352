#!/bin/bash
# provision.sh gw|nat|c1|c2|corp: makes this machine that host of the lab. Run as root by vagrant; the tree is in /lockstep.
set -eu
role=$1
export DEBIAN_FRONTEND=noninteractive
install_packages() { apt-get -qq update && apt-get -qq install -y --no-install-recommends "$@" > /dev/null; }

case $role in
  gw)
    if ! command -v npm > /dev/null; then   # Debian 12 has Node 18, the build wants 20
      install_packages ca-certificates curl
      curl -fsSL https://deb.nodesource.com/setup_20.x | bash - > /dev/null
      install_packages nodejs
    fi
    /lockstep/.ci/setup.sh
    systemctl disable --now --quiet strongswan xl2tpd 2> /dev/null || true
    install -d -m 700 /etc/lockstep
    for file in /lockstep/test/lab/hosts/gw/*; do
      (umask 077; sed 's#@DIR@#/etc/lockstep#g' "$file" > "/etc/lockstep/${file##*/}")
    done
    systemctl stop --quiet lockstepd 2> /dev/null || true
    systemd-run --quiet --unit lockstepd node /lockstep/dist/src/main.js --config /etc/lockstep/lockstep.yaml
    ;;
  nat)
    install_packages iptables
    sysctl -qw net.ipv4.ip_forward=1
    wan=$(ip -o -4 addr show to 198.51.100.2 | awk '{ print $2 }')
    rule=(POSTROUTING -o "$wan" -j MASQUERADE)
    iptables -t nat -C "${rule[@]}" 2> /dev/null || iptables -t nat -A "${rule[@]}"
    ;;
  c1 | c2)
    install_packages charon-systemd strongswan-swanctl libstrongswan-standard-plugins xl2tpd ppp busybox procps socat
    systemctl disable --now --quiet strongswan xl2tpd 2> /dev/null || true
    ip route replace 198.51.100.0/24 via 192.168.77.1
    ;;
  corp)
    install_packages socat
    ip route replace unreachable 10.99.0.0/24   # the gateway must translate
    ;;
esac
