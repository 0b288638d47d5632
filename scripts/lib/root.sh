# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# shellcheck shell=sh
# Sourced by scripts/sandbox: the roots that sandboxes lie over. Needs $checkout, and say and die.
#
# A root is $cache/KEY/root, where KEY is a hash of all that it is made from, this file included, so
# that a changed list gets a new root and a used one is never written again. It is built under
# another name and renamed; one builder at a time.

cache=/var/cache/ukey-sandbox
suite=bookworm
alone="setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child"
packages=${checkout:?}/packaging/sandbox-packages.txt
requirements="$checkout/packaging/requirements-dev.txt $checkout/packaging/requirements-vendor.txt"

# root_key KIND: the name of the root of that kind, "full" or "bare" (required packages and apt).
root_key() {
    # shellcheck disable=SC2086 # two files
    hash=$({
        cat "$checkout/scripts/lib/root.sh"
        [ "$1" = bare ] || cat "$packages" $requirements
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
            build_root "$1" "$key"
            prune_roots "$key"
        fi
        exec 8>&-
    fi
    exec 9<"$cache/$key"
    flock --shared 9
    touch "$cache/$key" 2>/dev/null || :
}

build_root() {
    started=$(date +%s)
    say "building the Debian 12 root $2 under $cache: once, some minutes at most"
    install_bootstrap
    rm -rf "$cache"/.building.*
    building=$cache/.building.$2
    mkdir "$building"
    trap 'rm -rf "$building"' EXIT
    include=apt # which every root has anyway
    [ "$1" = bare ] || include=$(sed 's/#.*//' "$packages" | tr -s ' \n' ',,' | sed 's/^,//; s/,$//')
    # Namespaces of its own, which end with us: an interrupted build leaves no mount and no process,
    # and what it leaves of files, the next one removes.
    # shellcheck disable=SC2016 # the hooks' $1 is mmdebstrap's: the root
    debian_sources | $alone mmdebstrap \
        --mode=root --variant=minbase --format=directory --include="$include" \
        --aptopt='Acquire::Languages "none"' --aptopt="$(apt_settings)" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --setup-hook='mkdir -p "$1/usr/sbin"' \
        --setup-hook='printf "#!/bin/sh\nexit 101\n" >"$1/usr/sbin/policy-rc.d"' \
        --setup-hook='chmod 755 "$1/usr/sbin/policy-rc.d"' \
        "$suite" "$building/root" - >&2
    [ "$1" = bare ] || add_python
    if [ -d "$cache/$2" ]; then
        mv "$cache/$2" "$building/before"
    fi
    mv "$building/root" "$building/done"
    mkdir "$building/$2"
    mv "$building/done" "$building/$2/root"
    mv "$building/$2" "$cache/$2"
    rm -rf "$building"
    trap - EXIT
    say "built in $(($(date +%s) - started)) s"
}

# The machine gets the bootstrap tool and nothing else.
install_bootstrap() {
    command -v mmdebstrap >/dev/null && return
    command -v apt-get >/dev/null || die "mmdebstrap is missing, and there is no apt to install it"
    say "installing mmdebstrap, which builds the root"
    DEBIAN_FRONTEND=noninteractive apt-get update >&2
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends mmdebstrap >&2
}

# The machine's own sources of this suite of Debian, whether one-line or deb822, in one-line form;
# Debian's, where it has none. Third parties' are told apart by where Debian's mirrors keep it.
debian_sources() {
    # shellcheck disable=SC2016 # apt's variables
    found=$(apt-get indextargets --no-release-info --format \
        'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
        grep -E "^deb [^ ]+/debian(-security)?/? $suite(-updates|-security)? main\$" | sort -u) || :
    if [ -z "$found" ]; then
        found="deb http://deb.debian.org/debian $suite main
deb http://deb.debian.org/debian $suite-updates main
deb http://deb.debian.org/debian-security $suite-security main"
    fi
    echo "$found"
}

# What the machine's apt needs to reach an archive, its root's needs too.
apt_settings() {
    apt-config dump --format '%F "%v";%n' Acquire 2>/dev/null |
        grep -E '^Acquire::(https?::Proxy|Check-Valid-Until|Check-Date) ' || echo '// none'
}

# The tests' environment in /opt/dev, and the wheels that scripts/install unpacks without a network.
add_python() {
    say "adding the tests' Python packages"
    cp /etc/resolv.conf "$building/root/etc/resolv.conf"
    mkdir "$building/root/tmp/pip"
    # shellcheck disable=SC2086 # two files
    cp $requirements "$building/root/tmp/pip/"
    bundle=/etc/ssl/certs/ca-certificates.crt
    [ ! -e "$bundle" ] || cp "$bundle" "$building/root/tmp/pip/authorities.crt"
    # shellcheck disable=SC2016 # the inner shells' variables
    $alone sh -euc '
        mount --make-rprivate /
        mount -t proc proc "$1/proc"
        mount --rbind /dev "$1/dev"
        exec chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
            http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" no_proxy="${no_proxy:-}" \
            PIP_INDEX_URL="${PIP_INDEX_URL:-https://pypi.org/simple}" sh -euc "$2"' \
        sh "$building/root" '
        python3 -m venv --system-site-packages /opt/dev
        export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_PROGRESS_BAR=off
        export PIP_ROOT_USER_ACTION=ignore PIP_REQUIRE_HASHES=1
        [ ! -e /tmp/pip/authorities.crt ] || export PIP_CERT=/tmp/pip/authorities.crt
        /opt/dev/bin/pip install --requirement /tmp/pip/requirements-dev.txt
        /opt/dev/bin/pip download --no-deps --only-binary :all: --dest /opt/wheels \
            --requirement /tmp/pip/requirements-vendor.txt' >&2
    rm -rf "$building/root/tmp/pip"
}

# Remove roots that nothing uses and nobody has for two weeks.
prune_roots() {
    find "$cache" -mindepth 1 -maxdepth 1 -type d -name '*-*' ! -name "$1" -mtime +14 |
        while read -r old; do
            flock --nonblock "$old" rm -rf "$old" || :
        done
}
