# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# shellcheck shell=sh
# Sourced by deb.sh and rpm.sh, in the sandbox: the private copy of the tree, and what goes into it.

export name=pam-ukey
export build=/tmp/build
export LC_ALL=C.UTF-8 TZ=UTC0

# The version, without a suffix: the product's own.
version() {
    sed -n 's/^__version__ = "\(.*\)"$/\1/p' keyservice/__init__.py
}

# What the product is built from.
parts="CHANGELOG.md LICENSE NOTICE README.md data docs keyservice packaging pam.d-examples pam_ukey
    scripts selinux tools"

# copy_tree DIRECTORY: these, without what a developer's tree has beside them.
copy_tree() {
    mkdir -p "$1"
    # shellcheck disable=SC2086 # words
    cp -R --preserve=mode $parts "$1/"
    find "$1" -name __pycache__ -prune -exec rm -r {} +
    find "$1" -type f -name '*.[os]*' \( -name '*.o' -o -name '*.so' \) -delete
}

# fingerprint: of two trees, it is the same only if what is built from them is.
fingerprint() {
    # shellcheck disable=SC2086 # words
    find $parts -name __pycache__ -prune -o -printf '%y%m %p -> %l\n' | sort
    # shellcheck disable=SC2086 # words
    find $parts -name __pycache__ -prune -o -type f -print0 | sort --zero-terminated |
        xargs --null sha256sum
}
