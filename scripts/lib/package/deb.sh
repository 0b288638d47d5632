#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# deb.sh SUFFIX: in a sandbox, build the .deb of the checkout, which is the working directory, into
# /out. It ends up where dpkg wants it: debian/ is put together in a private copy of the tree.
set -eu
# shellcheck source=scripts/lib/package/common.sh
. "${0%/*}/common.sh"

main() {
    tree=$build/$name-$(version)
    copy_tree "$tree"
    cp -R packaging/debian "$tree/debian"
    [ -z "$1" ] || add_suffix "$tree/debian/changelog" "$1"
    cp -R /opt/wheels "$tree/debian/wheels"
    cd "$tree"
    SOURCE_DATE_EPOCH=$(dpkg-parsechangelog --show-field Timestamp)
    export SOURCE_DATE_EPOCH
    # A checkout has the times at which it was cloned.
    find . -exec touch --date="@$SOURCE_DATE_EPOCH" {} +
    DEB_BUILD_OPTIONS=noautodbgsym unshare --net \
        dpkg-buildpackage --build=binary --no-sign --no-check-builddeps
    cp "$build"/*.deb /out/
}

# add_suffix CHANGELOG SUFFIX: an entry for that version, with the date of the one below it.
add_suffix() {
    {
        sed -n "1s/)/$2)/p" "$1"
        printf '\n  * Built from a checkout.\n\n'
        sed -n '/^ -- /{p;q}' "$1"
        echo
        cat "$1"
    } >"$1.new"
    mv "$1.new" "$1"
}

main "$@"
exit
