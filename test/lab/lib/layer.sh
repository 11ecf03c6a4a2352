# A host whose file system has Debian packages laid over this machine's: those that conflict with what the gateway needs (the
# scenario's file `packages`, ../debian-layer). /usr, /etc, /var and /run are the host's own, and nothing written there stays.
# shellcheck shell=bash

# layered HOST: whatever runs `on` it from now on sees these mounts.
layered() {
  local dir=$RUN/$1
  mkdir -p "$dir"/over/{usr,etc,var}/{up,work} "$dir/over/run"
  # It also keeps the mounts; not in the host's network, where client_crash would find it.
  unshare --mount bash -eu -c '
    for tree in usr etc var; do
      mount -t overlay -o "lowerdir=$(sed "s#:#/$tree:#g" <<< "$3")/$tree:/$tree,upperdir=$2/over/$tree/up,workdir=$2/over/$tree/work,xino=off" over /$tree
    done
    mount -t tmpfs -o mode=755 ppp /etc/ppp
    : > /etc/ppp/options
    mount -t tmpfs -o mode=755 run "$2/over/run"
    mkdir "$2"/over/run/{lock,lab}
    mount --bind /run/lab "$2/over/run/lab"
    nsenter --net="/run/netns/$1" mount -t sysfs -o ro sys /sys
    mount --rbind "$2/over/run" /run
    cd /
    : > /run/layered
    exec sleep infinity
  ' layered "$1" "$dir" "$LAB_PACKAGES" 2> "$dir/layered.log" &
  MOUNTS[$1]=$!
  wait_for 90 on "$1" test -e /run/layered || fail "$1: no layer of packages: $(cat "$dir/layered.log")"
}
