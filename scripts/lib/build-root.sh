# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# shellcheck shell=sh
# Sourced by root.sh: how a root is made. Its hash is in the root's name.

suite=bookworm
packages=${checkout:?}/packaging/sandbox-packages.txt
tools=$checkout/packaging/sandbox-tools.txt
guest=$checkout/packaging/sandbox-guest.txt
requirements="$checkout/packaging/requirements-dev.txt $checkout/packaging/requirements-vendor.txt"
# Namespaces of its own, which end with us: a build that is interrupted leaves no mount and no
# process, and what it leaves of files, the next one removes.
alone="setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child"

# build_root KIND DIRECTORY
build_root() {
    install_bootstrap
    case $1 in
    bare) make_debian "$2" apt ;; # apt is in every root anyway
    full)
        names=$(listed "$packages" ,)
        make_debian "$2" "$names"
        add_python "$2"
        ;;
    tools)
        copy_full "$2"
        add_packages "$2" "$tools"
        add_policy "$2"
        ;;
    guest)
        copy_full "$2"
        add_packages "$2" "$guest"
        ;;
    esac
}

# copy_full DIRECTORY: the others lie over the plain root.
copy_full() {
    full=${cache:?}/$(root_key full)/root
    if [ -d "$full" ]; then
        cp -a --reflink=auto "$full" "$1"
    else
        build_root full "$1"
    fi
}

# listed FILE SEPARATOR: the packages that a list names.
listed() {
    [ -s "$1" ] || die "$1 is missing"
    sed 's/#.*//' "$1" | tr -s ' \n' "$2$2" | sed "s/^$2//; s/$2\$//"
}

# make_debian DIRECTORY PACKAGES
make_debian() {
    debian_sources | $alone mmdebstrap \
        --mode=root --variant=minbase --format=directory --include="$2" \
        --aptopt='Acquire::Languages "none"' --aptopt="$(apt_settings)" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        "$suite" "$1" - >&2
    # Packages that are installed later start nothing either; mmdebstrap sees to its own.
    printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
    chmod 755 "$1/usr/sbin/policy-rc.d"
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

# add_python DIRECTORY: the tests' environment in /opt/dev, and in /opt/wheels the wheels that
# scripts/install unpacks without a network.
add_python() {
    say "adding the tests' Python packages"
    mkdir "$1/tmp/pip"
    # shellcheck disable=SC2086 # two files
    cp $requirements "$1/tmp/pip/"
    bundle=/etc/ssl/certs/ca-certificates.crt
    [ ! -e "$bundle" ] || cp "$bundle" "$1/tmp/pip/authorities.crt"
    # shellcheck disable=SC2016 # the inner shell's variables
    within "$1" '
        python3 -m venv --system-site-packages /opt/dev
        export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_PROGRESS_BAR=off
        export PIP_ROOT_USER_ACTION=ignore PIP_REQUIRE_HASHES=1
        [ ! -e /tmp/pip/authorities.crt ] || export PIP_CERT=/tmp/pip/authorities.crt
        /opt/dev/bin/pip install --requirement /tmp/pip/requirements-dev.txt
        /opt/dev/bin/pip download --no-deps --only-binary :all: --dest /opt/wheels \
            --requirement /tmp/pip/requirements-vendor.txt'
    rm -rf "$1/tmp/pip"
}

# add_packages DIRECTORY LIST: what a list names, beside what is there.
add_packages() {
    say "adding the packages of ${2##*/}"
    names=$(listed "$2" ' ')
    within "$1" "
        export DEBIAN_FRONTEND=noninteractive
        apt-get update
        apt-get install --yes --no-install-recommends $names
        apt-get clean"
}

# add_policy DIRECTORY: Debian's whole SELinux policy, linked in a store of its own in
# /opt/selinux-policy: `semodule --path` adds modules to it where no SELinux is. Other than on
# Debian's hosts, neverallow rules are checked there.
add_policy() {
    say "linking Debian's SELinux policy"
    # shellcheck disable=SC2016 # the inner shell's variables
    within "$1" '
        cd /tmp
        apt-get download selinux-policy-default
        dpkg-deb --extract selinux-policy-default_*.deb /opt/selinux-policy
        dpkg-deb --control selinux-policy-default_*.deb control
        off=$(sed -n "s/^notdefault=\"\(.*\)\"/\1/p" control/postinst)
        rm -r selinux-policy-default_*.deb control
        cd /opt/selinux-policy
        mkdir -p var/lib/selinux/default etc/selinux/default/policy
        sed "s/^expand-check *=.*/expand-check=1/" /etc/selinux/semanage.conf \
            >etc/selinux/semanage.conf
        grep -qx expand-check=1 etc/selinux/semanage.conf
        set --
        for module in $(cat usr/share/selinux/default/.modules); do
            set -- "$@" --install="usr/share/selinux/default/$module.pp.bz2"
        done
        for module in $off; do
            set -- "$@" --disable="$module"
        done
        semodule --noreload --path=/opt/selinux-policy --store=default --priority=100 "$@"'
}

# within DIRECTORY SCRIPT: run a shell script in a root, with this machine's network.
within() {
    cp /etc/resolv.conf "$1/etc/resolv.conf"
    # shellcheck disable=SC2016 # the inner shell's variables
    $alone sh -euc '
        mount -n --make-rprivate /
        mount -n -t proc proc "$1/proc"
        mount -n --rbind /dev "$1/dev"
        exec chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
            http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" no_proxy="${no_proxy:-}" \
            PIP_INDEX_URL="${PIP_INDEX_URL:-https://pypi.org/simple}" sh -euc "$2"' \
        sh "$1" "$2" >&2
}
