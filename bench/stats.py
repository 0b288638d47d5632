# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The statistics of the tables: medians, 95th percentiles, and a ratio with its uncertainty."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Summary:
    """One row's samples, in the unit of the samples."""

    count: int
    median: float
    p95: float
    fastest: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of two medians, and where it lies with 95 % confidence."""

    value: float
    low: float
    high: float


def percentile(samples: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: always a value that was seen. 0 < `percent` <= 100."""
    if not samples:
        raise ValueError("no samples")
    if not 0 < percent <= 100:
        raise ValueError("a percentile is over 0 and at most 100")
    return sorted(samples)[math.ceil(len(samples) * percent / 100) - 1]


def summarise(samples: Sequence[float]) -> Summary:
    """Raises ``ValueError`` where there are no samples."""
    p95 = percentile(samples, 95)
    return Summary(len(samples), median(samples), p95, min(samples))


def ratio(
    ours: Sequence[float],
    theirs: Sequence[float],
    floor: Sequence[float] | None = None,
    *,
    resamples: int = 2000,
    seed: int = 1,
) -> Ratio:
    """median(ours) / median(theirs), with a bootstrap interval over whole rounds.

    With a `floor`, of what both cost over it: the medians above the floor's.

    The samples of one round were taken next to each other, so rounds are drawn, not samples: work
    that slowed a whole round down slows both sides of the ratio. The seed makes a table that is
    rendered twice the same.
    """
    floor = [0.0] * len(ours) if floor is None else floor
    if not len(ours) == len(theirs) == len(floor):
        raise ValueError("rounds are paired: all sides have the same number of samples")

    def of(picks: Sequence[int]) -> float:
        base, numerator, denominator = (
            median(side[i] for i in picks) for side in (floor, ours, theirs)
        )
        return (numerator - base) / (denominator - base)

    rng, rounds = random.Random(seed), range(len(ours))
    drawn = [of(rng.choices(rounds, k=len(ours))) for _ in range(resamples)]
    return Ratio(of(rounds), percentile(drawn, 2.5), percentile(drawn, 97.5))
