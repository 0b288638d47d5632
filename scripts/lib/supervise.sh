#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# The sandbox's supervisor: it is in the new namespaces, except that only its first child gets into
# the process namespace, and becomes pid 1 there. When the supervisor dies, even by SIGKILL, the
# kernel kills that child, and with it everything in the sandbox.
set -eu
here=${0%/*}
# shellcheck source=scripts/lib/child.sh
. "$here/child.sh"

main() {
    # A session of its own: a terminal's ^C reaches the sandbox once, through the supervisor.
    run_child setsid setpriv --pdeathsig KILL sh "$here/enter.sh" "$@"
}

main "$@"
exit
