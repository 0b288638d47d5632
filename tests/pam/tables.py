# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Truth tables: what every module of a stack may return, and whom the stack then may let in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

from tests.pam.libpam import Code, Outcome, authenticate
from tests.pam.stacks import Line, with_outcomes

PASSWORD = (Code.SUCCESS, Code.AUTH_ERR, Code.IGNORE, None)
UKEY = (
    Code.SUCCESS,
    Code.AUTH_ERR,
    Code.AUTHINFO_UNAVAIL,
    Code.USER_UNKNOWN,
    Code.MAXTRIES,
    Code.NEW_AUTHTOK_REQD,
    Code.IGNORE,
    None,
)
DECOY = (Code.AUTH_ERR, Code.SUCCESS, Code.IGNORE, None)
#: (the look at the group, the gate)
GLASS = (
    (Code.SUCCESS, Code.SUCCESS),
    (Code.SUCCESS, Code.SYSTEM_ERR),
    (Code.SUCCESS, Code.IGNORE),
    (Code.SUCCESS, None),
    (Code.AUTH_ERR, Code.SUCCESS),
    (Code.IGNORE, Code.SUCCESS),
    (None, Code.SUCCESS),
)
#: What pam_usertype isregular and pam_localuser say of whom, and whom the two ask for a password.
KINDS = {
    "system": (Code.AUTH_ERR, Code.SUCCESS, ("unix",)),
    "local": (Code.SUCCESS, Code.SUCCESS, ("unix", "sss")),
    "directory": (Code.SUCCESS, Code.PERM_DENIED, ("sss",)),
}
#: Everything that a module may return when all is well with nobody.
ANYTHING = (
    Code.SUCCESS,
    Code.AUTH_ERR,
    Code.PERM_DENIED,
    Code.USER_UNKNOWN,
    Code.SERVICE_ERR,
    Code.NEW_AUTHTOK_REQD,
    Code.IGNORE,
    None,
)
#: Both factors and what leads to them, and what is always itself.
FACTORS = {"unix", "sss", "ukey", "decoy", "member", "gate", "permit", "deny"}


@dataclass(frozen=True)
class Row:
    """What each module returns, by its role in the stack; None where it is missing."""

    codes: Mapping[str, Code | None]
    passwords: tuple[str, ...] = ("unix",)  #: the roles that are asked whether it is right

    @property
    def password(self) -> bool:
        return any(self.codes[role] == Code.SUCCESS for role in self.passwords)

    @property
    def refused(self) -> bool:
        """By faillock, before anything."""
        return self.codes["preauth"] != Code.SUCCESS

    @property
    def glass(self) -> bool:
        return self.codes["member"] == self.codes["gate"] == Code.SUCCESS

    def second(self, exempt: bool) -> bool:
        """Whether the ukey is right, or is not needed; `exempt`: nor is it for whoever has none."""
        ukey = self.codes["ukey"]
        return ukey == Code.SUCCESS or self.glass or (exempt and ukey == Code.IGNORE)

    def let_in(self, exempt: bool) -> bool:
        return self.password and not self.refused and self.second(exempt)


USUAL = {
    "rootok": Code.AUTH_ERR,
    "usertype": Code.SUCCESS,
    "localuser": Code.SUCCESS,
    "preauth": Code.SUCCESS,
    "authfail": Code.AUTH_ERR,
    "look": Code.AUTH_ERR,
}


def rows(roles: set[str]) -> Iterator[Row]:
    """Every outcome of both factors and of what leads to them, the others as they usually are."""
    decoys = DECOY if "decoy" in roles else DECOY[:1]
    preauths = (Code.SUCCESS, Code.AUTH_ERR) if "preauth" in roles else (Code.SUCCESS,)
    both = ("unix", "sss") if "sss" in roles else ("unix",)
    kinds = KINDS if "usertype" in roles else {"all": (Code.SUCCESS, Code.SUCCESS, both)}
    passwords = tuple(product(PASSWORD, PASSWORD[:2] if "sss" in roles else PASSWORD[1:2]))
    for (regular, local, asked), preauth in product(kinds.values(), preauths):
        for (unix, sss), ukey, decoy, (member, gate) in product(passwords, UKEY, decoys, GLASS):
            codes = {**USUAL, "usertype": regular, "localuser": local, "preauth": preauth}
            codes |= {"unix": unix, "sss": sss}
            yield Row(
                {**codes, "ukey": ukey, "decoy": decoy, "member": member, "gate": gate}, asked
            )


def others(roles: set[str]) -> list[str]:
    """Those that decide nothing: rootok, usertype, localuser, faillock, …"""
    return sorted(roles - FACTORS)


def strange_rows(roles: set[str], at_once: int) -> Iterator[Row]:
    """`at_once` of the other modules return whatever there is, beside each state of the factors."""
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
    """A stack let in, asked or kept out as it must not."""


def expect(holds: bool, *what: object) -> None:
    if not holds:
        raise Wrong(*what)


@dataclass(frozen=True)
class Table:
    """A stack of which each row can be run, where it stands."""

    lines: list[Line]
    row_module: Path
    folder: Path
    #: Whoever has no ukey passes by the password.
    exempt: bool = False
    #: What the service's own file is: {stack} is the text, {inner} a file with it.
    around: str = "{stack}"

    @property
    def roles(self) -> set[str]:
        return {line.role for line in self.lines}

    def run(self, row: Row, more: str = "") -> Outcome:
        stack = with_outcomes(self.lines, self.row_module, row.codes)
        inner = self.folder / "inner"
        inner.write_text(stack)
        text = self.around.format(stack=stack, inner=inner) + more
        (self.folder / "row").write_text(text)
        return authenticate(self.folder, "row", setcred=True)

    def check(self, row: Row, last: Code | None = None) -> bool:
        """Run one row, see to all of it, say whether it let in.

        `last`: what a line after the stack returns, where there is one.
        """
        after = "" if last is None else f"auth required {self.row_module} last {int(last)} 0\n"
        outcome = self.run(row, after)
        wanted = row.let_in(self.exempt) and not last
        expect((outcome.code == Code.SUCCESS) == wanted, row, outcome)
        expect(not wanted or outcome.setcred == Code.SUCCESS, row, outcome)
        self._check_asked(row, set(outcome.shown), outcome.shown)
        return wanted

    def _check_asked(self, row: Row, asked: set[str], order: list[str]) -> None:
        # Nobody comes to the ukey, or to the gate, without the password.
        expect(row.password or not {"ukey", "gate"} & asked, row, order)
        # Uniform: exactly one of both lines asks for the PIN, unless the glass is broken.
        if "decoy" in self.roles and None not in (row.codes["ukey"], row.codes["decoy"]):
            pins = [role for role in order if role in ("ukey", "decoy")]
            line = "ukey" if row.password else "decoy"
            expect(pins == ([] if row.password and row.glass else [line]), row, order)
        if "preauth" in self.roles:  # faillock counts wrong passwords, and forgets at a login
            wrong = not row.password or ("decoy" in self.roles and not row.second(self.exempt))
            expect(("authsucc" in asked) == row.let_in(self.exempt) or row.refused, row, order)
            expect(("authfail" in asked) == wrong or row.refused, row, order)

    def check_strange(self, row: Row) -> bool:
        """Run one row: whatever the others say, only both factors let in. Says if they did."""
        outcome = self.run(row)
        if outcome.code != Code.SUCCESS:
            return False
        asked = set(outcome.shown)
        if asked == {"rootok"}:  # root is not asked (su)
            expect(row.codes["rootok"] == Code.SUCCESS, row, outcome)
            return False
        right = {role for role in ("unix", "sss") if row.codes[role] == Code.SUCCESS}
        second = row.codes["ukey"] == Code.SUCCESS and "ukey" in asked
        glass = row.glass and "gate" in asked
        exempt = self.exempt and row.codes["ukey"] == Code.IGNORE
        expect(bool(right & asked) and (second or glass or exempt), row, outcome)
        return True

    def count(self, rows: Iterable[Row]) -> tuple[int, int]:
        """Check the rows. (how many, how many let in)"""
        checked = [self.check(row) for row in rows]
        return len(checked), sum(checked)
