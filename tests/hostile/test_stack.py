# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""So little stack that su and sudo run out of it somewhere: never in our module.

Whatever of the stack was used once stays the process's own. The module needs less of it than
libpam took before, to load modules.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.process import must

from .conditions import Condition
from .scene import PROGRAMS, Attempt, Scene

MODULE = "pam_ukey.so"
SOURCE = Path(__file__).with_name("pam_overflows.c")
#: strace's line for the first part of a library that is mapped: its whole length, where it is.
_MAPPED = re.compile(rf" mmap\(NULL, (\d+), .*/{MODULE}>, 0\) = 0x([0-9a-f]+)")
_CRASHED = re.compile(r"\[([0-9a-f]+)\] --- SIGSEGV ")
SIZES = range(16, 72, 2)  # KiB


def crashed_in_module(trace: Path) -> bool:
    """Whether a traced program came to its end in the module."""
    text = trace.read_text()
    crash = _CRASHED.search(text)
    assert crash is not None, text
    address = int(crash[1], 16)
    return any(
        start <= address < start + int(length)
        for length, start in ((found[1], int(found[2], 16)) for found in _MAPPED.finditer(text))
    )


def attempt_traced(scene: Scene, program: str, size: int, folder: Path) -> tuple[Attempt, Path]:
    """With both factors, and a stack of so many KiB; the attempt and its trace."""
    trace = folder / f"{program}-{size}"
    strace = ["strace", "-f", "-i", "-y", "-e", "trace=mmap", "-o", str(trace), "-u"]
    limit = Condition(via=["prlimit", f"--stack={size << 10}:{size << 10}"])
    hers = [*strace, scene.alice.name]
    return scene.attempt(program, limit, scene.right(program), as_alice=hers), trace


def test_a_module_where_the_stack_ends_is_seen(scene: Scene, tmp_path: Path) -> None:
    module = tmp_path / MODULE
    must(["cc", "-shared", "-fPIC", "-O0", "-o", module, SOURCE])
    scene.host.pam.stack("su", f"auth required {module}\naccount required pam_permit.so\n")
    _, trace = attempt_traced(scene, "su", SIZES[-1], tmp_path)
    assert crashed_in_module(trace)


def test_the_module_is_never_where_the_stack_ends(scene: Scene, tmp_path: Path) -> None:
    def attempt(program: str, size: int) -> tuple[Attempt, Path]:
        return attempt_traced(scene, program, size, tmp_path)

    cases = [(program, size) for program in PROGRAMS for size in SIZES]
    with ThreadPoolExecutor(16) as pool:
        made = dict(zip(cases, pool.map(lambda case: attempt(*case), cases), strict=True))
    for program in PROGRAMS:
        assert not made[program, SIZES[0]][0].entered
        assert made[program, SIZES[-1]][0].entered
    crashed = {case: trace for case, (_, trace) in made.items() if "SIGSEGV" in trace.read_text()}
    assert any(MODULE in trace.read_text() for trace in crashed.values()), "none came so far"
    assert [case for case, trace in crashed.items() if crashed_in_module(trace)] == []
