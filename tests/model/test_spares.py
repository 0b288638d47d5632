# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whatever is so of somebody's two ukeys: the real module and service ask the same one as the
model, and let in by it alone. scripts/soak runs every case."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from keyservice.access import identity
from keyservice.access.context import Context
from keyservice.access.factors import ukey as factor
from keyservice.access.factors.ukey import Found, Inserted
from keyservice.contract.names import Flag
from keyservice.contract.pam import PamCode
from keyservice.store.records import Held
from keyservice.ukeys.base import PinState
from tests.access.conftest import Make

from . import house
from .compare import Play, differing
from .covering import covering
from .rules import Line, Place
from .sparehouse import SpareHouse
from .spares import Asked, Pair, Pin, Ukey, covered, expected, pairs

Patch = pytest.MonkeyPatch


@cache
def subset() -> list[Pair]:
    return covering(pairs(), covered)


def differ(
    play: Play, make: Make, folder: Path, chosen: Iterable[Pair]
) -> list[tuple[Pair, Asked, Asked]]:
    """See ``compare.differing``."""

    async def furnish(living: house.House) -> Callable[[Pair], Awaitable[Asked]]:
        return (await SpareHouse.of(living, make, folder)).line

    return differing(play, folder, chosen, furnish, expected)


# -- the model itself


def test_a_pin_goes_to_one_ukey_that_may_be_asked_and_that_one_lets_in() -> None:
    for pair in pairs():
        outcome = expected(pair)
        assert outcome.code is not PamCode.IGNORE
        assert len(outcome.sent) == 1 or (not outcome.sent and not outcome.let_in)
        for number in outcome.sent:
            assert pair.ukeys[number] in (Ukey.IN, Ukey.LAST_TRY)
            assert outcome.let_in == (pair.pin is Pin.RIGHT)


def test_a_good_one_alone_lets_in_whatever_the_other_is() -> None:
    """Under ``uniform`` too, unless the other one is in a reader and not revoked."""
    for pair in pairs():
        if Ukey.IN in pair.ukeys and pair.pin is Pin.RIGHT:
            other = pair.ukeys[1 - pair.ukeys.index(Ukey.IN)]
            several = pair.line is Line.UNIFORM and not (other.out or other.revoked)
            assert expected(pair).let_in is not several


def test_the_subset_has_every_combination() -> None:
    every, chosen = list(pairs()), subset()
    assert set().union(*map(covered, chosen)) == set().union(*map(covered, every))
    assert len(chosen) < len(every) / 2


# -- the real thing


@pytest.mark.timeout(600)
def test_whatever_is_so_of_two_ukeys(play: Play, make: Make, folder: Path, soak: bool) -> None:
    chosen = list(pairs()) if soak else subset()
    order = list(Ukey)
    chosen = sorted(chosen, key=lambda pair: [order.index(each) for each in pair.ukeys])
    found = differ(play, make, folder, chosen)
    assert not found, f"{len(found)} differ: {found[:5]}"


# -- mistakes


def revoked_ones_count(patch: Patch) -> None:
    patch.setattr(identity, "check_revoked", lambda _: None)


def one_revoked_is_all(patch: Patch) -> None:
    """It keeps out somebody whose other ukey is good."""
    inserted = factor._inserted

    async def checked(context: Context, theirs: Sequence[Held]) -> list[Found]:
        for each in theirs:
            identity.check_accepted(context, each)
        return await inserted(context, theirs)

    patch.setattr(factor, "_inserted", checked)


def uniform_asks_the_first(patch: Patch) -> None:
    inserted = factor._inserted

    async def one(context: Context, theirs: Sequence[Held]) -> list[Found]:
        found = await inserted(context, theirs)
        return found[:1] if Flag.UNIFORM in context.request.flags else found

    patch.setattr(factor, "_inserted", one)


def asked_of(patch: Patch, those: slice) -> None:
    """Of the ukeys that are in, only those are looked at, in that order."""
    asked = Inserted._asked

    async def some(self: Inserted, context: Context) -> tuple[Found, PinState | None]:
        return await asked(replace(self, found=self.found[those]), context)

    patch.setattr(Inserted, "_asked", some)


FIRST, SECOND = frozenset({0}), frozenset({1})
#: What is planted; the state of both ukeys and the line in which it shows; what it makes of that.
MISTAKES: dict[str, tuple[Callable[[Patch], None], Ukey, Ukey, Line, Asked]] = {
    "a revoked one of two counts": (
        revoked_ones_count,
        *(Ukey.REVOKED, Ukey.OUT, Line.HELPFUL),
        Asked(PamCode.SUCCESS, FIRST),
    ),
    "a revoked one of two shuts out its person, who has the other": (
        one_revoked_is_all,
        *(Ukey.REVOKED_OUT, Ukey.IN, Line.HELPFUL),
        Asked(PamCode.AUTH_ERR),
    ),
    "the one that was bound last is asked": (
        lambda patch: asked_of(patch, slice(None, None, -1)),
        *(Ukey.IN, Ukey.IN, Line.HELPFUL),
        Asked(PamCode.SUCCESS, SECOND),
    ),
    "under uniform the first of two is asked": (
        uniform_asks_the_first,
        *(Ukey.IN, Ukey.IN, Line.UNIFORM),
        Asked(PamCode.SUCCESS, FIRST),
    ),
    "a locked one keeps the other from being asked": (
        lambda patch: asked_of(patch, slice(1)),
        *(Ukey.LOCKED, Ukey.IN, Line.HELPFUL),
        Asked(PamCode.MAXTRIES),
    ),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_would_be_found(
    play: Play, make: Make, folder: Path, monkeypatch: Patch, what: str
) -> None:
    plant, first, second, line, mistaken = MISTAKES[what]
    plant(monkeypatch)
    pair = Pair(first, second, Pin.RIGHT, Place.CONSOLE, line)
    ((_, model, real),) = differ(play, make, folder, [pair])
    assert real == mistaken != model
