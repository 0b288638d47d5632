#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# enter.sh CHECKOUT ROOT OUT NETWORK COMMAND [ARG…]: pid 1 of a sandbox. Lays one overlay over ROOT,
# makes it the root directory, runs the command and reaps orphans; when it ends, the kernel ends
# whatever the command left behind.
#   CHECKOUT  seen read-only at /usr/src/ukey
#   OUT       a directory that is writable at /out, or empty
#   NETWORK   private or host
# Everything is mounted over a directory that every sandbox shares (each in its own mount
# namespace), so that the end of the namespace leaves nothing to clean up; and with -n, since
# otherwise mount would make a /run/mount for its notes.
set -eu
# shellcheck source=scripts/lib/child.sh
. "${0%/*}/child.sh"

main() {
    catch_signals
    checkout=$1 root=$2 out=$3 network=$4
    shift 4
    trap 'echo "scripts/sandbox: the sandbox could not be set up" >&2; exit 125' EXIT

    exec 9<&- # the supervisor's lock on the root
    cache=$(dirname "$(dirname "$root")")
    base=$cache/mnt
    mount -n --make-rprivate /
    mount -n -t tmpfs -o mode=755 sandbox "$base"
    mkdir "$base/upper" "$base/work" "$base/root"
    mount -n -t overlay -o "lowerdir=$root,upperdir=$base/upper,workdir=$base/work" sandbox "$base/root"
    cd "$base/root"

    # The kernel's own settings are the whole machine's: they stay as they are.
    mount -n -t proc proc proc
    for settings in proc/sys proc/sysrq-trigger; do
        [ ! -e "$settings" ] || mount -n --bind -o ro "$settings" "$settings"
    done
    mount -n -t sysfs -o ro sysfs sys
    mount -n -t tmpfs -o mode=755 run run
    mount -n -t tmpfs -o mode=1777 tmp tmp
    make_devices
    name_host
    mkdir -p usr/src/ukey
    mount -n --bind -o ro "$checkout" usr/src/ukey
    if [ -n "$out" ]; then
        mkdir -p out
        mount -n --bind "$out" out
    fi
    share_cache

    pivot_root . .
    umount -n -l .
    cd /usr/src/ukey
    [ "$network" = host ] || ! command -v ip >/dev/null || ip link set lo up
    trap - EXIT
    run_command "$@"
}

run_command() {
    if [ -t 0 ] && [ -t 1 ]; then
        # The person's terminal is not ours: a terminal of the sandbox's own, relayed, gives job
        # control, a /dev/tty, and a name under /dev/pts that su and login can report.
        command=
        for word in "$@"; do
            command="$command $(quote "$word")"
        done
        set -- script --quiet --return --command "exec$command" /dev/null
    fi
    # Tests run as root; rights that could harm the machine even from in here are taken away.
    run_child setpriv --bounding-set -sys_module,-sys_rawio,-sys_time,-sys_boot \
        env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        HOME=/root SHELL=/bin/sh LANG=C.UTF-8 TERM="${TERM:-dumb}" "$@"
}

# quote WORD: print it so that a shell reads back the same word.
quote() {
    printf '%s\n' "$1" | sed "s/'/'\\\\''/g; 1s/^/'/; \$s/\$/'/"
}

make_devices() {
    mount -n -t tmpfs -o mode=755 dev dev
    mkdir dev/pts dev/shm
    mount -n -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
    mount -n -t tmpfs -o mode=1777 shm dev/shm
    while read -r name major minor; do
        mknod -m 666 "dev/$name" c "$major" "$minor"
    done <<NODES
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
NODES
    ln -s pts/ptmx dev/ptmx
    ln -s /proc/self/fd dev/fd
    ln -s fd/0 dev/stdin
    ln -s fd/1 dev/stdout
    ln -s fd/2 dev/stderr
}

name_host() {
    hostname sandbox
    echo sandbox >etc/hostname
    printf '127.0.0.1 localhost sandbox\n::1 localhost\n' >etc/hosts
    rm -f etc/machine-id
    tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
    rm -f etc/resolv.conf
    [ "$network" = host ] || return 0
    # With the machine's network the sandbox gets its resolver and the authorities that it trusts.
    cat /etc/hosts >etc/hosts
    for file in etc/resolv.conf etc/ssl/certs/ca-certificates.crt; do
        [ -e "/$file" ] || continue
        mkdir -p "${file%/*}"
        cat "/$file" >"$file"
    done
}

# A sandbox can start sandboxes: it sees the roots that were built, and does not build. In a bare
# one, which is to show a machine that has nothing, the cache is empty and can be written; it is
# no part of the overlay, since the kernel stacks only two of them.
share_cache() {
    mkdir -p "./$cache"
    case $root in
    "$cache"/bare-*) mount -n -t tmpfs -o mode=755 cache "./$cache" ;;
    *) mount -n --bind -o ro "$cache" "./$cache" ;;
    esac
}

main "$@"
exit
