# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# shellcheck shell=sh
# Sourced by scripts/sandbox: the cache of roots that sandboxes lie over. Needs $checkout, say, die.
#
# A root is $cache/KEY/root, where KEY is a hash of all that it is made from, so that a changed list
# gets a new root, and one that is there is never written again. It is built under another name and
# renamed; one builder at a time.

cache=/var/cache/ukey-sandbox
# shellcheck source=scripts/lib/build-root.sh
. "${checkout:?}/scripts/lib/build-root.sh"
# shellcheck source=scripts/lib/package-roots.sh
. "$checkout/scripts/lib/package-roots.sh"

# root_key KIND: the name of the root of that kind: "bare" (required packages and apt), "full",
# "tools" (full, and what only tests need), "guest" (full, and what makes and runs a virtual
# machine), or one of package-roots.sh.
root_key() {
    # shellcheck disable=SC2086 # two files
    hash=$({
        cat "$checkout/scripts/lib/build-root.sh"
        case $1 in
        bare) ;;
        deb | rpm | host) package_inputs "$1" ;;
        *) cat "$packages" $requirements ;;
        esac
        case $1 in
        tools) cat "$tools" ;;
        guest) cat "$guest" ;;
        esac
        [ "$suite" = bookworm ] || echo "$suite"
        uname -m
    } | sha256sum | cut -c 1-16)
    echo "$1-$hash"
}

# ensure_root KIND TASK: set $root to a built root; the task "rebuild" builds even where there is one.
# File descriptor 9 then holds a lock on it until the process ends: it is not pruned before.
ensure_root() {
    key=$(root_key "$1")
    root=$cache/$key/root
    if [ ! -d "$root" ] || [ "$2" = rebuild ]; then
        mkdir -p "$cache/mnt" 2>/dev/null || die "$cache cannot be written, and holds no $key"
        exec 8>"$cache/lock"
        if ! flock --nonblock 8; then
            say "waiting for another build of a root to end"
            flock 8
        fi
        if [ ! -d "$root" ] || [ "$2" = rebuild ]; then
            add_root "$1" "$key"
            prune_roots "$key"
        fi
        exec 8>&-
    fi
    exec 9<"$cache/$key"
    flock --shared 9
    touch "$cache/$key" 2>/dev/null || :
}

# add_root KIND KEY: build it, in place of the one that may be there.
add_root() {
    if [ -d "$cache/$2" ] && ! flock --nonblock "$cache/$2" true; then
        die "the root is in use; try again when no sandbox runs"
    fi
    started=$(date +%s)
    say "building the root $2 under $cache: once, some minutes at most"
    rm -rf "$cache"/.building.*
    building=$cache/.building.$2
    mkdir -p "$building/$2"
    trap 'rm -rf "$building"; die "the root could not be built"' EXIT
    case $1 in
    deb | rpm | host) build_package_root "$1" "$building/$2/root" ;;
    *) build_root "$1" "$building/$2/root" ;;
    esac
    [ ! -d "$cache/$2" ] || mv "$cache/$2" "$building/before"
    mv "$building/$2" "$cache/"
    rm -rf "$building"
    trap - EXIT
    say "built in $(($(date +%s) - started)) s"
}

# Remove roots that nothing uses now and nobody has used for two weeks.
prune_roots() {
    find "$cache" -mindepth 1 -maxdepth 1 -type d -name '*-*' ! -name "$1" -mtime +14 |
        while read -r old; do
            flock --nonblock "$old" rm -rf "$old" || :
        done
}
