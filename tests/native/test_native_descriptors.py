# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The system calls of pam_ukey.so, as seen from outside, and what they leave behind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from keyservice.contract.pam import PamCode
from tests.native.builds import Build, Change, Line, many
from tests.native.endings import ENDINGS, Keyservice


@dataclass(frozen=True)
class Call:
    """A system call with the files whose code was on the stack, innermost first."""

    name: str
    text: str
    files: tuple[str, ...]


_CALL = re.compile(r"(?:\[pid +\d+\] )?(\w+)\((.*)")
_FRAME = re.compile(r" > (\S+?)\(")


def traced(build: Build, folder: Path, lines: list[Line]) -> list[Call]:
    """The system calls that the module makes, itself or by libpam, not by the conversation."""
    trace = folder / "trace"
    with Keyservice():
        told = many(build, folder, lines, prefix=["strace", "-k", "-o", str(trace)])
    assert told.found == []
    calls: list[Call] = []
    for line in trace.read_text().splitlines():
        if frame := _FRAME.match(line):
            calls[-1] = Call(calls[-1].name, calls[-1].text, (*calls[-1].files, frame[1]))
        elif call := _CALL.match(line):
            calls.append(Call(call[1], call[2], ()))
    application = str(build.folder / "many")
    ours = [call for call in calls if str(build.module) in call.files]
    return [call for call in ours if application not in call.files[: _depth(call)]]


def _depth(call: Call) -> int:
    """The number of frames further in than the module's first."""
    return next(depth for depth, file in enumerate(call.files) if file.endswith("/pam_ukey.so"))


def by_libpam(call: Call) -> bool:
    """Whether it is libpam that the module asked for something, not libc."""
    return any("libpam" in file for file in call.files[: _depth(call)])


#: Of the module itself. libpam's pam_syslog, which it calls, also opens /dev/log.
OWN = {"socket", "fcntl", "geteuid", "connect", "getsockopt", "setsockopt", "sendto", "recvfrom"}
OWN |= {"close", "clock_gettime"}
#: The calls that give a new descriptor, and the flag that each must have.
MADE = {
    "socket": "SOCK_CLOEXEC",
    "openat": "O_CLOEXEC",
    "open": "O_CLOEXEC",
    "fcntl": "F_DUPFD_CLOEXEC",
    "accept4": "SOCK_CLOEXEC",
    "dup3": "O_CLOEXEC",
    "pipe2": "O_CLOEXEC",
}
NEVER = {"creat", "dup", "dup2", "pipe", "accept", "socketpair", "openat2", "memfd_create"}
NEVER |= {"execve", "clone", "clone3", "fork", "vfork", "rt_sigaction", "chdir", "umask"}


def faults(calls: list[Call]) -> list[str]:
    """Calls without a flag that they must have, and calls that must not be made at all."""
    return [
        f"{call.name}({call.text}"
        for call in calls
        if call.name in NEVER or MADE.get(call.name, "") not in call.text
    ]


def test_every_descriptor_is_closed_on_exec(plain: Build, tmp_path: Path) -> None:
    names = ("0-right", "8-right-without-descriptors", "9-wrong")
    calls = traced(plain, tmp_path, [ENDINGS[name].line for name in names])
    assert faults(calls) == []
    assert sum("SOCK_STREAM" in call.text for call in calls) == 3
    assert {"socket", "fcntl", "connect"} <= {call.name for call in calls if not by_libpam(call)}
    assert {call.name for call in calls if not by_libpam(call)} <= OWN
    assert "openat" not in {call.name for call in calls}


MISTAKES = {
    "for everybody": Change("wire.c", r"SOCK_STREAM \| SOCK_CLOEXEC", "SOCK_STREAM"),
    "a copy for everybody": Change("wire.c", r"F_DUPFD_CLOEXEC", "F_DUPFD"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_would_be_seen(mistake: str, plain: Build, tmp_path: Path) -> None:
    build = plain.changed(tmp_path, MISTAKES[mistake])
    line = ENDINGS["8-right-without-descriptors"].line
    assert faults(traced(build, tmp_path, [line])) != []


def test_a_program_started_at_a_prompt_gets_none(plain: Build, tmp_path: Path) -> None:
    line = ENDINGS["7-right-with-a-program-started"].line
    with Keyservice():
        told = many(plain, tmp_path, [line])
    assert (told.found, told.numbers["spawned"]) == ([], 1)
    build = plain.changed(tmp_path, MISTAKES["for everybody"])
    (tmp_path / "other").mkdir()
    with Keyservice():
        told = many(build, tmp_path / "other", [line])
    assert told.found == ["inherited 1"]


def test_without_a_service_none_is_left(plain: Build, tmp_path: Path) -> None:
    line = Line(PamCode.AUTHINFO_UNAVAIL, "alice")
    assert many(plain, tmp_path, [line] * 100).found == []
