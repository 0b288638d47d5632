# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# shellcheck shell=sh
# Sourced by the two processes that hold a sandbox: its supervisor outside and pid 1 inside.

# run_child COMMAND [ARG…]: run it with our stdin, pass on the signals that we get, and return its
# status (128 + n when signal n ended it). Whatever else becomes our child meanwhile is reaped:
# the shell's `wait` takes every child that ends.
run_child() {
    passed_on=
    # A shell gives a background command /dev/null as stdin and has it ignore SIGINT and SIGQUIT.
    exec 3<&0
    env --default-signal=INT,QUIT "$@" <&3 3<&- &
    child=$!
    exec 3<&-
    for signal in HUP INT QUIT TERM WINCH; do
        # shellcheck disable=SC2064 # the signal and the child of now are meant
        trap "passed_on=yes; kill -$signal $child 2>/dev/null || :" "$signal"
    done
    while :; do
        status=0
        wait "$child" || status=$?
        [ -n "$passed_on" ] || break
        # A signal ended the wait, not the child: its status is still to come.
        passed_on=
    done
    return "$status"
}
