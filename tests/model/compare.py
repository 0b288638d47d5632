# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The model and the real thing, cell by cell."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .house import House, write_stacks
from .rules import Entry, Login, Outcome, State

Case = TypeVar("Case")
Real = TypeVar("Real")

Cell = State | Login
#: What the model says of a cell.
Wanted = Callable[..., Outcome | Entry]
#: Plays a scene in a house of its own (the fixture ``play``).
Play = Callable[[Callable[[House], Awaitable[None]]], None]
#: How many differences are shown.
_SHOWN = 5


@dataclass(frozen=True)
class Difference:
    """A difference between the real thing and the model."""

    cell: Cell
    model: Outcome | Entry
    real: Outcome | Entry

    @property
    def dangerous(self) -> bool:
        """Somebody got in who must not, or a PIN went to a ukey that must not."""
        let_in = self.real.let_in and not self.model.let_in
        return let_in or (self.real.sent and not self.model.sent)

    def __str__(self) -> str:
        return f"{self.cell}\n  model: {self.model}\n  real:  {self.real}"


def differ(play: Play, cells: Iterable[Cell], wanted: Wanted) -> list[Difference]:
    """The differences between the real thing and `wanted`, in the `cells`."""
    found = list[Difference]()

    async def scene(house: House) -> None:
        for cell in cells:
            real = await (house.line(cell) if isinstance(cell, State) else house.stack(cell))
            if real != (model := wanted(cell)):
                found.append(Difference(cell, model, real))

    play(scene)
    return found


def agree(play: Play, cells: Iterable[Cell], wanted: Wanted) -> None:
    found = differ(play, cells, wanted)
    shown = "\n".join(map(str, found[:_SHOWN]))
    assert not found, f"{len(found)} differ:\n{shown}"


def differing(
    play: Play,
    folder: Path,
    chosen: Iterable[Case],
    furnish: Callable[[House], Awaitable[Callable[[Case], Awaitable[Real]]]],
    expected: Callable[[Case], Real],
) -> list[tuple[Case, Real, Real]]:
    """The cases in which the real thing does not as the model: (case, model, real).

    `furnish` makes what a case is played by, in the house that is played in.
    """
    found = []
    write_stacks(folder / "stacks")

    async def scene(living: House) -> None:
        line = await furnish(living)
        for case in chosen:
            real = await line(case)
            if real != (model := expected(case)):
                found.append((case, model, real))

    play(scene)
    return found
