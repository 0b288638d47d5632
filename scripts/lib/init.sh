#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# init.sh COMMAND [ARG…]: pid 1, inside a sandbox that is set up. Runs the command, reaps orphans;
# when it ends, the kernel ends whatever the command left behind.
set -eu
here=${0%/*}
# shellcheck source=scripts/lib/child.sh
. "$here/child.sh"

main() {
    if [ -t 0 ] && [ -t 1 ]; then
        # The person's terminal is not ours: a terminal of the sandbox's own, relayed, gives job
        # control, a /dev/tty, and a name under /dev/pts that su and login can report.
        command=
        for word in "$@"; do
            command="$command $(quote "$word")"
        done
        set -- script --quiet --return --command "exec$command" /dev/null
    fi
    run_child "$@"
}

# quote WORD: print it so that a shell reads back the same word.
quote() {
    printf '%s\n' "$1" | sed "s/'/'\\\\''/g; 1s/^/'/; \$s/\$/'/"
}

main "$@"
exit
