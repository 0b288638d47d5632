# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# shellcheck shell=sh
# Sourced by deb.sh and rpm.sh, in the sandbox: the private copy of the tree, and what goes into it.

export name=pam-ukey
export build=/tmp/build
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 TZ=UTC0

# The version, without a suffix: the product's own.
version() {
    sed -n 's/^__version__ = "\(.*\)"$/\1/p' keyservice/__init__.py
}

# copy_tree DIRECTORY: what the product is built from, without what a developer's tree has beside it.
copy_tree() {
    mkdir -p "$1"
    cp -R --preserve=mode CHANGELOG.md LICENSE NOTICE data docs keyservice packaging pam.d-examples \
        pam_ukey scripts selinux tools "$1/"
    find "$1" -name __pycache__ -prune -exec rm -r {} +
    find "$1" -type f -name '*.[os]*' \( -name '*.o' -o -name '*.so' \) -delete
}

# fetch_wheels DIRECTORY NAME…: the vendored libraries of packaging/requirements-NAME.txt, each
# checked against its hash.
fetch_wheels() {
    directory=$1
    shift
    # Packages may replace the authorities of the machine, which the way to the index may need.
    bundle=/etc/ssl/certs/ca-certificates.crt
    [ ! -e "$bundle" ] || cp "$bundle" /tmp/authorities.crt
    apt-get install --yes --no-install-recommends ca-certificates python3-pip
    [ ! -e /tmp/authorities.crt ] || export PIP_CERT=/tmp/authorities.crt
    for needed in "$@"; do
        python3 -m pip download --quiet --no-deps --require-hashes --only-binary :all: \
            --dest "$directory" --requirement "packaging/requirements-$needed.txt"
    done
    apt-get purge --yes --autoremove ca-certificates python3-pip
}
