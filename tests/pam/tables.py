# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Truth tables: the values that every module of a stack may return, and whom it may let in then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, islice, product
from pathlib import Path

from keyservice.contract.pam import PamCode
from tests.pam.libpam import Outcome
from tests.pam.rows import run_rows
from tests.pam.stacks import Line, told, with_roles

PASSWORD = (PamCode.SUCCESS, PamCode.AUTH_ERR, PamCode.IGNORE, None)
UKEY = (
    PamCode.SUCCESS,
    PamCode.AUTH_ERR,
    PamCode.AUTHINFO_UNAVAIL,
    PamCode.USER_UNKNOWN,
    PamCode.MAXTRIES,
    PamCode.NEW_AUTHTOK_REQD,
    PamCode.IGNORE,
    None,
)
DECOY = (PamCode.AUTH_ERR, PamCode.SUCCESS, PamCode.IGNORE, None)
#: (the look at the group, the gate)
GLASS = (
    (PamCode.SUCCESS, PamCode.SUCCESS),
    (PamCode.SUCCESS, PamCode.SYSTEM_ERR),
    (PamCode.SUCCESS, PamCode.IGNORE),
    (PamCode.SUCCESS, None),
    (PamCode.AUTH_ERR, PamCode.SUCCESS),
    (PamCode.IGNORE, PamCode.SUCCESS),
    (None, PamCode.SUCCESS),
)
#: The answers of pam_usertype isregular and pam_localuser for each user, and the users whom the two
#: ask for a password.
KINDS = {
    "system": (PamCode.AUTH_ERR, PamCode.SUCCESS, ("unix",)),
    "local": (PamCode.SUCCESS, PamCode.SUCCESS, ("unix", "sss")),
    "directory": (PamCode.SUCCESS, PamCode.PERM_DENIED, ("sss",)),
}
#: Everything that a module may return when all is well with nobody.
ANYTHING = (
    PamCode.SUCCESS,
    PamCode.AUTH_ERR,
    PamCode.PERM_DENIED,
    PamCode.USER_UNKNOWN,
    PamCode.SERVICE_ERR,
    PamCode.NEW_AUTHTOK_REQD,
    PamCode.IGNORE,
    None,
)
#: Both factors and what leads to them, and what is always itself.
FACTORS = {"unix", "sss", "ukey", "decoy", "member", "gate", "permit", "deny"}


@dataclass(frozen=True)
class Row:
    """The value that each module returns, by its role in the stack; None if it is missing."""

    codes: Mapping[str, PamCode | None]
    passwords: tuple[str, ...] = ("unix",)  #: the roles that are asked whether it is right

    @property
    def password(self) -> bool:
        return any(self.codes[role] == PamCode.SUCCESS for role in self.passwords)

    @property
    def refused(self) -> bool:
        """By faillock, before anything."""
        return self.codes["preauth"] != PamCode.SUCCESS

    @property
    def glass(self) -> bool:
        return self.codes["member"] == self.codes["gate"] == PamCode.SUCCESS

    def second(self, exempt: bool) -> bool:
        """Whether the ukey is right, or is not needed; `exempt`: people without one need none."""
        ukey = self.codes["ukey"]
        return ukey == PamCode.SUCCESS or self.glass or (exempt and ukey == PamCode.IGNORE)

    def let_in(self, exempt: bool) -> bool:
        return self.password and not self.refused and self.second(exempt)


USUAL = {
    "rootok": PamCode.AUTH_ERR,
    "take": PamCode.AUTH_ERR,
    "usertype": PamCode.SUCCESS,
    "localuser": PamCode.SUCCESS,
    "preauth": PamCode.SUCCESS,
    "authfail": PamCode.AUTH_ERR,
    "look": PamCode.AUTH_ERR,
    "mock": PamCode.SYSTEM_ERR,
}


def rows(roles: set[str]) -> Iterator[Row]:
    """Every outcome of both factors and of what leads to them, the others as they usually are."""
    decoys = DECOY if "decoy" in roles else DECOY[:1]
    preauths = (PamCode.SUCCESS, PamCode.AUTH_ERR) if "preauth" in roles else (PamCode.SUCCESS,)
    both = ("unix", "sss") if "sss" in roles else ("unix",)
    kinds = KINDS if "usertype" in roles else {"all": (PamCode.SUCCESS, PamCode.SUCCESS, both)}
    passwords = tuple(product(PASSWORD, PASSWORD[:2] if "sss" in roles else PASSWORD[1:2]))
    for (regular, local, asked), preauth in product(kinds.values(), preauths):
        for (unix, sss), ukey, decoy, (member, gate) in product(passwords, UKEY, decoys, GLASS):
            codes: dict[str, PamCode | None] = {**USUAL, "unix": unix, "sss": sss}
            codes |= {"usertype": regular, "localuser": local, "preauth": preauth}
            # after a wrong password the same group, and a gate that is kept shut
            codes |= {"look": member, "mock": None if gate is None else PamCode.SYSTEM_ERR}
            yield Row(
                {**codes, "ukey": ukey, "decoy": decoy, "member": member, "gate": gate}, asked
            )


def others(roles: set[str]) -> list[str]:
    """The modules that decide nothing: rootok, usertype, localuser, faillock, …"""
    return sorted(roles - FACTORS)


def strange_rows(roles: set[str], at_once: int) -> Iterator[Row]:
    """`at_once` of the other modules return any value, beside each state of the factors."""
    decoys = DECOY[:2] if "decoy" in roles else DECOY[:1]
    answers = tuple(product(PASSWORD[:2], PASSWORD[:2] if "sss" in roles else PASSWORD[1:2]))
    glasses = (GLASS[0], GLASS[1], GLASS[4])
    factors = tuple(product(answers, (*UKEY[:3], *UKEY[-2:]), decoys, glasses))
    for chosen in combinations(others(roles), at_once):
        for said in product(ANYTHING, repeat=at_once):
            strange = dict(zip(chosen, said, strict=True))
            for (unix, sss), ukey, decoy, (member, gate) in factors:
                codes = {"unix": unix, "sss": sss, "ukey": ukey, "decoy": decoy}
                codes |= {"member": member, "gate": gate}
                yield Row({**USUAL, **codes, **strange}, ("unix", "sss"))


class Wrong(AssertionError):
    """A stack let somebody in, asked them or kept them out although it must not."""


def expect(holds: bool, *what: object) -> None:
    if not holds:
        raise Wrong(*what)


#: Rows that are run at once: a few first, since most mistakes show soon.
_FIRST, _MORE = 128, 4096


@dataclass(frozen=True)
class Table:
    """A stack of which each row can be run, where it stands."""

    lines: list[Line]
    built: Path  #: where pam_row.so and the program that runs rows are
    folder: Path
    #: People without a ukey pass by the password.
    exempt: bool = False
    #: The service's own file: {stack} is the text, {inner} a file with it, {inner}-outer one that
    #: has it as a substack.
    around: str = "{stack}"

    @cached_property
    def roles(self) -> set[str]:
        return {line.role for line in self.lines}

    @cached_property
    def told(self) -> set[str]:
        """The roles whose outcomes a row chooses."""
        return {line.role for line in self.lines if not line.fixed}

    @property
    def uniform(self) -> bool:
        return any("uniform" in line.args.split() for line in self.lines)

    @property
    def row_module(self) -> Path:
        return self.built / "pam_row.so"

    def run(self, rows: Iterable[Row], more: str = "") -> Iterator[tuple[Row, Outcome]]:
        """Run the rows, with the lines `more` after the stack."""
        stacks: dict[frozenset[str], str] = {}  # their names, by what is missing in them
        rest, size = iter(rows), _FIRST
        while some := list(islice(rest, size)):
            sent = [self._sent(row, stacks, more) for row in some]
            yield from zip(some, run_rows(self.built / "rows", self.folder, sent), strict=True)
            size = _MORE

    def _sent(self, row: Row, stacks: dict[frozenset[str], str], more: str) -> str:
        """The row as rows.c has it. A module that is missing is so in the stack's text."""
        codes = {role: row.codes.get(role, PamCode.SUCCESS) for role in self.told}
        missing = frozenset(role for role, code in codes.items() if code is None)
        if missing not in stacks:
            stacks[missing] = self._write(f"row-{len(stacks)}", missing, more)
        said = (told(role, code) for role, code in codes.items() if code is not None)
        return f"{stacks[missing]} {' '.join(said)}\n"

    def _write(self, name: str, missing: frozenset[str], more: str) -> str:
        """Write the stack without the `missing` modules; returns its `name`."""
        stack = with_roles(self.lines, self.row_module, missing)
        inner = self.folder / f"inner-{name}"
        inner.write_text(stack)
        Path(f"{inner}-outer").write_text(f"auth substack {inner}\n")
        (self.folder / name).write_text(self.around.format(stack=stack, inner=inner) + more)
        return name

    def count(self, rows: Iterable[Row], last: PamCode | None = None) -> tuple[int, int]:
        """Run the rows and see to all of each. (how many, how many let in)

        `last`: what a line after the stack returns, where there is one.
        """
        more = "" if last is None else f"auth required {self.row_module} last {int(last)} 0\n"
        count = passed = 0
        for row, outcome in self.run(rows, more):
            wanted = row.let_in(self.exempt) and not last
            expect((outcome.code == PamCode.SUCCESS) == wanted, row, outcome)
            expect(not wanted or outcome.setcred == PamCode.SUCCESS, row, outcome)
            self._check_asked(row, set(outcome.shown), outcome.shown)
            count, passed = count + 1, passed + wanted
        return count, passed

    def _check_asked(self, row: Row, asked: set[str], order: list[str]) -> None:
        # Nobody gets to the ukey, or to the gate, without the password.
        expect(row.password or not {"ukey", "gate"} & asked, row, order)
        # Uniform: exactly one of both lines asks for the PIN, unless the glass is broken.
        if self.uniform and None not in (row.codes["ukey"], row.codes["decoy"]):
            pins = [role for role in order if role in ("ukey", "decoy")]
            line = "ukey" if row.password else "decoy"
            expect(pins == ([] if row.password and row.glass else [line]), row, order)
        # Uniform: members wait for the gate on both branches, and nobody else on either.
        if "mock" in self.roles and None not in (row.codes["look"], row.codes["mock"]):
            member = row.codes["look"] == PamCode.SUCCESS
            waited = {role for role in order if role in ("gate", "mock")}
            branch = "gate" if row.password else "mock"
            expect(waited == ({branch} if member else set()), row, order)
        if "preauth" in self.roles:  # faillock counts wrong passwords, and forgets at a login
            wrong = not row.password or ("decoy" in self.roles and not row.second(self.exempt))
            expect(("authsucc" in asked) == row.let_in(self.exempt) or row.refused, row, order)
            expect(("authfail" in asked) == wrong or row.refused, row, order)

    def count_strange(self, rows: Iterable[Row]) -> int:
        """Run the rows: whatever the others say, only both factors let in. Says how often."""
        return sum(self._let_in(row, outcome) for row, outcome in self.run(rows))

    def _let_in(self, row: Row, outcome: Outcome) -> bool:
        if outcome.code != PamCode.SUCCESS:
            return False
        asked = set(outcome.shown)
        if asked == {"rootok"}:  # root is not asked (su)
            expect(row.codes["rootok"] == PamCode.SUCCESS, row, outcome)
            return False
        right = {role for role in ("unix", "sss") if row.codes[role] == PamCode.SUCCESS}
        second = row.codes["ukey"] == PamCode.SUCCESS and "ukey" in asked
        glass = row.glass and "gate" in asked
        exempt = self.exempt and row.codes["ukey"] == PamCode.IGNORE
        expect(bool(right & asked) and (second or glass or exempt), row, outcome)
        return True
