# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The tables of rights, flags and tries, row by row."""

from __future__ import annotations

import dataclasses

import pytest

from keyservice.access import policy
from keyservice.access.conversation import Caller, Request
from keyservice.access.operations import FUNCTIONS
from keyservice.contract import operations
from keyservice.contract.names import Flag
from keyservice.contract.operations import Operation
from keyservice.core.errors import BadRequest, NotAllowed
from keyservice.core.username import Person
from keyservice.ukeys.base import TryReserve

from .rig import GETTY, LOCKER, ROOT, SSHD, SU

NOBODY = Caller(65534, 0, None, None, None, ":1.9")


@pytest.mark.parametrize("operation", FUNCTIONS, ids=lambda each: each.name)
def test_who_may_begin_what(operation: Operation) -> None:
    for caller in (ROOT, GETTY, SU):
        policy.check_begin(caller, Request(operation, "bob"))
    own = operation in (operations.AUTHENTICATION, operations.CHANGE_PIN, operations.VERIFY_PIN)
    for caller in (LOCKER, NOBODY):
        if own:
            policy.check_begin(caller, Request(operation))
        else:
            with pytest.raises(NotAllowed):
                policy.check_begin(caller, Request(operation))


def test_only_sshd_says_what_it_has_verified() -> None:
    asked = Request(operations.AUTHENTICATION, "bob", service="sshd", auth_info="password\n")
    policy.check_begin(SSHD, asked)
    setuid = dataclasses.replace(SSHD, ruid=1000)
    unknown = dataclasses.replace(SSHD, ruid=None)
    for source in ("user.sock", ":1.7"):
        with pytest.raises(NotAllowed, match="only sshd"):
            policy.check_begin(dataclasses.replace(SSHD, source=source), asked)
    for caller in (SU, LOCKER, NOBODY, setuid, unknown):
        with pytest.raises(NotAllowed, match="only sshd"):
            policy.check_begin(caller, asked)
    for service in ("", "su", "login", "sshd2"):
        with pytest.raises(NotAllowed, match="only sshd"):
            policy.check_begin(SSHD, dataclasses.replace(asked, service=service))


def test_who_may_act_for_whom() -> None:
    for caller in (ROOT, SU):
        policy.check_own(caller, Person("bob", 1001))
    policy.check_own(LOCKER, Person("alice", 1000))
    for caller in (LOCKER, NOBODY):
        with pytest.raises(NotAllowed):
            policy.check_own(caller, Person("bob", 1001))
        with pytest.raises(NotAllowed):
            policy.check_own(caller, Person("root", 0))


@pytest.mark.parametrize("operation", FUNCTIONS, ids=lambda each: each.name)
@pytest.mark.parametrize("flag", Flag)
def test_a_flag_without_a_meaning_is_refused(operation: Operation, flag: Flag) -> None:
    meant = {
        operations.AUTHENTICATION: (Flag.UNIFORM, Flag.NOUSEROK, Flag.SILENT),
        operations.BIND: (Flag.GENERATE, Flag.ALLOW_DEFAULT_PIN),
        operations.UNBIND: (Flag.FORCE,),
        operations.SSH_KEY_REMOVE: (Flag.FORCE,),
        operations.CHANGE_PIN: (Flag.SILENT, Flag.PASSWORD),  # nouserok: below
    }
    request = Request(operation, "alice", flags=flag)
    if flag in meant.get(operation, ()):
        policy.check_begin(ROOT, request)
    else:  # a decoy alone as well
        with pytest.raises(BadRequest):
            policy.check_begin(ROOT, request)


def test_a_pin_changes_by_nouserok_only_with_a_password() -> None:
    with pytest.raises(BadRequest):
        policy.check_begin(ROOT, Request(operations.CHANGE_PIN, flags=Flag.NOUSEROK))
    both = Flag.NOUSEROK | Flag.PASSWORD
    policy.check_begin(ROOT, Request(operations.CHANGE_PIN, flags=both))


def test_unknown_flags_and_timeouts_are_refused() -> None:
    for request in (
        Request(operations.AUTHENTICATION, flags=Flag(0x8000)),
        Request(operations.AUTHENTICATION, timeout=301),
        Request(operations.AUTHENTICATION, timeout=-1),
    ):
        with pytest.raises(BadRequest):
            policy.check_begin(ROOT, request)
    policy.check_begin(ROOT, Request(operations.AUTHENTICATION, timeout=300))


@pytest.mark.parametrize(
    ("caller", "local", "kept"),
    [
        (GETTY, True, TryReserve.NONE),
        (GETTY, False, TryReserve.LAST),
        (SSHD, False, TryReserve.LAST),
        (SU, True, TryReserve.LAST),
        (SU, False, TryReserve.LAST),
        (ROOT, True, TryReserve.LAST),
        (dataclasses.replace(GETTY, ruid=None), True, TryReserve.LAST),
        (dataclasses.replace(GETTY, loginuid=0), True, TryReserve.LAST),
        (
            dataclasses.replace(GETTY, logind_session="desk"),
            True,
            TryReserve.LAST,
        ),  # sudo, no audit
        (LOCKER, True, TryReserve.RESERVE),
        (LOCKER, False, TryReserve.RESERVE),
        (NOBODY, True, TryReserve.RESERVE),
    ],
)
def test_the_tries_that_stay(caller: Caller, local: bool, kept: TryReserve) -> None:
    assert policy.reserve(caller, operations.AUTHENTICATION, local=local) is kept
    others = set(FUNCTIONS) - {operations.AUTHENTICATION}
    at_least = TryReserve.RESERVE if kept is TryReserve.RESERVE else TryReserve.LAST
    assert {policy.reserve(caller, operation, local=local) for operation in others} == {at_least}
