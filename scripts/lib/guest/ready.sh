# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# shellcheck shell=sh
# Sourced by scripts/vm, vm-test and vm-bench: a guest's disk with the checkout's package. Needs
# $checkout and $command, the script's name.
#
# All that is made is kept under $guests, by a hash of all that it is made from, for any checkout
# that wants the same. One is made at a time, and any number may be used.
#   package-KEY/    the package of a checkout
#   base-KEY/base/  what guests start from
#   base-KEY/disk-KEY/  a disk made of it, with a package on it

guests=/var/cache/ukey-guest

# The megabytes of free memory that a guest takes, with the programs that run it.
needed_mb=1536

say() {
    echo "${command:?}: $*" >&2
}

# need_memory WHAT: true if there is enough; else false, having said so, with WHAT in front.
need_memory() {
    free_mb=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
    [ "$free_mb" -ge "$needed_mb" ] && return
    say "$1$free_mb MB of memory are free, and a guest takes $needed_mb"
    return 1
}

# make_guest: set $folder, to be /out in a sandbox, and $base, $disk and $package, as they are called in
# there. They are kept until this process ends and all those that it has started since, which have
# its file descriptors 5 to 7.
make_guest() {
    files=${checkout:?}/scripts/lib/guest
    folder=$guests/base-$(cat "$checkout/packaging/guest-packages.txt" \
        "$checkout/scripts/lib/build-root.sh" "$files/base.sh" "$files/initrd.sh" \
        "$files/label.sh" "$files/vmlinux.py" | key)
    mkdir -p "$guests"
    exec 4>"$guests/lock"
    if ! flock --nonblock 4; then
        say "waiting for a guest that somebody else makes"
        flock 4
    fi
    ensure_package
    ensure_base
    ensure_disk
    exec 4>&-
}

# Set $deb to the package of this checkout.
ensure_package() {
    kept=$guests/package-$(
        # shellcheck source=scripts/lib/package/common.sh
        . "$checkout/scripts/lib/package/common.sh"
        cd "$checkout" && fingerprint | key
    )
    if [ ! -d "$kept" ]; then
        rm -rf "$guests/new"
        mkdir "$guests/new"
        "$checkout/scripts/package" deb --offline --out "$guests/new" >"$guests/package.log" 2>&1 \
            4>&- || failed "$guests/package.log"
        mv "$guests/new" "$kept"
    fi
    exec 5<"$kept"
    hold 5 "$kept"
    prune "$guests" 'package-*' 3
    deb=$(echo "$kept"/*.deb)
}

# Set $base.
ensure_base() {
    if [ ! -d "$folder/base" ]; then
        say "making what guests start from, once: some minutes"
        rm -rf "$folder"
        mkdir -p "$folder/new"
        "$checkout/scripts/sandbox" --guest --network host --out "$folder" -- \
            sh scripts/lib/guest/base.sh /out/new >"$folder/base.log" 2>&1 4>&- ||
            failed "$folder/base.log"
        mv "$folder/new" "$folder/base"
    fi
    exec 6<"$folder"
    hold 6 "$folder"
    prune "$guests" 'base-*' 2
    # shellcheck disable=SC2034 # the script that sources this uses it
    base=/out/base
}

# Set $disk.
ensure_disk() {
    name=disk-$( (cat "$deb" && find "$files" -type f | sort | xargs cat) | key)
    if [ ! -d "$folder/$name" ]; then
        rm -rf "$folder/new"
        mkdir "$folder/new"
        cp "$deb" "$folder/new/package.deb"
        "$checkout/scripts/sandbox" --guest --out "$folder" -- \
            sh scripts/lib/guest/image.sh /out/base /out/new/package.deb /out/new/disk \
            >"$folder/disk.log" 2>&1 4>&- || failed "$folder/disk.log"
        mv "$folder/new" "$folder/$name"
    fi
    exec 7<"$folder/$name"
    hold 7 "$folder/$name"
    prune "$folder" 'disk-*' 3
    # shellcheck disable=SC2034 # the script that sources this uses them
    disk=/out/$name/disk package=/out/$name/package.deb
}

key() {
    sha256sum | cut -c 1-16
}

# hold DESCRIPTOR DIRECTORY: use it, so that it is not removed before the descriptor is closed.
hold() {
    flock --shared "$1"
    touch "$2"
}

# prune DIRECTORY NAMES NUMBER: of what is in there, keep the NUMBER that were used last, and all
# that are used now.
prune() {
    find "$1" -mindepth 1 -maxdepth 1 -name "$2" -printf '%T@ %p\n' | sort -rn | cut -d' ' -f2 |
        tail -n "+$(($3 + 1))" | while read -r old; do
        flock --nonblock "$old" rm -rf "$old" || :
    done
}

failed() {
    tail -n 30 "$1" >&2
    say "no guest could be made; all that was said is in $1"
    exit 1
}
