# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""libFuzzer on what pam_ukey.so reads: for seconds, in scripts/soak ten million inputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.native.builds import Change, sources
from tests.native.fuzzing import HARNESSES, Fuzzer, Kept

pytestmark = pytest.mark.slow

SECONDS, SOAK_RUNS = 10, 10_000_000
Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return Kept(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("name", HARNESSES)
def test_nothing_that_is_said_breaks_it(
    name: str, kept: Kept, tmp_path: Path, soak: bool, record_property: Record
) -> None:
    fuzzer = Fuzzer(name, tmp_path / name, kept)
    limit = f"-runs={SOAK_RUNS}" if soak else f"-max_total_time={SECONDS}"
    done = fuzzer.run(limit, seconds=7000 if soak else 50)
    assert not done.crashed, done.text
    covered = fuzzer.covered()
    told = ", ".join(f"{file} {percent:.1f} %" for file, percent in covered.items())
    record_property("figure", f"fuzz {name}: {done.runs} runs, no mistake; lines reached: {told}")
    assert done.runs >= (SOAK_RUNS if soak else 10_000)
    assert min(covered.values()) > 85, covered


MISTAKES = {
    "a text too long": ("frame", Change("frame.c", r"length > max \|\| ", "")),
    "a text with NUL": ("frame", Change("frame.c", r" \|\| memchr\([^)]*\) != NULL", "")),
    "a field past the frame": (
        "frame",
        Change("frame.c", r"\(size_t\)\(end - at\) - FIELD_HEAD < length \|\|", ""),
    ),
    "a field's head past the frame": ("frame", Change("frame.c", r"end - at < FIELD_HEAD", "0")),
    "a body too long": ("session", Change("frame.c", r" && length <= FRAME_MAX", "")),
    "a code that begins well": (
        "session",
        Change(
            "session.c", r"strcmp\(code, verdicts\[i\].name\)", "strncmp(code, verdicts[i].name, 7)"
        ),
    ),
    "a decoy that lets in": ("session", Change("pam_ukey.c", r" && !\([^)]*DECOY\)", "")),
    "a user who changes": ("session", Change("session.c", r"ending.how != FAILED && ", "0 && ")),
    "the password sent": ("session", Change("session.c", r"if \(!echo && ", "if (echo && ")),
    "an answer not wiped": ("session", Change("conversation.c", r"explicit_bzero\([^;]*;", ";")),
    "an answer left": (
        "session",
        Change("conversation.c", r"conversation_forget\(answer\); /", "/"),
    ),
    "a deadline that moves": ("session", Change("wire.c", r"if \(left <= 0\)", "if (left == 0)")),
    "a peer that is not root": ("session", Change("wire.c", r"peer.uid != 0", "0")),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_in_seconds(mistake: str, kept: Kept, tmp_path: Path) -> None:
    name, change = MISTAKES[mistake]
    fuzzer = Fuzzer(name, tmp_path / name, kept, sources(tmp_path, change))
    done = fuzzer.run("-max_total_time=20", seconds=50)
    assert done.crashed, mistake
