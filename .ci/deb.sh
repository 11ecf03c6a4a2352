#!/bin/bash
# deb.sh [--tgz]: builds build/lockstep_<version>_<arch>.deb, or the same files as build/lockstep-<version>-<arch>.tgz for
# systems without dpkg. Needs debhelper and dh-apparmor; says what is missing.
set -eu
cd "$(dirname "$(readlink -f "$0")")/.."
out=$PWD/build
missing=$(for p in debhelper dh-apparmor build-essential python3; do dpkg-query -W -f '${db:Status-Status}\n' $p 2> /dev/null | grep -qx installed || echo $p; done)
[ -z "$missing" ] || { echo "deb: apt-get install" $missing >&2; exit 1; }
version=$(dpkg-parsechangelog -S Version) arch=$(dpkg --print-architecture)
[ "$version" = "$(node -p "require('./package.json').version")" ] || { echo "deb: debian/changelog says $version, package.json does not" >&2; exit 1; }
export DEB_BUILD_OPTIONS="nocheck ${DEB_BUILD_OPTIONS:-}" LOCKSTEP_OUT=$out DEB_RULES_REQUIRES_ROOT=no
SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -S Timestamp)
export SOURCE_DATE_EPOCH
mkdir -p "$out"
echo 'deb: building; minutes the first time' >&2
[ -n "${LOCKSTEP_BUILT:-}" ] || [ -d node_modules ] || npm ci --no-audit --no-fund --loglevel=error > "$out/deb.log" 2>&1 || { tail -5 "$out/deb.log" >&2; exit 1; }
debian/rules clean > "$out/deb.log" 2>&1
debian/rules binary >> "$out/deb.log" 2>&1 || { tail -20 "$out/deb.log" >&2; exit 1; }
made=$out/lockstep_${version}_$arch.deb
if [ "${1:-}" = --tgz ]; then
  made=$out/lockstep-$version-$arch.tgz
  tar -C debian/lockstep --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --exclude=./DEBIAN -cf - . | gzip -9n > "$made"
fi
debian/rules clean >> "$out/deb.log" 2>&1
ls -l "$made"
