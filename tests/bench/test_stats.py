# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The statistics: exact values on small samples, and what they refuse."""

from __future__ import annotations

import random

import pytest

from bench.stats import percentile, ratio, summarise


def test_a_percentile_is_a_value_that_was_seen() -> None:
    samples = [float(value) for value in range(100, 0, -1)]
    assert percentile(samples, 95) == 95
    assert percentile(samples, 2.5) == 3
    assert percentile(samples, 100) == 100
    assert percentile([7.0], 95) == 7


@pytest.mark.parametrize("percent", [0, -1, 100.1])
def test_a_percentile_outside_its_range_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile([1.0], percent)


def test_no_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        summarise([])


def test_a_summary_is_not_moved_by_one_stray_run() -> None:
    row = summarise([2.0] * 39 + [900.0])
    assert (row.count, row.median, row.p95) == (40, 2.0, 2.0)


def test_a_ratio_is_of_the_medians() -> None:
    assert ratio([1.0, 2.0, 30.0], [4.0, 4.0, 4.0]).value == 0.5


def test_a_ratio_above_a_floor_is_of_what_is_added() -> None:
    assert ratio([3.0] * 3, [5.0] * 3, [1.0] * 3).value == 0.5


def test_a_ratio_of_what_rose_and_fell_together_is_certain() -> None:
    """Rounds are drawn whole, so a noisy machine does not widen a ratio that it did not move."""
    rng = random.Random(3)
    theirs = [rng.uniform(1, 100) for _ in range(60)]
    figure = ratio([2 * value for value in theirs], theirs)
    assert figure.low == pytest.approx(2)
    assert figure.high == pytest.approx(2)


def test_the_interval_holds_the_ratio_and_is_the_same_each_time() -> None:
    rng = random.Random(4)
    ours = [rng.gauss(3, 1) for _ in range(60)]
    theirs = [rng.gauss(6, 1) for _ in range(60)]
    figure = ratio(ours, theirs)
    assert figure.low < figure.value < figure.high
    assert figure == ratio(ours, theirs)


def test_sides_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="paired"):
        ratio([1.0], [1.0, 2.0])
