#!/usr/bin/env bash
# Installs the Debian package on bare Debian systems, and runs trial_inside.sh in each: the service under systemd, a prediction, the
# metrics, a replaced model, a drill, and the removal. Besides systemd, the systems have only what every Debian has, not even curl.
#
#     trial.sh PACKAGE.deb [SUITE…]     by default bookworm and trixie; as root, with debootstrap
#
# A system is a folder that debootstrap fills once (target/dist-trial). Each trial changes a copy of it, and runs in its own
# namespaces (processes, mounts, network, control groups), in which systemd starts as in a container.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,9p' "$0"; exit 2; }
[ "$(id -u)" = 0 ] || { echo "error: debootstrap and mount need root; run it with sudo" >&2; exit 1; }
package=$(realpath "$1")
shift
[ $# -gt 0 ] || set -- bookworm trixie
here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../target}
mkdir -p "$target/dist-trial"
target=$(cd "$target/dist-trial" && pwd)
mirror=$(awk '/^URIs:/ { print $2; exit }' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
mirror=${DEBIAN_MIRROR:-${mirror:-http://deb.debian.org/debian}}

work='' system=''
clean() {
    if [ -n "$system" ]; then
        kill -KILL "$system" 2>/dev/null || true
        wait "$system" 2>/dev/null || true
    fi
    if [ -n "$work" ]; then
        umount --lazy --recursive "$work/root" 2>/dev/null || true
        rm -rf --one-file-system "$work"
    fi
    work='' system=''
}
trap clean EXIT

for suite in "$@"; do
    echo "== $suite: $(basename "$package")"
    base=$target/$suite
    if [ ! -e "$base/ready" ]; then
        rm -rf --one-file-system "$base"
        mkdir -p "$base/root"
        debootstrap --variant=minbase --include=systemd "$suite" "$base/root" "$mirror" >"$base/log" 2>&1 \
            || { tail -n 5 "$base/log" >&2; exit 1; }
        touch "$base/ready"
    fi
    work=$(mktemp -d "$base/run.XXXXXX")
    mkdir "$work/upper" "$work/work" "$work/root"
    mount -t overlay overlay -o "lowerdir=$base/root,upperdir=$work/upper,workdir=$work/work" "$work/root"
    install -m 644 "$package" "$work/root/root/package.deb"
    install -m 755 "$here/trial_boot.sh" "$here/trial_inside.sh" "$work/root/root/"
    # With --fork, the process that unshare starts is the first one of the new namespace.
    unshare --pid --fork --kill-child --mount --uts --ipc --net --cgroup \
        bash "$work/root/root/trial_boot.sh" "$work/root" >"$work/boot.log" 2>&1 </dev/null &
    system=$!
    first=
    for _ in $(seq 300); do
        first=$(cat "/proc/$system/task/$system/children" 2>/dev/null | tr -d ' ') || true
        inside=(nsenter --target "${first:-0}" --all env -i LANG=C.UTF-8 TERM=dumb
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
        # "degraded" means that units failed which need hardware.
        state=$("${inside[@]}" systemctl is-system-running 2>/dev/null) || true
        case $state in running | degraded) break ;; esac
        kill -0 "$system" 2>/dev/null || break
        sleep 0.1
    done
    case $state in
    running | degraded) ;;
    *)
        cat "$work/boot.log" >&2
        echo "error: systemd does not start in a namespace of this machine; it needs root and a kernel with cgroup2" >&2
        exit 1
        ;;
    esac
    "${inside[@]}" bash /root/trial_inside.sh </dev/null
    clean
done
