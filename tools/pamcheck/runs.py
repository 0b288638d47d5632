# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The runs of one stack: what libpam does with each row of its modules' codes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from . import copy, libpam
from .behaviour import Code
from .controls import CODES, alike
from .libpam import Ran, Row
from .modules import asks, asks_for_ukey, may_ask, needs_password, setcred
from .stack import Module, Stack

#: Seconds for all rows of a stack; a few are a lot.
_SECONDS = 60.0
#: How many rows are tried to reach a line that no login has reached.
_TRIES = 400

#: A row, and whether modules that are not known ask for the password in it.
Asked = tuple[Row, bool]


@dataclass(frozen=True)
class Unreached:
    """Lines that no run has come to."""

    modules: tuple[Module, ...] = ()
    #: Of each, by its index: the line that ended the runs that came closest.
    last: Mapping[int, int] = field(default_factory=dict)


class Runs:
    """Rows that are settled have run, each once."""

    def __init__(self, stack: Stack) -> None:
        self._modules, self._size = stack.modules(), stack.size
        creds = {module.index: setcred(module.line) for module in self._modules}
        self._copy = copy.of(stack, creds)
        self._same: dict[tuple[int, object], Code] = {}
        self._ran: dict[Row, Ran] = {}
        self._asking = frozenset(each.index for each in self._modules if asks(each.line))
        self._strange = frozenset(each.index for each in self._modules if may_ask(each.line))
        self._needing = frozenset(each.index for each in self._modules if needs_password(each.line))
        self._settled: dict[Asked, Row] = {}

    @property
    def may_be_asked(self) -> bool:
        """Whether it makes a difference if unknown modules ask for the password."""
        return bool(self._needing and self._strange)

    def representative(self, module: Module, code: Code) -> Code:
        """One code for all that the line's control treats alike; whether somebody gets in is the
        same for all of them."""
        if code is None:
            return None
        return self._same.setdefault((module.index, alike(module.line.control, code)), code)

    def settle(self, rows: list[Asked]) -> None:
        """Run `rows`. A line that takes the password of an earlier line fails if no earlier line
        has asked for it. Raises :class:`tools.pamcheck.libpam.LibpamFailed`."""
        left = {each: each[0] for each in rows if each not in self._settled}
        while left:
            self._run(list(left.values()))
            for each, row in list(left.items()):
                again = self._without_password(row, strangers=each[1])
                if again == row:
                    self._settled[each] = left.pop(each)
                else:
                    left[each] = again

    def settled(self, row: Asked) -> Row:
        """The row that a row has become."""
        return self._settled[row]

    def of(self, row: Asked) -> Ran:
        """The run of a row that is settled."""
        return self._ran[self._settled[row]]

    def _run(self, rows: list[Row]) -> None:
        new = [row for row in dict.fromkeys(rows) if row not in self._ran]
        if new:
            self._ran |= zip(new, libpam.run(self._copy, new, _SECONDS), strict=True)

    def _without_password(self, row: Row, *, strangers: bool) -> Row:
        """`row`, if no line that ran takes a password that no line has asked for; otherwise `row`
        with the first such line failing."""
        for index in self._ran[row].trace if self._needing else ():
            if index in self._asking or (strangers and index in self._strange):
                break
            if index in self._needing and row[index] not in (None, "auth_err"):
                return (*row[:index], "auth_err", *row[index + 1 :])
        return row

    # -- what all of them show

    def asked_first(self) -> tuple[Module, Module] | None:
        """A line that asks for the ukey's PIN, if a later line asks for the password, and no
        earlier one does."""
        asking = [module for module in self._modules if module.index in self._asking]
        ukeys = {each.index: each for each in self._modules if asks_for_ukey(each.line)}
        for index in self._unasked():
            behind = [module for module in asking if module.index > index]
            if index in ukeys and behind:
                return ukeys[index], behind[0]
        return None

    def _unasked(self) -> Iterator[int]:
        """The lines that ran before any asked for the password."""
        for row in dict.fromkeys(self._settled.values()):
            for index in self._ran[row].trace:
                if index in self._asking:
                    break
                yield index

    def never(self) -> Unreached:
        """The lines that no run has come to."""
        seen = {index for ran in self._ran.values() for index in ran.trace}
        if all(module.index in seen for module in self._modules) or not seen:
            return Unreached()
        dice = random.Random(0)
        self._run([self._thrown(dice) for _try in range(_TRIES)])
        seen = {index for ran in self._ran.values() for index in ran.trace}
        never = tuple(module for module in self._modules if module.index not in seen)
        last = {
            module.index: max(
                (ran.trace[-1] for ran in self._ran.values() if ran.trace),
                key=lambda index: (index < module.index, index),
            )
            for module in never
        }
        return Unreached(never, last)

    def _thrown(self, dice: random.Random) -> Row:
        """A row in which the modules return anything that they can, some rows mostly success."""
        luck = dice.choice((0.1, 0.5, 0.95))
        row: list[Code] = ["success"] * self._size
        for module in self._modules:
            if not module.line.loadable:
                row[module.index] = None
            elif module.line.name == "pam_deny":
                row[module.index] = "auth_err"
            elif module.line.name != "pam_permit" and dice.random() >= luck:
                row[module.index] = dice.choice(
                    (
                        "auth_err",
                        "ignore",
                        "user_unknown",
                        "authinfo_unavail",
                        dice.choice(CODES[:30]),
                    )
                )
        return tuple(row)
