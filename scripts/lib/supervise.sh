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
    catch_signals
    # A session of its own: a terminal's ^C reaches the sandbox once, through the supervisor.
    run_child setsid setpriv --pdeathsig KILL sh "$here/enter.sh" "$@"
}

# The kernel drops a signal to a pid 1 that does not catch it. SIGWINCH, bit 27, is the last
# signal that catch_signals sets a trap for.
not_ready() {
    ! grep -q '^State:.*zombie' "/proc/$child/status" 2>/dev/null || return 1
    caught=$(sed -n 's/^SigCgt:[[:space:]]*/0x/p' "/proc/$child/status" 2>/dev/null)
    [ -n "$caught" ] && [ $((caught >> 27 & 1)) = 0 ]
}

main "$@"
exit
