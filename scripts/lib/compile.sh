# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# shellcheck shell=sh
# scripts/test runs this in a sandbox, with its checkout at /out too: keep the compiled files of this
# checkout in it, as Python does by itself where it may write. Sandboxes see it read-only, and
# tests start hundreds of processes from it: each compiled all of its modules.
#   collect  also what pytest makes of the test modules, as runs of all of them want it
# What cannot be kept is done without. Two may run at once: each file is put in place in one step.
set -eu

checkout=/usr/src/ukey
folders="acceptance bench demo keyservice pam_ukey tests tools scripts/lib"
python=/opt/dev/bin/python

main() {
    mount -n --bind /out "$checkout" # the names in compiled files are those that tests see
    cd "$checkout"
    # The files are the owner's, as all of the checkout is.
    as_owner="setpriv --reuid $(stat -c %u .) --regid $(stat -c %g .) --clear-groups"
    remove_left
    # A file is left as it is if it was made of a source of this time.
    # shellcheck disable=SC2086 # words
    $as_owner "$python" -m compileall -qq -j 2 -p "$checkout" $folders || :
    [ "${1:-}" != collect ] || collect
}

# git leaves a folder in which nothing but compiled files is left, and packages would have it.
remove_left() {
    # shellcheck disable=SC2086 # words
    find $folders -depth -type d -name __pycache__ | while IFS= read -r compiled; do
        set -- "${compiled%/*}"/*.py
        [ ! -e "$1" ] || continue
        $as_owner rm -r "$compiled" || continue
        $as_owner rmdir --parents --ignore-fail-on-non-empty "${compiled%/*}" || :
    done
}

# pytest compiles test modules its own way, and only while it collects all. For a few that changed
# that would take longer than it spares.
collect() {
    kept=tests/__pycache__/collected
    if [ -e "$kept" ] && [ "$(find tests -name '*.py' -newer "$kept" | wc -l)" -le 20 ]; then
        return
    fi
    started=$(mktemp)
    chmod 644 "$started"
    $as_owner env HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis HOME=/tmp \
        "$python" -m pytest --collect-only -q >/dev/null 2>&1 || :
    $as_owner touch --reference "$started" "$kept" || :
}

main "$@"
exit
