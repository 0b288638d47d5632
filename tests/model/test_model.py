# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""In every state, the real module and service let in the same people as the model.

Every state of the module's line is run. Of the logins by whole stacks, a subset that ``covered``
describes is run; scripts/soak runs all of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from keyservice.access import identity, policy, presence, tries, vouching
from keyservice.access.admissions import Admissions
from keyservice.access.authentication import authenticate
from keyservice.access.context import Context
from keyservice.access.operations import FUNCTIONS
from keyservice.access.settings import Rules, ServiceRule
from keyservice.contract import operations
from keyservice.contract.names import Flag
from keyservice.contract.pam import PamCode
from keyservice.contract.steps import Verdict
from keyservice.core.errors import RecordDamaged
from keyservice.core.username import Person
from keyservice.crypto.sm2 import SM2
from keyservice.store.bindings import Bindings
from keyservice.store.records import Binding, Enrolment, Held, Purpose
from keyservice.ukeys.base import TryReserve

from . import house
from .compare import Play, agree, differ
from .covering import covering
from .rules import (
    RULES,
    Factor,
    Glass,
    Line,
    Login,
    Password,
    Place,
    Record,
    Stack,
    State,
    covered,
    expected,
    expected_entry,
    logins,
    rule_of,
    states,
)

Patch = pytest.MonkeyPatch


@cache
def subset() -> list[Login]:
    return covering(logins(), covered)


# -- the model itself


def test_success_takes_both_factors_and_nothing_else_does() -> None:
    """The main point of the table, checked on all that follows from it."""
    for state in states():
        code = expected(state).code
        if code == PamCode.SUCCESS:
            assert state.record is Record.ENROLLED
            assert state.factor in (Factor.RIGHT, Factor.RESERVE, Factor.LAST_TRY)
            assert state.line in (Line.HELPFUL, Line.NOUSEROK, Line.UNIFORM)
            assert state.place not in (Place.SSHD, Place.SU_AFAR)
        if code == PamCode.IGNORE:
            assert (state.record, state.line) == (Record.NEVER, Line.NOUSEROK)
            assert state.factor is not Factor.DOWN
        if state.line in (Line.UNIFORM, Line.DECOY):
            assert code in (PamCode.SUCCESS, PamCode.AUTH_ERR)


def test_each_row_of_the_model_decides_something() -> None:
    decided = {rule_of(state).why for state in states()}
    assert decided == {rule.why for rule in RULES}


def test_the_subset_has_every_combination() -> None:
    every = list(logins())
    chosen = subset()
    assert set().union(*map(covered, chosen)) == set().union(*map(covered, every))
    assert len(chosen) < len(every) / 10


# -- the real thing


@pytest.mark.timeout(600)
def test_the_module_and_the_service_in_every_state(play: Play, folder: Path) -> None:
    house.write_stacks(folder / "stacks")
    agree(play, states(), expected)


@pytest.mark.timeout(600)
def test_whole_stacks(
    play: Play, folder: Path, soak: bool, record_property: Callable[[str, object], None]
) -> None:
    house.write_stacks(folder / "stacks")
    chosen = list(logins()) if soak else subset()
    chosen = sorted(chosen, key=lambda each: (each.factor.name, each.record.name))
    agree(play, chosen, expected_entry)
    record_property("figure", f"model: {len(chosen)} logins by whole stacks, as it says")


# -- mistakes


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A mistake in the service, and the states among which it shows."""

    plant: Callable[[Patch], None]
    factor: Factor = Factor.RIGHT
    record: Record = Record.ENROLLED
    line: Line = Line.HELPFUL

    def cells(self) -> list[State]:
        return [State(self.factor, place, self.record, self.line) for place in Place]


def nothing(*arguments: object, **more: object) -> None: ...


async def soon_nothing(*arguments: object, **more: object) -> None: ...


class Credulous:
    """An engine that accepts each signature."""

    def verify(self, point: bytes, message: bytes, signature: bytes) -> bool:
        return True


async def without_decoys(context: Context) -> Verdict:
    flags = context.request.flags & ~Flag.DECOY
    context.request = dataclasses.replace(context.request, flags=flags)
    return await authenticate(context)


def damaged_is_none(patch: Patch) -> None:
    read = Bindings.own

    def own(records: Bindings, person: Person) -> tuple[Binding, ...]:
        try:
            return read(records, person)
        except RecordDamaged:
            return ()

    patch.setattr(Bindings, "own", own)
    patch.setattr(Bindings, "search", lambda records, person: ())
    patch.setattr(identity, "check_never_had", soon_nothing)


def late_policy(patch: Patch) -> None:
    check, still = identity.check_accepted, identity.check_still

    async def late(context: Context, held: Held) -> None:
        await still(context, held)
        check(context, held)

    patch.setattr(identity, "check_accepted", lambda _, held: identity.check_revoked(held))
    patch.setattr(identity, "check_still", late)


def refused_is_none(patch: Patch) -> None:
    enrolled = identity.enrolled

    async def accepted(context: Context, person: Person) -> Enrolment | None:
        found, taken = await enrolled(context, person), context.services.rules.algorithms
        theirs = () if found is None else found.of(Purpose.LOGIN)
        return found if all(each.binding.algorithm in taken for each in theirs) else None

    patch.setattr(identity, "enrolled", accepted)
    patch.setattr(identity, "check_never_had", soon_nothing)


MISTAKES = {
    "revocations are not asked": Mistake(
        lambda patch: patch.setattr(identity, "check_revoked", nothing), record=Record.REVOKED
    ),
    "revocations that are lost are none": Mistake(
        lambda patch: patch.setattr(identity, "check_revoked", nothing),
        record=Record.REVOCATIONS_GONE,
    ),
    "nouserok passes the unbound": Mistake(
        lambda patch: patch.setattr(identity, "check_never_had", soon_nothing),
        record=Record.UNBOUND,
        line=Line.NOUSEROK,
    ),
    "a damaged record is none": Mistake(damaged_is_none, record=Record.DAMAGED, line=Line.NOUSEROK),
    "a key of any algorithm is accepted": Mistake(
        lambda patch: patch.setattr(policy, "check_algorithm", nothing),
        record=Record.ALGORITHM_REFUSED,
    ),
    "a refused algorithm is looked at only once a PIN was asked": Mistake(
        late_policy, record=Record.ALGORITHM_REFUSED
    ),
    "a key that the policy refuses is none": Mistake(
        refused_is_none, record=Record.ALGORITHM_REFUSED, line=Line.NOUSEROK
    ),
    "nobody has to vouch for a key": Mistake(
        lambda patch: patch.setattr(vouching, "check_recorded", nothing),
        record=Record.NOT_ATTESTED,
    ),
    "any service asks people from afar for a ukey": Mistake(
        lambda patch: patch.setattr(
            Rules, "service", lambda rules, name: ServiceRule(factors_from_afar=("ukey",))
        )
    ),
    "any session from afar is one that the ukey opened": Mistake(
        lambda patch: patch.setattr(Admissions, "cover", lambda *_: True)
    ),
    "anybody spends the last try": Mistake(
        lambda patch: patch.setattr(policy, "reserve", lambda *_, **more: TryReserve.NONE),
        Factor.LAST_TRY,
    ),
    "anybody spends the reserve": Mistake(
        lambda patch: patch.setattr(policy, "reserve", lambda *_, **more: TryReserve.LAST),
        Factor.RESERVE,
    ),
    "no pause is kept": Mistake(
        lambda patch: patch.setattr(tries, "check_pause", soon_nothing), Factor.PAUSED
    ),
    "signatures are not verified": Mistake(
        lambda patch: patch.setattr(SM2, "_engine", Credulous()),
        Factor.BAD_SIGNATURE,
    ),
    "another key is asked for its PIN": Mistake(
        lambda patch: patch.setattr(presence, "check_key", soon_nothing), Factor.OTHER_KEY
    ),
    "a decoy touches the ukey": Mistake(
        lambda patch: patch.setitem(
            FUNCTIONS,
            operations.AUTHENTICATION,
            without_decoys,
        ),
        line=Line.DECOY,
    ),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_in_the_service_would_be_found(
    play: Play, folder: Path, monkeypatch: Patch, what: str
) -> None:
    mistake = MISTAKES[what]
    house.write_stacks(folder / "stacks")
    mistake.plant(monkeypatch)
    assert any(each.dangerous for each in differ(play, mistake.cells(), expected))


#: Replacements in the stacks' text.
SLIPS = {
    "the gate is open everywhere": ("/usr/libexec/ukey/breakglass", "/bin/true"),
    "the ukey's failure is ignored": (
        "[success=ok default=die] pam_ukey",
        "[success=ok default=ignore] pam_ukey",
    ),
    "a member needs no password": (
        "[success=ok default=die] pam_unix",
        "[default=ignore] pam_unix",
    ),
    "nouserok where it is not wanted": (
        "[success=ok default=die] pam_ukey.so ",
        "[success=ok ignore=ignore default=die] pam_ukey.so nouserok",
    ),
}


@pytest.mark.parametrize("what", SLIPS)
def test_a_slip_in_a_stack_would_be_found(play: Play, folder: Path, what: str) -> None:
    old, new = SLIPS[what]
    house.write_stacks(folder / "stacks", lambda text: text.replace(old, new))
    cells = [
        Login(Factor.ABSENT, place, record, Stack.HELPFUL, password, glass)
        for place in (Place.CONSOLE, Place.SSHD_ALLOWED)
        for record in (Record.NEVER, Record.ENROLLED)
        for password in Password
        for glass in Glass
    ]
    assert any(each.dangerous for each in differ(play, cells, expected_entry))
