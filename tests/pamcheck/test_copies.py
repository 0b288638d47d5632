# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The private copy behaves as the stack that it was made of. libpam shows that with hundreds of
stacks made by chance, which it also runs as they stand, with a module of the tests' own."""

from __future__ import annotations

import os
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.pam.libpam import authenticate
from tools.pamcheck import copy, libpam, stack
from tools.pamcheck.controls import CODES
from tools.pamcheck.places import Places
from tools.pamcheck.stack import Group, walk

_RETURNED = (0, 0, 0, 0, 7, 7, 25, 10, 9, 6, 12, 28, 3, 11)
_ACTIONS = ("ok", "done", "bad", "die", "ignore", "reset", "1", "1", "2", "3", "7")
_NAMES = ("success", "auth_err", "ignore", "user_unknown", "new_authtok_reqd", "authinfo_unavail")
_WORDS = ("required", "requisite", "sufficient", "optional", "REQUIRED", "Sufficient", "[required]")
_ABORT = 26


class Chance:
    """Stacks made by chance: a service's file, and up to three that are included."""

    def __init__(self, seed: int, folder: Path, module: Path) -> None:
        self._dice = random.Random(seed)
        self._folder, self._module = folder, module
        self._role = 0

    def write(self) -> None:
        for number in range(4):
            name = "raw" if number == 0 else f"file{number}"
            count = self._dice.randrange(1, 7)
            lines = [self._line(number) for _line in range(count)]
            end = self._dice.choice(("", "", "", "", "auth required \\\n")) if number else ""
            (self._folder / name).write_text("".join(lines) + end)

    def _line(self, number: int) -> str:
        roll = self._dice.random()
        if roll < 0.2 and number < 3:
            return self._include(number)
        if roll < 0.3:
            return self._odd()
        dash = self._dice.choice(("", "", "", "-"))
        kind = self._dice.choice(("auth", "auth", "auth", "auth", "AUTH", "account"))
        between = self._dice.choice((" ", "\t", " \\\n   ", " \\\n# no line\n\n"))
        return f"{dash}{kind}{between}{self._control()} {self._call()}\n"

    def _include(self, number: int) -> str:
        target = self._folder / f"file{self._dice.randrange(number + 1, 4)}"
        if self._dice.random() < 0.1:
            target = self._folder / "nothing"
        how = self._dice.choice(("auth include", "auth substack", "@include", "account include"))
        # If a file is missing that is included in one that is itself included for a type, libpam
        # 1.5.2 goes by memory that it has not set.
        if how == "@include" and number:
            how = "auth include"
        return f"{how} {target}\n"

    def _odd(self) -> str:
        return self._dice.choice(
            (
                "# a comment\n",
                "\n",
                f"auth requird {self._call()}\n",
                f"auth [success=0 default=ok] {self._call()}\n",
                f"auth [success=ok defualt=ok] {self._call()}\n",
                f"atuh sufficient {self._call()}\n",
                "auth\n",
                "auth sufficient\n",
                "auth optional /nowhere/pam_missing.so\n",
                "auth [success=1 default=ignore] /nowhere/pam_missing.so\n",
                f"auth required {self._call()} # and a comment \\\n",
            )
        )

    def _control(self) -> str:
        if self._dice.random() < 0.4:
            return self._dice.choice(_WORDS)
        names = self._dice.sample(_NAMES, self._dice.randrange(1, 4))
        if self._dice.random() < 0.8:
            names.append("default")
        pairs = [f"{name}={self._dice.choice(_ACTIONS)}" for name in names]
        return f"[{self._dice.choice((' ', '  ')).join(pairs)}]"

    def _call(self) -> str:
        self._role += 1
        auth, cred = self._dice.choice(_RETURNED), self._dice.choice((0, 0, 0, 25, 17))
        return f"{self._module} {self._role} {auth} {cred}"


class NoOther(Places):
    """This host, without the service "other"."""

    def find(self, name: str) -> Path | None:
        return None if name == stack.OTHER else super().find(name)


@dataclass(frozen=True)
class Said:
    """libpam's answer."""

    code: int
    setcred: int
    lines: tuple[str, ...]


def said_of_the_stack(folder: Path) -> Said:
    try:
        outcome = authenticate(folder, "raw", setcred=True)
    except AssertionError as error:  # pam_start failed
        assert str(_ABORT) in str(error)
        return Said(_ABORT, -1, ())
    setcred = outcome.setcred if outcome.code == 0 else -1
    return Said(outcome.code, setcred, tuple(outcome.shown))


def run_here(made: copy.Copy, row: libpam.Row) -> libpam.Ran:
    """As :func:`libpam.run`, in this process: a child for each stack takes most of the time, and
    other tests have one."""
    reading, writing = os.pipe()
    with tempfile.TemporaryDirectory() as folder:
        assert libpam._Child(made, Path(folder), writing).work([row]) == 0
    os.close(writing)
    with os.fdopen(reading) as told:
        code, setcred, *trace = map(int, told.read().split())
    return libpam.Ran(code, setcred, tuple(trace))


def said_of_the_copy(folder: Path, module: Path) -> Said:
    read = stack.load(NoOther(), "raw", folder / "raw")
    roles, creds = {}, {}
    row: list[str | None] = ["success"] * read.size
    for each in read.modules():
        row[each.index] = None
        if each.line.module == str(module) and each.line.fault is None:
            role, auth, cred = each.line.args[:3]
            row[each.index], creds[each.index] = CODES[int(auth)], CODES[int(cred)]
            roles[each.index] = role
    ran = run_here(copy.of(read, creds), tuple(row))
    return Said(ran.code, ran.setcred, tuple(roles[at] for at in ran.trace if at in roles))


@pytest.mark.parametrize("start", range(0, 600, 100))
def test_a_copy_does_what_the_stack_does(tmp_path: Path, pam_row: Path, start: int) -> None:
    verdicts = set()
    groups = 0
    for seed in range(start, start + 100):
        Chance(seed, tmp_path, pam_row).write()
        wanted = said_of_the_stack(tmp_path)
        got = said_of_the_copy(tmp_path, pam_row)
        files = "\n".join(f"--- {path}\n{path.read_text()}" for path in sorted(tmp_path.iterdir()))
        assert got == wanted, f"seed {seed}\n{files}"
        verdicts.add(wanted.code)
        read = stack.load(NoOther(), "raw", tmp_path / "raw")
        groups += any(isinstance(part, Group) and part.parts for part in walk(read.parts))
    # The run was worth it: some got in, some did not, and many files were included.
    assert {0, 7} <= verdicts
    assert groups > 20


def test_a_difference_would_be_seen(tmp_path: Path, pam_row: Path) -> None:
    """A copy whose jumps are not made longer goes elsewhere."""
    lines = [
        f"auth [success=1 default=ignore] {pam_row} first 0 0\n",
        f"auth requisite {pam_row} second 7 0\n",
        f"auth required {pam_row} third 0 0\n",
    ]
    (tmp_path / "raw").write_text("".join(lines))
    assert said_of_the_copy(tmp_path, pam_row) == said_of_the_stack(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copy, "doubled", lambda control: control)
        assert said_of_the_copy(tmp_path, pam_row) != said_of_the_stack(tmp_path)
