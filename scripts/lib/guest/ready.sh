# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# shellcheck shell=sh
# Sourced by scripts/vm, vm-test and vm-bench: a guest's disk with the checkout's package. Needs
# $checkout and $command, the script's name.
#
# $guests/KEY holds what guests start from, where KEY is a hash of all that it is made from, and the
# disk that was made of it last, for the package whose hash is in its name.

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

# make_guest: set $folder, to be /out in a sandbox, and $base and $disk as they are called in there.
# File descriptor 7 holds a lock on it: nobody replaces the disk meanwhile.
make_guest() {
    files=${checkout:?}/scripts/lib/guest
    hash=$(cat "$checkout/packaging/guest-packages.txt" "$checkout/scripts/lib/build-root.sh" \
        "$files/base.sh" "$files/initrd.sh" "$files/label.sh" "$files/vmlinux.py" |
        sha256sum | cut -c 1-16)
    folder=$guests/$hash
    # shellcheck disable=SC2034 # whoever sources this uses it
    base=/out/base
    mkdir -p "$folder"
    touch "$folder"
    prune_guests
    exec 7>"$folder/lock"
    if ! flock --nonblock 7; then
        say "waiting for another guest of this checkout to end"
        flock 7
    fi
    if [ ! -d "$folder/base" ]; then
        say "making what guests start from, once: some minutes"
        rm -rf "$folder/new"
        mkdir "$folder/new"
        "$checkout/scripts/sandbox" --guest --network host --out "$folder" -- \
            sh scripts/lib/guest/base.sh /out/new >"$folder/base.log" 2>&1 7>&- ||
            failed "$folder/base.log"
        mv "$folder/new" "$folder/base"
    fi
    "$checkout/scripts/package" deb --offline --out "$folder" >"$folder/package.log" 2>&1 7>&- ||
        failed "$folder/package.log"
    package=$(tail -n 1 "$folder/package.log")
    key=$( (cat "$package" && find "$files" -type f -exec cat {} +) | sha256sum | cut -c 1-16)
    disk=/out/$key.img
    if [ ! -e "$folder/$key.img" ]; then
        rm -rf "$folder"/*.img* # of another package, or what was left of one that failed
        "$checkout/scripts/sandbox" --guest --out "$folder" -- \
            sh scripts/lib/guest/image.sh /out/base "/out/${package##*/}" "$disk" \
            >"$folder/image.log" 2>&1 7>&- || failed "$folder/image.log"
    fi
}

# Remove what nobody has made a guest of for two weeks.
prune_guests() {
    find "$guests" -mindepth 1 -maxdepth 1 -type d -mtime +14 | while read -r old; do
        flock --nonblock "$old/lock" rm -rf "$old" || :
    done
}

failed() {
    tail -n 30 "$1" >&2
    say "no guest could be made; all that was said is in $1"
    exit 1
}
