# Where scenarios run: on this kernel when it can, otherwise in a user-mode Linux guest. LAB_KERNEL=host|uml|tcg decides by hand;
# tcg is Debian's stock kernel in QEMU without KVM: two CPUs and slow.
# shellcheck shell=bash

# lab_kernel: prints host, uml or tcg.
lab_kernel() {
  case ${LAB_KERNEL:-} in
    host | uml | tcg) echo "$LAB_KERNEL" ;;
    *) if [ -z "$(kernel_lacks)" ]; then echo host; else echo uml; fi ;;
  esac
}
# lab_program: build/lab, the program as it is installed, which gateway-lockstep.sh starts; another run may be building it, too.
lab_program() {
  local built=$REPO/build/lab/dist/src/main.js fresh
  [ -f "$built" ] && [ -z "$(find "$REPO/dist/src" "$REPO"/packages/*/dist "$REPO"/packages/*/build/Release "$REPO/ipsec" "$REPO/src/page" \
    -maxdepth 4 -type f -newer "$built" -print -quit)" ] && return
  mkdir -p "$REPO/build"
  fresh=$(mktemp -d "$REPO/build/lab.XXXXXX")
  node "$REPO/.ci/bundle.mjs" "$fresh" --bare && rm -rf "$REPO/build/lab" && mv -T "$fresh" "$REPO/build/lab"
}
# kernel_lacks: what this kernel misses of ESP, PPP over L2TP, TUN, bridges and SO_RCVMARK; empty when it has all.
kernel_lacks() {
  local lacks=() zeros=00000000000000000000000000000000 version
  modprobe -qa esp4 xfrm_user cbc hmac authenc ppp_generic l2tp_ppp tun veth bridge 2> /dev/null
  unshare --net ip xfrm state add src 127.0.0.1 dst 127.0.0.1 proto esp spi 0x100 mode transport \
    auth 'hmac(sha1)' "0x${zeros}00000000" enc 'cbc(aes)' "0x$zeros" 2> /dev/null || lacks+=(ESP)
  (: < /dev/ppp) 2> /dev/null || lacks+=(PPP)
  [ -c /dev/net/tun ] || lacks+=(TUN)
  unshare --net sh -c 'ip link add lab0 type veth peer name lab1 && ip link add br0 type bridge' 2> /dev/null || lacks+=(veth/bridge)
  version=$(uname -r)
  [ "$(printf '%s\n' 5.19 "$version" | sort -V | head -1)" = 5.19 ] || lacks+=(SO_RCVMARK)
  echo "${lacks[*]}"
}
# in_kernel host|uml|tcg SECONDS OUT SCENARIO: becomes (exec) the run of the scenario's cell there; OUT is the directory that is kept.
# Call it in the background: the job is then the run itself, and TERM ends it with all it started.
in_kernel() {
  local where=$1 limit=$2 out=$3 scenario=$4 variable variables=()
  [ ! -f "$LAB_DIR/$scenario/packages" ] || layers "$LAB_DIR/$scenario/packages"
  if [ -f "$LAB_DIR/$scenario/boot" ]; then
    in_booted "$limit" "$out" "$scenario"
  elif [ "$where" = host ]; then
    LAB_OUT=$out LAB_LIMIT=$limit exec timeout -k 5 $((limit + 60)) bash "$LAB_DIR/lib/cell.sh" "$scenario"
  else
    for variable in LAB_GATEWAY LAB_LINES LAB_KEEP LAB_SECONDS LAB_ROUNDS LAB_LOAD LAB_MUTANT LAB_NATIVE LAB_PACKAGES; do
      [ -z "${!variable:-}" ] || variables+=(-e "$variable=${!variable}")
    done
    [ "$where" = uml ] || LAB_MEMORY=${LAB_MEMORY:-1500M} limit=$((3 * limit))
    exec bash "$LAB_DIR/$where/run" -m "${LAB_MEMORY:-512M}" -t $((limit + 60)) -w "$out" -e LAB_OUT="$out" -e LAB_LIMIT="$limit" \
      ${variables[@]+"${variables[@]}"} "$LAB_DIR/lib/cell.sh" "$scenario"
  fi
}
# layers FILE: makes what its lines name, one layer each; the first lies uppermost.
layers() {
  local packages
  LAB_PACKAGES=
  while read -ra packages; do LAB_PACKAGES+=${LAB_PACKAGES:+:}$("$LAB_DIR/debian-layer" "${packages[@]}") || exit 125; done < "$1"
  export LAB_PACKAGES
}
# in_booted SECONDS OUT SCENARIO: the same in a Debian of its own: the suite named in the scenario's `boot`, with the package.
in_booted() {
  local limit=$1 out=$2 scenario=$3 root
  "$LAB_DIR/debian-package" "$out" || exit 125
  root=$("$LAB_DIR/debian-root" "$(cat "$LAB_DIR/$scenario/boot")" "$out/old.deb") || exit 125
  exec bash "$LAB_DIR/uml/run" -m "${LAB_MEMORY:-1200M}" -t $((limit + 60)) -r "$root" -w "$out" -e LAB_OUT="$out" -e LAB_LIMIT="$limit" \
    -e LAB_BOOTED=yes "$LAB_DIR/lib/cell.sh" "$scenario"
}
