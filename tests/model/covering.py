# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Few cells of a product that have, together, each combination of values that matters."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Iterable, Mapping, Set
from itertools import combinations
from typing import TypeVar

_T = TypeVar("_T")
#: How many new combinations a cell has to bring, pass by pass.
_PASSES = (24, 20, 16, 12, 8, 4, 2, 1)


def combined(values: Mapping[str, Hashable], at_once: int) -> Set[Hashable]:
    """The combinations of `at_once` of the values, which are named by their dimensions."""
    return set(combinations(sorted(values.items(), key=lambda each: each[0]), at_once))


def covering(
    cells: Iterable[_T], combinations_of: Callable[[_T], Set[Hashable]], seed: int = 1
) -> list[_T]:
    """Enough of the `cells` to have every combination that any of them has."""
    left = [(cell, combinations_of(cell)) for cell in cells]
    random.Random(seed).shuffle(left)
    chosen, seen = list[_T](), set[Hashable]()
    for least in _PASSES:
        for cell, has in left:
            if len(has - seen) >= least:
                chosen.append(cell)
                seen |= has
    return chosen
