# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
# shellcheck shell=sh
# Sourced by the two processes that hold a sandbox, its supervisor outside and pid 1 inside, and by
# scripts/vm-test, which has something to do when one has ended.

child=''     # the process that gets our signals
early=''     # a signal that came before there was one
passed_on='' # set when a signal came while we waited

# catch_signals: from now on signals go to the child, at once or as soon as there is one.
catch_signals() {
    for signal in HUP INT QUIT TERM WINCH; do
        # shellcheck disable=SC2064 # the signal of now is meant
        trap "pass_on $signal" "$signal"
    done
}

# shellcheck disable=SC2317 # traps call it
pass_on() {
    passed_on=yes
    if [ -n "$child" ]; then
        send "$1"
    else
        early=$1
    fi
}

# send SIGNAL: to the child, if it is still there. If a signal would be lost, it waits: a fork of
# this shell that has not become the command yet takes our signals, and forgets them.
send() {
    while cmp -s "/proc/$$/cmdline" "/proc/$child/cmdline" || not_ready; do
        sleep 0.01
    done
    kill -s "$1" "$child" 2>/dev/null || :
}

# Whether the command cannot take signals yet. The supervisor has one of its own.
not_ready() {
    false
}

# run_child COMMAND [ARG…]: run it with our stdin and return its status, 128 + n when signal n ended
# it. Other processes that become our children meanwhile are reaped: `wait` takes every child that
# ends.
run_child() {
    # A shell gives a background command /dev/null as stdin and has it ignore SIGINT and SIGQUIT.
    # Under nohup all of it ignores SIGHUP. A test of signals must inherit none of that.
    exec 3<&0
    env --default-signal=HUP,INT,QUIT "$@" <&3 3<&- &
    child=$!
    exec 3<&-
    [ -z "$early" ] || send "$early"
    status=127
    while :; do
        ended=0
        wait "$child" || ended=$?
        # The wait before returned its status, and a signal came beside it.
        [ "$ended" != 127 ] || break
        status=$ended
        # A signal ends a wait too, without the child.
        [ -n "$passed_on" ] || break
        passed_on=
    done
    return "$status"
}
