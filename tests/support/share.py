# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A pytest plugin: several runs share the test modules: each takes the next that no run has.

``scripts/test`` starts as many runs as it has sandboxes, all with ``--share`` the same directory.
A module is claimed by creating a file there, the longest first (``tests/seconds.txt``), so that the
runs end at about the same time. A claim is for the tests that a run's marker expression (``-m``)
selects: another run may select others of the same module. Each run says on stderr how each of its
modules went, and leaves four files in the directory: ``counts-….txt``, a line "passed failed
skipped", ``seconds-….txt``, a line "seconds module" for each module, ``failed-….txt``, the name of
each test that failed, and ``alone-….txt``, a line "module marks" for each test that is to run while
no other one does, whether it was selected or not: the run of these imports no other modules.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tests.support import CHECKOUT

#: Taken while this is imported, before pytest captures what tests write.
_STDERR = os.dup(2)
_OUTCOMES = ("passed", "failed", "skipped")
#: A line "seconds module" for each (``scripts/test --all --times`` writes it).
SECONDS = CHECKOUT / "tests/seconds.txt"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--share", type=Path, metavar="DIR", help="claim modules in DIR")
    parser.addoption("--seconds", type=Path, metavar="FILE", default=SECONDS, help="the longest")


def pytest_configure(config: pytest.Config) -> None:
    if folder := config.getoption("--share"):
        config.pluginmanager.register(
            Share(folder, config.option.markexpr, seconds(config.getoption("--seconds")))
        )


def seconds(path: Path) -> dict[str, float]:
    """The seconds that each module took when they were last written down, by the module's name."""
    pairs = (line.split(maxsplit=1) for line in path.read_text().splitlines())
    return {name: float(took) for took, name in pairs}


def _module_of(nodeid: str) -> str:
    """This is not the file in which the function was written: a module may import tests from
    another one."""
    return nodeid.partition("::")[0]


class Module:
    """How the tests of one file went so far."""

    def __init__(self, name: str, tests: int) -> None:
        self.name = name
        self.left = tests
        self.counts: Counter[str] = Counter()
        self.seconds = 0.0

    def __str__(self) -> str:
        told = ", ".join(f"{self.counts[name]} {name}" for name in _OUTCOMES if self.counts[name])
        return f"{self.name}: {told} in {self.seconds:.0f} s"


class Share:
    def __init__(self, folder: Path, selected: str, known: dict[str, float]) -> None:
        self._folder = folder
        self._selected = selected
        self._known = known
        self._modules: dict[str, Module] = {}
        self._failed_imports = 0
        self._failed: dict[str, None] = {}  # in their order, each once

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Before pytest takes out what the marker expression does not select."""
        marks = ((item, {mark.name for mark in item.iter_markers()}) for item in items)
        alone = {f"{_module_of(i.nodeid)} {' '.join(sorted(m))}" for i, m in marks if "alone" in m}
        self._leave("alone", "\n".join(sorted(alone)))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """As pytest's own loop, over the items of the modules that this run claims."""
        claimed = self._claim(session.items)
        item = next(claimed, None)
        while item is not None:
            following = next(claimed, None)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
            item = following
        return True

    def _claim(self, items: list[pytest.Item]) -> Iterator[pytest.Item]:
        """The items, one claimed module after the other."""
        modules: dict[str, list[pytest.Item]] = {}
        for item in items:
            modules.setdefault(_module_of(item.nodeid), []).append(item)
        # A module that was never timed may be a long one.
        for name in sorted(modules, key=lambda name: -self._known.get(name, float("inf"))):
            try:
                self._claim_of(name).touch(exist_ok=False)
            except FileExistsError:
                continue
            self._modules[name] = Module(name, len(modules[name]))
            yield from modules[name]

    def _claim_of(self, name: str) -> Path:
        key = sha256(f"{self._selected}\0{name}".encode()).hexdigest()
        return self._folder / f"claim-{key}"

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._failed_imports += report.failed

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        module = self._modules[_module_of(report.nodeid)]
        module.seconds += report.duration
        if report.failed:
            self._failed[report.nodeid] = None
        if report.failed or report.skipped or report.when == "call":
            module.counts[report.outcome] += 1

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        module = self._modules[_module_of(nodeid)]
        module.left -= 1
        if not module.left:
            os.write(_STDERR, f"{module}\n".encode())

    def pytest_sessionfinish(self) -> None:
        counts = sum((module.counts for module in self._modules.values()), Counter[str]())
        counts["failed"] += self._failed_imports
        self._leave("counts", " ".join(str(counts[name]) for name in _OUTCOMES))
        took = (f"{module.seconds:.1f} {module.name}" for module in self._modules.values())
        self._leave("seconds", "\n".join(took))
        self._leave("failed", "\n".join(self._failed))

    def _leave(self, what: str, text: str) -> None:
        handle, _ = tempfile.mkstemp(prefix=f"{what}-", suffix=".txt", dir=self._folder)
        with os.fdopen(handle, "w") as file:
            print(text, file=file)
