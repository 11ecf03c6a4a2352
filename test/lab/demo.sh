#!/bin/bash
# npm run demo: everything from nothing on a fresh Debian 12 with Node 20, as root. Runs the scenario demo/ and shows what it says.
# The last line is "demo: ok" (exit 0) or "demo: failed: STAGE: REASON" (exit 1).
set -u
LAB_DIR=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
REPO=$(cd "$LAB_DIR/../.." && pwd)
# shellcheck source=SCRIPTDIR/lib/kernel.sh
. "$LAB_DIR/lib/kernel.sh"

failed() { echo "demo: failed: $*"; exit 1; }
stop() {
  trap '' INT TERM HUP
  [ -z "$child" ] || { kill "$child" 2> /dev/null; wait "$child"; }
  rm -rf "$out"
  failed 'stopped: by a signal'
}

[ "$(id -u)" = 0 ] || failed 'set-up: must be root (network namespaces, IPsec)'
"$REPO/.ci/setup.sh" || failed 'set-up: see above'
lab_program || failed 'set-up: the program cannot be bundled'
where=$(lab_kernel)
if [ "$where" = host ]; then
  echo "demo: this kernel ($(uname -r)) can do ESP and L2TP/PPP: running in namespaces on it"
else
  echo "demo: this kernel ($(uname -r)) lacks $(kernel_lacks): booting a user-mode Linux guest on this machine's files"
fi
child='' out=$(mktemp -d "${TMPDIR:-/tmp}/lockstep-demo.XXXXXX")
trap stop INT TERM HUP
in_kernel "$where" 240 "$out" demo &
child=$!
status=0
wait "$child" || status=$?
reason=$(cat "$out/failed" 2> /dev/null)
if [ "$status" != 0 ]; then
  rm -rf "$LAB_DIR/out/demo"
  mkdir -p "$LAB_DIR/out"
  mv "$out" "$LAB_DIR/out/demo"
  echo "demo: logs and captures are in ${LAB_DIR#"$REPO"/}/out/demo"
  failed "${reason:-kernel: the guest ended without a verdict (status $status)}"
fi
rm -rf "$out"
echo 'demo: ok'
