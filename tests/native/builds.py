# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""pam_ukey.so and the program that loads it many times, built so that mistakes show."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.pam.modules import Module
from tests.support import CHECKOUT
from tests.support.process import must, run

NATIVE = CHECKOUT / "pam_ukey/native"
HERE = Path(__file__).parent
PAM = CHECKOUT / "tests/pam"

WARNINGS = ("-Wall", "-Wextra", "-Werror")
ASAN = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
TSAN = ("-fsanitize=thread",)
#: The sanitizers' checks beyond their defaults. 99: they found something.
SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:"
    "check_initialization_order=1:exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=99",
    "TSAN_OPTIONS": f"exitcode=99:halt_on_error=1:suppressions={HERE / 'races-of-others.txt'}",
}


@dataclass(frozen=True)
class Change:
    """A mistake to make in a private copy of a source file: `old`, a regular expression, once."""

    file: str
    old: str
    new: str


def sources(folder: Path, *changes: Change) -> Path:
    """A private copy of the module's sources, changed."""
    copy = folder / "sources"
    shutil.copytree(NATIVE, copy)
    for change in changes:
        path = copy / change.file
        text, times = re.subn(change.old, change.new, path.read_text(), flags=re.DOTALL)
        assert times == 1, (change, times)
        path.write_text(text)
    return copy


@dataclass(frozen=True)
class Build:
    """A folder with pam_ukey.so, pam_row.so, many and count_fds."""

    folder: Path
    sanitize: Sequence[str] = ()
    make: Sequence[str] = field(default=())  #: more words for make
    source: Path = NATIVE

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make()
        compile_ = ["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", *WARNINGS]
        for name, source, more in (
            ("many", HERE / "many.c", self.sanitize),
            ("count_fds", HERE / "count_fds.c", ()),
            ("pam_row.so", PAM / "pam_row.c", ("-fPIC", "-shared")),
        ):
            output = self.folder / name
            if not output.exists():
                must([*compile_, "-o", output, source, *more, "-lpam"], seconds=120)

    def _make(self) -> None:
        command = ["make", "--quiet", "-C", str(self.source), f"O={self.folder}"]
        if self.sanitize:  # some of these do not work with FORTIFY or -z defs
            command.append(f"CFLAGS=-O1 -g {' '.join(self.sanitize)}")
            command += ["HARDENING=-fPIC", "LINKING=-shared"]
        if self.source != NATIVE:  # a mistake may be one that the compiler warns of
            command.append("WARNINGS=")
        must([*command, *self.make], seconds=120)

    def changed(self, folder: Path, *changes: Change, make: Sequence[str] = ()) -> Build:
        """The same with mistakes in the sources, or more words for make, in `folder`. Only what
        these change is compiled again."""
        made = folder / "build"
        without = shutil.ignore_patterns(self.module.name)
        shutil.copytree(self.folder, made, ignore=without)  # times too, since make compares these
        return Build(made, self.sanitize, make, sources(folder, *changes))

    @property
    def module(self) -> Path:
        return self.folder / "pam_ukey.so"


#: The stacks that lines may name: the module's options.
STACKS = {
    "plain": "",
    "uniform": "uniform",
    "decoy": "decoy",
    "nouserok": "nouserok debug",
    "short": "timeout=1",
    "senseless": "uniform nouserok",
    "change": "change_pin",
    "held": "",
}


def stacks(build: Build, folder: Path) -> Path:
    """A folder of stacks named as in STACKS; "held" knows a password, "new secret"."""
    module = Module("native", build.folder, folder)
    held = f"auth [default=ignore] {build.folder}/pam_row.so hold 0 0\n"
    for name, options in STACKS.items():
        module.stack(options, before=held if name == "held" else "")
        (folder / "ukey-test").rename(folder / name)
    return folder


@dataclass(frozen=True)
class Line:
    """A transaction for `many`: the calls, their arguments, and the values they must return."""

    code: int
    user: str
    reaction: str = "=314159"
    service: str = "plain"
    call: str = "authenticate"

    def __str__(self) -> str:
        return f"{int(self.code)} {self.call} {self.reaction} {self.service} {self.user}\n"


@dataclass(frozen=True)
class Told:
    """The output of `many`, and the sanitizers' reports about it."""

    status: int
    stderr: str
    wrong: list[str]
    numbers: dict[str, int]
    heaps: list[int]  #: live bytes after each tenth of the lines

    @property
    def found(self) -> list[str]:
        """All faults, except those of the heap."""
        faults = [f"line, wanted, got: {each}" for each in self.wrong]
        for name in ("mapped", "left", "most", "inherited"):
            if self.numbers.get(name) != 0:
                faults.append(f"{name} {self.numbers.get(name)}")
        if self.status != 0:
            faults.append(f"status {self.status}: {self.stderr[-6000:]}")
        return faults


def many(
    build: Build,
    folder: Path,
    lines: Sequence[Line],
    *,
    threads: int = 1,
    prefix: Sequence[str] = (),
    seconds: float = 120,
) -> Told:
    """Run the program on `lines`, with stacks in `folder`."""
    stacks(build, folder)
    program, counter = str(build.folder / "many"), str(build.folder / "count_fds")
    done = run(
        [*prefix, program, str(folder), str(build.module), str(threads), counter],
        input="".join(map(str, lines)),
        env={"PATH": "/usr/bin:/bin", **SANITIZER_ENV},
        seconds=seconds,
    )
    pairs = [line.split(" ", 1) for line in done.stdout.splitlines()]
    assert done.returncode != 0 or ["done", str(len(lines))] in pairs, done.stderr[-3000:]
    return Told(
        done.returncode,
        done.stderr,
        [rest for what, rest in pairs if what == "wrong"],
        {what: int(rest) for what, rest in pairs if what not in ("wrong", "heap")},
        [int(rest) for what, rest in pairs if what == "heap"],
    )
