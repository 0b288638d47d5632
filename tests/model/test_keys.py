# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whichever factors a service asks for, and whatever the person has: the real module and service
let in the same people as the model. scripts/soak runs every case."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest

from keyservice.access import authentication, factors, identity, ssh_stack
from keyservice.access.asking import Asking
from keyservice.access.context import Context
from keyservice.access.factors import ssh_key
from keyservice.access.factors.factor import Ready
from keyservice.access.factors.ssh_key import SshKey
from keyservice.access.settings import SshKeys
from keyservice.contract.pam import PamCode
from keyservice.core.errors import UkeyError
from keyservice.core.username import Person

from . import house
from .compare import Play, differing
from .covering import covering
from .keyhouse import KeyHouse
from .keys import Asked, Case, Has, Shown, cases, covered, decides, expected
from .rules import Line, Outcome, Place

Patch = pytest.MonkeyPatch


@cache
def subset() -> list[Case]:
    return covering(cases(), covered)


def differ(play: Play, folder: Path, chosen: Iterable[Case]) -> list[tuple[Case, Outcome, Outcome]]:
    """See ``compare.differing``."""

    async def furnish(living: house.House) -> Callable[[Case], Awaitable[Outcome]]:
        return KeyHouse.of(living, folder).line

    return differing(play, folder, chosen, furnish, expected)


# -- the model itself


def test_what_lets_in_is_a_factor_that_was_asked_for() -> None:
    for case in cases():
        outcome, factor = expected(case), decides(case)
        if outcome.code == PamCode.SUCCESS:
            assert factor in (("ukey",) if case.place is Place.CONSOLE else case.asked.names)
            assert outcome.sent == (factor == "ukey")
            assert factor == "ukey" or case.shown is Shown.OWN
        if outcome.code == PamCode.IGNORE:
            assert (case.has, case.line) == (Has.NOTHING, Line.NOUSEROK)


def test_the_subset_has_every_combination() -> None:
    every, chosen = list(cases()), subset()
    assert set().union(*map(covered, chosen)) == set().union(*map(covered, every))
    assert len(chosen) < len(every) / 3


# -- the real thing


@pytest.mark.timeout(600)
def test_whatever_is_asked_for(play: Play, folder: Path, soak: bool) -> None:
    chosen = list(cases()) if soak else subset()
    found = differ(play, folder, sorted(chosen, key=lambda case: case.has.name))
    assert not found, f"{len(found)} differ: {found[:5]}"


# -- mistakes


async def soon_none(*_: object) -> None: ...


def any_key(patch: Patch) -> None:
    async def registered(_c: object, _p: object, _s: object, own: list[object]) -> object:
        return own[0]

    patch.setattr(ssh_key, "_registered", registered)


def the_next_one(patch: Patch) -> None:
    ready = SshKey.ready

    async def tried(self: SshKey, context: Context, person: Person) -> Ready | None:
        try:
            return await ready(self, context, person)
        except UkeyError:
            return None

    patch.setattr(SshKey, "ready", tried)


def others_are_none(patch: Patch) -> None:
    facts = {**vars(identity), "enrolled": soon_none, "check_never_had": soon_none}
    patch.setattr(authentication, "identity", SimpleNamespace(**facts))


def both_always(patch: Patch) -> None:
    patch.setattr(factors, "asking", lambda *_, **more: Asking(("ssh-key", "ukey")))


def kinds_do_not_matter(patch: Patch) -> None:
    patch.setattr(SshKeys, "of", lambda kind: SshKeys.SK)


#: What is planted, and what somebody has, is asked for and shows.
MISTAKES: dict[str, tuple[Callable[[Patch], object], Has, Asked, Shown, Line]] = {
    "any key that sshd has verified counts": (
        any_key,
        *(Has.KEY, Asked.KEY, Shown.UNREGISTERED, Line.HELPFUL),
    ),
    "ssh keys that were revoked count": (
        lambda patch: patch.setattr(ssh_key, "check_usable", lambda *_: None),
        *(Has.KEY_REVOKED, Asked.KEY, Shown.REVOKED, Line.HELPFUL),
    ),
    "the stack is not looked at": (
        lambda patch: patch.setattr(ssh_stack, "check", lambda *_: None),
        *(Has.KEY, Asked.KEY, Shown.SECOND, Line.HELPFUL),
    ),
    "after one factor that fails the next one is asked for": (
        the_next_one,
        *(Has.BOTH, Asked.KEY_FIRST, Shown.UNREGISTERED, Line.HELPFUL),
    ),
    "somebody who has another factor is not enrolled": (
        others_are_none,
        *(Has.UKEY, Asked.KEY, Shown.NONE, Line.NOUSEROK),
    ),
    "a ukey in this host counts from afar, unasked": (
        both_always,
        *(Has.UKEY, Asked.KEY, Shown.NONE, Line.HELPFUL),
    ),
    "keys from files count where they may not": (
        kinds_do_not_matter,
        *(Has.KEY, Asked.NO_FILE, Shown.OWN, Line.HELPFUL),
    ),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_would_be_found(play: Play, folder: Path, monkeypatch: Patch, what: str) -> None:
    plant, has, asked, shown, line = MISTAKES[what]
    plant(monkeypatch)
    case = Case(has, asked, shown, Place.SSHD_ALLOWED, line)
    ((_, model, real),) = differ(play, folder, [case])
    assert not model.let_in and real.let_in
