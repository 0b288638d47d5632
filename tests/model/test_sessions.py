# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whatever has opened a session from afar, and whatever su asks for in it: the real module and
service let in the same people as the model. scripts/soak runs every case."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from keyservice.access import factors, identity
from keyservice.access.admissions import Admissions
from keyservice.access.asking import Asking, asking
from keyservice.access.context import Context
from keyservice.access.factors import session
from keyservice.access.factors.factor import Ready
from keyservice.access.factors.session import Opened as Proven
from keyservice.access.factors.session import Session
from keyservice.access.settings import Rules
from keyservice.contract.pam import PamCode
from keyservice.core.errors import UkeyError
from keyservice.core.username import Person
from keyservice.store.records import Purpose

from . import house
from .compare import Play, differing
from .covering import covering
from .keys import Has
from .rules import Line, Outcome
from .sessionhouse import SessionHouse
from .sessions import Asked, Case, Opened, cases, covered, decides, expected

Patch = pytest.MonkeyPatch


@cache
def subset() -> list[Case]:
    return covering(cases(), covered)


def differ(play: Play, folder: Path, chosen: Iterable[Case]) -> list[tuple[Case, Outcome, Outcome]]:
    """See ``compare.differing``."""

    async def furnish(living: house.House) -> Callable[[Case], Awaitable[Outcome]]:
        return SessionHouse.of(living, folder).line

    return differing(play, folder, chosen, furnish, expected)


# -- the model itself


def test_nothing_lets_in_but_the_ukey_or_a_session_that_the_registered_key_has_opened() -> None:
    for case in cases():
        outcome, factor = expected(case), decides(case)
        if outcome.code == PamCode.SUCCESS:
            assert factor is not None
            assert outcome.sent == (factor == "ukey")
            assert factor == "ukey" or (case.opened is Opened.KEY and case.asked.names is not None)
            assert case.asked.names is None or factor in case.asked.names
        if outcome.code == PamCode.IGNORE:
            assert (case.has, case.line) == (Has.NOTHING, Line.NOUSEROK)


def test_the_subset_has_every_combination() -> None:
    every, chosen = list(cases()), subset()
    assert set().union(*map(covered, chosen)) == set().union(*map(covered, every))
    assert len(chosen) < len(every) / 2


# -- the real thing


@pytest.mark.timeout(600)
def test_whatever_has_opened_the_session(play: Play, folder: Path, soak: bool) -> None:
    chosen = list(cases()) if soak else subset()
    found = differ(play, folder, sorted(chosen, key=lambda case: case.opened.name))
    assert not found, f"{len(found)} differ: {found[:5]}"


# -- mistakes


def without_a_line(patch: Patch) -> None:
    def asked(rules: Rules, service: str, *, local: bool, host: bool) -> Asking:
        found = asking(rules, service, local=local, host=host)
        return replace(found, names=("session", *found.names)) if found.admitted else found

    patch.setattr(factors, "asking", asked)


def whatever_opened_it(patch: Patch) -> None:
    async def ready(self: Session, context: Context, person: Person) -> Ready | None:
        enrolment = await identity.enrolled(context, person)
        own = enrolment.of(Purpose.SSH) if enrolment is not None else ()
        return Proven(person, own[0]) if own else None

    async def prove(self: Proven, context: Context) -> None: ...

    patch.setattr(Session, "ready", ready)
    patch.setattr(Proven, "prove", prove)


def the_next_one(patch: Patch) -> None:
    ready = Session.ready

    async def tried(self: Session, context: Context, person: Person) -> Ready | None:
        try:
            return await ready(self, context, person)
        except UkeyError:
            return None

    patch.setattr(Session, "ready", tried)


#: What is planted, and a case in which it lets in.
MISTAKES: dict[str, tuple[Callable[[Patch], object], Case]] = {
    "the session counts without a line that says so": (
        without_a_line,
        Case(Has.KEY, Opened.KEY, Asked.NO_LINE, Line.HELPFUL),
    ),
    "a session that nothing has opened counts": (
        whatever_opened_it,
        Case(Has.KEY, Opened.NOTHING, Asked.SESSION, Line.HELPFUL),
    ),
    "a session that the ukey has opened counts as one of the ssh key": (
        whatever_opened_it,
        Case(Has.BOTH, Opened.UKEY, Asked.SESSION, Line.UNIFORM),
    ),
    "a session that the ssh key has opened counts as one of the ukey": (
        lambda patch: patch.setattr(Admissions, "cover", lambda *_: True),
        Case(Has.BOTH, Opened.KEY, Asked.NO_LINE, Line.HELPFUL),
    ),
    "the key may have been revoked since": (
        lambda patch: patch.setattr(session, "check_usable", lambda *_: None),
        Case(Has.KEY_REVOKED, Opened.OTHER_KEY, Asked.SESSION, Line.HELPFUL),
    ),
    "after the session fails the ukey is asked for": (
        the_next_one,
        Case(Has.BOTH, Opened.NOTHING, Asked.SESSION_FIRST, Line.HELPFUL),
    ),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_would_be_found(play: Play, folder: Path, monkeypatch: Patch, what: str) -> None:
    plant, case = MISTAKES[what]
    plant(monkeypatch)
    ((_, model, real),) = differ(play, folder, [case])
    assert not model.let_in and real.let_in
