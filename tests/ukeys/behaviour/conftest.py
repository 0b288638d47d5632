# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which test runs on which kind: each on all that can do what it is about."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from keyservice.transport import pcsc
from keyservice.ukeys.kind import Ability
from tests.inprocess.pcscd import Pcscd

from .desk import READER, Desk
from .example import Example
from .examples import EXAMPLES
from .tasks import TASKS, Task


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with a `desk` runs on each kind that can do what its module ``NEEDS``. One with a
    `task` runs with each operation of each kind, where its module's ``FIT`` takes it; one with a
    `lacking` with each ability that a kind has not."""
    needs: Ability | None = getattr(metafunc.module, "NEEDS", None)
    fit: Callable[[Task], bool] = getattr(metafunc.module, "FIT", lambda task: True)
    if "task" in metafunc.fixturenames:
        pairs = [(e, t) for e in EXAMPLES for t in TASKS if t.is_for(e) and fit(t)]
        ids = [f"{example.kind.name}-{task.name}" for example, task in pairs]
        metafunc.parametrize(("example", "task"), pairs, ids=ids)
    elif "lacking" in metafunc.fixturenames:
        missing = [(e, a) for e in EXAMPLES for a in Ability if a not in e.kind.can]
        ids = [f"{example.kind.name}-{ability.name.lower()}" for example, ability in missing]
        metafunc.parametrize(("example", "lacking"), missing, ids=ids)
    elif "desk" in metafunc.fixturenames:
        able = [e for e in EXAMPLES if needs is None or needs in e.kind.can]
        metafunc.parametrize("example", able, ids=[each.kind.name for each in able])


@pytest.fixture
def pcscd(monkeypatch: pytest.MonkeyPatch) -> Pcscd:
    made = Pcscd(READER)
    monkeypatch.setattr(pcsc, "scard", made)
    return made


@pytest.fixture
def desk(example: Example, pcscd: Pcscd) -> Desk:
    return Desk(example, pcscd)
