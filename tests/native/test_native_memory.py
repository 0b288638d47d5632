# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""pam_ukey.so many times in one process, loaded and unloaded each time, however sessions end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from keyservice.contract.pam import PamCode
from tests.native.builds import Build, Change, Line, Told, many
from tests.native.endings import IGNORED, Keyservice, lines
from tests.support.host import Host

# Seconds for a traced process on a busy machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
TRACED = 200


def grown(told: Told) -> int:
    """Bytes that are live after the last lines and were not after the first."""
    return told.heaps[-1] - told.heaps[1]


def test_ten_thousand_authentications_under_sanitizers(sanitized: Build, tmp_path: Path) -> None:
    with Keyservice():
        told = many(sanitized, tmp_path, lines(10_000, rare=2), seconds=TRACED)
    assert told.found == []
    assert told.numbers["spawned"] > 50
    # LeakSanitizer finds memory that nothing points to; this finds what something points to.
    assert grown(told) == 0, told.heaps


def test_the_real_keyservice_and_ukey_too(host: Host, sanitized: Build, tmp_path: Path) -> None:
    host.pcscd()
    host.keyservice()
    demo, clerk, ukey = host.user(), host.user("clerk"), host.softkey()
    host.bind(demo, ukey)
    assert ukey.pin is not None
    right = Line(PamCode.SUCCESS, demo.name, f"={ukey.pin.decode()}")
    turn = [
        *[right] * 15,
        Line(PamCode.AUTH_ERR, demo.name, "=000000"),
        right,
        Line(PamCode.CONV_ERR, demo.name, "error"),
        Line(PamCode.CONV_ERR, demo.name, "="),
        Line(PamCode.USER_UNKNOWN, clerk.name),
        Line(IGNORED, clerk.name, service="nouserok"),
        Line(PamCode.USER_UNKNOWN, "nobody-here"),
        *[right] * 3,
    ]
    on_a_beat = [Line(PamCode.AUTH_ERR, clerk.name, service=name) for name in ("uniform", "decoy")]
    told = many(sanitized, tmp_path, [*on_a_beat, *turn * 10], seconds=TRACED)
    assert told.found == []
    assert grown(told) == 0, told.heaps


def test_two_hundred_under_valgrind(plain: Build, tmp_path: Path) -> None:
    valgrind = ["valgrind", "--error-exitcode=98", "--leak-check=full", "--track-fds=yes"]
    valgrind += ["--errors-for-leak-kinds=definite,indirect,possible", "--keep-debuginfo=yes"]
    with Keyservice():
        told = many(plain, tmp_path, lines(200, rare=1), prefix=valgrind, seconds=TRACED)
    assert told.found == []
    assert re.search(r"ERROR SUMMARY: 0 errors from 0 contexts", told.stderr)
    assert not re.search(r"(definitely|indirectly|possibly) lost: [1-9]", told.stderr)
    assert re.search(r"FILE DESCRIPTORS: 3 open \(3 std\) at exit", told.stderr), told.stderr


MISTAKES = {
    "an answer not freed": Change("conversation.c", r"\n    free\(answer\);", ""),
    "an answer freed twice": Change("conversation.c", r"(free\(answer\);)", r"\1 \1"),
    "a socket left open": Change("wire.c", r"close\(wire->fd\);", "(void)wire;"),
    "a socket for everybody": Change("wire.c", r"SOCK_STREAM \| SOCK_CLOEXEC", "SOCK_STREAM"),
    "a socket as standard input": Change("wire.c", r"made > STDERR_FILENO", "made > -1"),
    "a text too long": Change("frame.c", r"length > max \|\| ", ""),
    "a field past the frame": Change("frame.c", r"\(size_t\)\(end - at\) - FIELD_HEAD <", "0 >"),
    "a body too long": Change("frame.c", r" && length <= FRAME_MAX", ""),
    "an answer too long": Change("session.c", r"strnlen\(answer, ANSWER_MAX \+ 1\) >", "0 >"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_would_be_seen(mistake: str, sanitized: Build, tmp_path: Path) -> None:
    build = sanitized.changed(tmp_path, MISTAKES[mistake])
    with Keyservice():
        told = many(build, tmp_path, lines(250, rare=0))
    assert told.found or grown(told), mistake


def test_a_module_that_stays_would_be_seen(plain: Build, tmp_path: Path) -> None:
    build = plain.changed(tmp_path, make=["LINKING=-shared -Wl,-z,nodelete"])
    with Keyservice():
        told = many(build, tmp_path, lines(250, rare=0))
    assert told.found == ["mapped 250"]
