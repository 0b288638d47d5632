# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# shellcheck shell=sh
# Sourced by root.sh: the roots that packages are built in, and tried on. Like every root, each is
# made from nothing but what its name has the hash of: a dependency that is dropped from
# debian/control is not in the next one either.

control=${checkout:?}/packaging/debian/control
#: What journey.sh and acceptance.sh install behind the package: they have no network.
behind='iproute2 login openssh-client openssh-server openssl sudo vsmartcard-vpcd'

# package_inputs KIND: print what the root of that kind is made from, beside a bare one.
package_inputs() {
    cat "$checkout/scripts/lib/package-roots.sh"
    case $1 in
    deb) cat "$control" "$(pinned vendor)" ;;
    rpm) cat "$(pinned vendor)" "$(pinned gmssl)" ;;
    host) cat "$control" ;;
    esac
}

# pinned NAME: the file with the hashes of vendored libraries.
pinned() {
    echo "$checkout/packaging/requirements-$1.txt"
}

# build_package_root KIND DIRECTORY: "deb" and "rpm", what that package says it is built with, and
# the vendored libraries in /opt/wheels; "host", what the .deb says it needs to run.
build_package_root() {
    copy_bare "$2"
    say "adding what the package needs"
    within "$2" 'apt-get update'
    case $1 in
    deb)
        add_wheels "$2" vendor
        mkdir -p "$2/tmp/source/debian"
        cp "$control" "$2/tmp/source/debian/"
        within "$2" "$install build-essential; $install_for /tmp/source; apt-get clean"
        rm -r "$2/tmp/source"
        ;;
    rpm)
        add_wheels "$2" vendor gmssl
        within "$2" "$install rpm; apt-get clean"
        ;;
    host)
        rm -f "$2"/etc/dpkg/dpkg.cfg.d/* # people's machines have the documents
        within "$2" "$satisfy '$(depends)'; apt-get clean; $install --download-only $behind"
        ;;
    esac
}

# A root that a crash leaves half-written is built again: dpkg need not wait for the disk.
apt='DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Options::=--force-unsafe-io'
apt="$apt --yes --no-install-recommends"
install="$apt install"
install_for="$apt build-dep"
satisfy="$apt satisfy"

# depends: what the .deb depends on, but for what only its build finds out.
depends() {
    # shellcheck disable=SC2016 # the build's variables
    sed -n '/^Depends:/,/^[^ ]/s/^ //p' "$control" | sed '/\${/d' | tr -d '\n' | sed 's/,$//'
}

copy_bare() {
    bare=${cache:?}/$(root_key bare)/root
    if [ -d "$bare" ]; then
        cp -a --reflink=auto "$bare" "$1"
    else
        build_root bare "$1"
    fi
}

# add_wheels DIRECTORY NAME…: the vendored libraries, each checked against its hash.
add_wheels() {
    directory=$1
    shift
    mkdir "$directory/tmp/pip"
    for name in "$@"; do
        cp "$(pinned "$name")" "$directory/tmp/pip/"
    done
    # Packages may replace the authorities of the machine, which the way to the index may need.
    bundle=/etc/ssl/certs/ca-certificates.crt
    [ ! -e "$bundle" ] || cp "$bundle" "$directory/tmp/pip/authorities.crt"
    # shellcheck disable=SC2016 # the inner shell's variables
    within "$directory" "$install ca-certificates python3-pip"'
        export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
        [ ! -e /tmp/pip/authorities.crt ] || export PIP_CERT=/tmp/pip/authorities.crt
        for requirements in /tmp/pip/*.txt; do
            python3 -m pip download --quiet --no-deps --require-hashes --only-binary :all: \
                --dest /opt/wheels --requirement "$requirements"
        done
        apt-get purge --yes --autoremove ca-certificates python3-pip'
    rm -r "$directory/tmp/pip"
}
