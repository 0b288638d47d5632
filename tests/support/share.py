# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A pytest plugin: several runs share the test modules, each taking the next that nobody has.

``scripts/test`` starts as many runs as it has sandboxes, all with ``--share`` the same directory.
A module is claimed by creating a file there, so that the runs end at about the same time, however
long each module takes. A claim is for the tests that a run's marker expression (``-m``) selects:
another run may select others of the same module. Each run says on stderr how each of its modules
went, and leaves its totals in the directory: ``counts-….txt``, a line "passed failed skipped".
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from itertools import groupby
from pathlib import Path

import pytest

#: Taken while this is imported, before pytest captures what tests write.
_STDERR = os.dup(2)
_OUTCOMES = ("passed", "failed", "skipped")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--share", type=Path, metavar="DIR", help="claim modules in DIR")


def pytest_configure(config: pytest.Config) -> None:
    if folder := config.getoption("--share"):
        config.pluginmanager.register(Share(folder, config.option.markexpr))


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
    def __init__(self, folder: Path, selected: str) -> None:
        self._folder = folder
        self._selected = selected
        self._modules: dict[str, Module] = {}
        self._failed_imports = 0

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
        for name, group in groupby(items, key=lambda item: item.location[0]):
            try:
                self._claim_of(name).touch(exist_ok=False)
            except FileExistsError:
                continue
            tests = list(group)
            self._modules[name] = Module(name, len(tests))
            yield from tests

    def _claim_of(self, name: str) -> Path:
        key = sha256(f"{self._selected}\0{name}".encode()).hexdigest()
        return self._folder / f"claim-{key}"

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._failed_imports += report.failed

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        module = self._modules[report.location[0]]
        module.seconds += report.duration
        if report.failed or report.skipped or report.when == "call":
            module.counts[report.outcome] += 1

    def pytest_runtest_logfinish(self, location: tuple[str, int | None, str]) -> None:
        module = self._modules[location[0]]
        module.left -= 1
        if not module.left:
            os.write(_STDERR, f"{module}\n".encode())

    def pytest_sessionfinish(self) -> None:
        counts = sum((module.counts for module in self._modules.values()), Counter[str]())
        counts["failed"] += self._failed_imports
        handle, _ = tempfile.mkstemp(prefix="counts-", suffix=".txt", dir=self._folder)
        with os.fdopen(handle, "w") as totals:
            print(*(counts[name] for name in _OUTCOMES), file=totals)
