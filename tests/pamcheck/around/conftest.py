# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Hosts with a way around PAM planted: this one, and folders that stand for one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.support.host import in_sandbox
from tests.support.restore import Restorer
from tools.pamcheck.around import ways
from tools.pamcheck.finding import Finding, Severity


class Planted:
    """Files of a host below `root`; those of this host come back when the test ends."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._restorer = Restorer()

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        self._restorer.write(self.root / name.lstrip("/"), text, mode)

    def link(self, name: str, target: str) -> None:
        path = self._restorer.announce(self.root / name.lstrip("/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)

    def found(self, only: str) -> list[Finding]:
        return ways(self.root, {only})

    def close(self) -> None:
        self._restorer.restore()


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Planted]:
    """A host without anything but what a test plants."""
    yield Planted(tmp_path)


@pytest.fixture
def here() -> Iterator[Planted]:
    """This host, with its real programs."""
    if not in_sandbox():
        pytest.fail("run this by scripts/test", pytrace=False)
    planted = Planted(Path("/"))
    yield planted
    planted.close()


def kinds(found: Iterable[Finding]) -> list[tuple[str, str]]:
    return [(finding.kind, finding.place) for finding in found]


def bad(found: Iterable[Finding]) -> list[Finding]:
    """Those that are more than worth knowing."""
    return [finding for finding in found if finding.severity is not Severity.NOTE]
