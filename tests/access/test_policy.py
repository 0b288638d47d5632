# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The tables of rights, flags and tries, row by row."""

from __future__ import annotations

import dataclasses

import pytest

from keyservice.access import policy
from keyservice.access.conversation import Caller, Request
from keyservice.contract.names import Flag, Operation
from keyservice.core.errors import BadRequest, NotAllowed
from keyservice.core.username import Person
from keyservice.ukeys.base import Keep

from .rig import GETTY, LOCKER, ROOT, SSHD, SU

NOBODY = Caller(65534, 0, None, None, None, ":1.9")


@pytest.mark.parametrize("operation", Operation)
def test_who_may_begin_what(operation: Operation) -> None:
    for caller in (ROOT, GETTY, SU):
        policy.check_begin(caller, Request(operation, "bob"))
    own = operation in (Operation.AUTHENTICATION, Operation.CHANGE_PIN, Operation.VERIFY_PIN)
    for caller in (LOCKER, NOBODY):
        if own:
            policy.check_begin(caller, Request(operation))
        else:
            with pytest.raises(NotAllowed):
                policy.check_begin(caller, Request(operation))


def test_who_may_act_for_whom() -> None:
    for caller in (ROOT, SU):
        policy.check_own(caller, Person("bob", 1001))
    policy.check_own(LOCKER, Person("alice", 1000))
    for caller in (LOCKER, NOBODY):
        with pytest.raises(NotAllowed):
            policy.check_own(caller, Person("bob", 1001))
        with pytest.raises(NotAllowed):
            policy.check_own(caller, Person("root", 0))


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("flag", Flag)
def test_a_flag_without_a_meaning_is_refused(operation: Operation, flag: Flag) -> None:
    meant = {
        Operation.AUTHENTICATION: (Flag.UNIFORM, Flag.NOUSEROK, Flag.SILENT),
        Operation.BIND: (Flag.GENERATE, Flag.ALLOW_DEFAULT_PIN),
        Operation.UNBIND: (Flag.FORCE,),
        Operation.CHANGE_PIN: (Flag.SILENT,),
    }
    request = Request(operation, "alice", flags=flag)
    if flag in meant.get(operation, ()):
        policy.check_begin(ROOT, request)
    else:  # a decoy alone as well
        with pytest.raises(BadRequest):
            policy.check_begin(ROOT, request)


def test_unknown_flags_and_timeouts_are_refused() -> None:
    for request in (
        Request(Operation.AUTHENTICATION, flags=Flag(0x8000)),
        Request(Operation.AUTHENTICATION, timeout=301),
        Request(Operation.AUTHENTICATION, timeout=-1),
    ):
        with pytest.raises(BadRequest):
            policy.check_begin(ROOT, request)
    policy.check_begin(ROOT, Request(Operation.AUTHENTICATION, timeout=300))


@pytest.mark.parametrize(
    ("caller", "local", "kept"),
    [
        (GETTY, True, Keep.NONE),
        (GETTY, False, Keep.LAST),
        (SSHD, False, Keep.LAST),
        (SU, True, Keep.LAST),
        (SU, False, Keep.LAST),
        (ROOT, True, Keep.LAST),
        (dataclasses.replace(GETTY, ruid=None), True, Keep.LAST),
        (dataclasses.replace(GETTY, loginuid=0), True, Keep.LAST),
        (dataclasses.replace(GETTY, logind_session="desk"), True, Keep.LAST),  # sudo, no audit
        (LOCKER, True, Keep.RESERVE),
        (LOCKER, False, Keep.RESERVE),
        (NOBODY, True, Keep.RESERVE),
    ],
)
def test_the_tries_that_stay(caller: Caller, local: bool, kept: Keep) -> None:
    assert policy.keep(caller, Operation.AUTHENTICATION, local=local) is kept
    others = set(Operation) - {Operation.AUTHENTICATION}
    at_least = Keep.RESERVE if kept is Keep.RESERVE else Keep.LAST
    assert {policy.keep(caller, operation, local=local) for operation in others} == {at_least}
