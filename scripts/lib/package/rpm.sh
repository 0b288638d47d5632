#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# rpm.sh SUFFIX: in a sandbox, make the source RPM of the checkout, which is the working directory,
# in /out. It holds all that a build needs, which therefore has no network.
set -eu
# shellcheck source=scripts/lib/package/common.sh
. "${0%/*}/common.sh"

main() {
    version=$(version)
    sources=$build/SOURCES
    copy_tree "$build/$name-$version"
    cp -R /opt/wheels "$sources"
    spec=$build/$name.spec
    sed "s/^%global own_suffix .*/%global own_suffix ${1:-%{nil\}}/" packaging/rpm/$name.spec >"$spec"
    # The changelog's first line: * Thu Nov 20 2025 Name <address> - version
    SOURCE_DATE_EPOCH=$(date --date="$(sed -n 's/^\* [A-Z][a-z]* \(.*20[0-9][0-9]\) .*/\1/p' "$spec" |
        head -n 1)" +%s)
    export SOURCE_DATE_EPOCH
    tar --create --gzip --directory "$build" --file "$sources/$name-$version.tar.gz" \
        --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
        "$name-$version"
    # Nothing of this machine or moment gets into it.
    find "$sources" "$spec" -exec touch --date="@$SOURCE_DATE_EPOCH" {} +
    rpmbuild -bs --define "_topdir $build" --define "_srcrpmdir /out" --define '_buildhost sandbox' \
        --define 'use_source_date_epoch_as_buildtime 1' --define 'dist %{nil}' "$spec"
}

main "$@"
exit
