#!/bin/bash
# setup.sh [--tests]: everything the other commands need, on a fresh Debian 12 with Node 20, as root: packages, node_modules, native
# addons, compiled TypeScript. Does only what is missing, says what it does, and is quick when nothing is.
set -eu
shopt -s nullglob
cd "$(dirname "$(readlink -f "$0")")/.."
say() { echo "setup: $*"; }
die() { echo "setup: $*" >&2; exit 1; }

# Compiler and headers for the addons; IPsec; the lab's guest kernel, its client, its tools.
PACKAGES=(
  build-essential python3
  charon-systemd strongswan-swanctl libstrongswan-standard-plugins libcharon-extra-plugins
  user-mode-linux xl2tpd ppp
  busybox iproute2 iptables jq kmod nftables procps socat strongswan-pki tcpdump
)
# What only the tests want: the status page's browser, vagrant to check its file, what makes the package and a Debian to install it in.
[ "${1:-}" != --tests ] || PACKAGES+=(chromium vagrant vagrant-libvirt debhelper dh-apparmor mmdebstrap)

packages() {
  local missing=() installed
  command -v dpkg-query > /dev/null || die "this is not Debian: install what these Debian packages hold: ${PACKAGES[*]}"
  installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${PACKAGES[@]}" 2> /dev/null || true)
  for package in "${PACKAGES[@]}"; do
    grep -qx "$package installed" <<< "$installed" || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || die "must be root to install: ${missing[*]}"
  say "apt-get install ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -o DPkg::Lock::Timeout=300 -qq update
  no_services
  apt-get -o DPkg::Lock::Timeout=300 -qq install -y --no-install-recommends "${missing[@]}" > /dev/null
}
# strongSwan and xl2tpd come with services that would take UDP 500, 4500 and 1701 at once: do not start them.
no_services() {
  [ ! -e /usr/sbin/policy-rc.d ] || return 0
  printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
  chmod +x /usr/sbin/policy-rc.d
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
}

node_version() {
  command -v npm > /dev/null || die 'Node.js 20 with npm is needed (https://nodejs.org)'
  local major
  major=$(node -p 'process.versions.node.split(".")[0]')
  [ "$major" -ge 20 ] || die "Node.js 20 or later is needed, this is $(node --version)"
}

modules() {
  [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ] || return 0
  say 'npm ci'
  npm ci --no-audit --no-fund --loglevel=error
  touch node_modules/.package-lock.json
}

addons() {
  local gyp dir built said
  for gyp in packages/*/binding.gyp; do
    dir=${gyp%/*}
    built=$(find "$dir/build/Release" -maxdepth 1 -name '*.node' -print -quit 2> /dev/null || true)
    if [ -z "$built" ] || [ -n "$(find "$gyp" "$dir/src" .ci/build-native.mjs -type f -newer "$built" -print -quit)" ]; then
      say "building ${dir#packages/}"
      said=$(node .ci/build-native.mjs "${dir#packages/}" 2>&1) || die "building ${dir#packages/} failed:"$'\n'"$said"
    fi
  done
}

typescript() {
  # tsc -b looks at every project even when nothing changed (1.5 s): compare dates first.
  local stamp=dist/.built
  if [ -f $stamp ] && [ -z "$(find src test packages tsconfig.json package-lock.json -path '*/node_modules' -prune -o -path '*/dist' -prune \
    -o -path '*/build' -prune -o -path test/lab/out -prune -o \( -name '*.ts' -o -name '*.json' -o -type d \) -newer $stamp -print -quit)" ]; then
    return
  fi
  say 'tsc -b'
  mkdir -p dist
  local began
  began=$(mktemp dist/.building.XXXXXX) # its date; another run may be building, too
  node_modules/.bin/tsc -b || { rm -f "$began"; return 1; }
  mv "$began" $stamp
}

packages
node_version
modules
addons
typescript
