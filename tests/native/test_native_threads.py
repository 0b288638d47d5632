# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Four threads at once, each in a transaction of its own, as a display manager may have them."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from tests.native.builds import Build, Change, many
from tests.native.endings import Keyservice, lines

pytestmark = pytest.mark.slow

THREADS = 4
#: ThreadSanitizer wants its addresses where they always are.
FIXED = ["setarch", platform.machine(), "--addr-no-randomize"]


def test_under_memory_checks(sanitized: Build, tmp_path: Path) -> None:
    with Keyservice():
        told = many(sanitized, tmp_path, lines(4000, rare=1, threads=True), threads=THREADS)
    assert told.found == []


def test_under_race_checks(raced: Build, tmp_path: Path) -> None:
    with Keyservice():
        sent = lines(2000, rare=1, threads=True)
        told = many(raced, tmp_path, sent, threads=THREADS, prefix=FIXED)
    assert told.found == []


MISTAKES = {
    "a session kept": Change(
        "session.c",
        r"struct session \*session = calloc\(1, sizeof \*session\);(.*)    free\(session\);\n",
        r"static struct session kept, *session = &kept;\1",
    ),
    "a number kept": Change("frame.c", r"    uint8_t bytes\[2\];", "    static uint8_t bytes[2];"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_would_be_seen(mistake: str, raced: Build, tmp_path: Path) -> None:
    build = raced.changed(tmp_path, MISTAKES[mistake])
    with Keyservice():
        sent = lines(500, rare=0, threads=True)
        told = many(build, tmp_path, sent, threads=THREADS, prefix=FIXED)
    assert "WARNING: ThreadSanitizer: data race" in told.stderr
