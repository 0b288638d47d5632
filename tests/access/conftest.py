# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Readers and ukeys in this process for each test; ``test_on_pcscd`` has real ones instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from keyservice.store import files
from tests.inprocess import processes
from tests.inprocess.pcscd import Pcscd
from tests.inprocess.ukeys import SoftkeyHere
from tests.support.ukeys import Softkey

from .disk import Disk
from .rig import ADMIN_PIN, IN_READERS, PIN

Make = Callable[..., Softkey]

READERS = ("Virtual PCD 00 00", "Virtual PCD 00 01")


@pytest.fixture(autouse=True)
def readers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pcscd | None]:
    """pcscd and device workers, doubled; None where a module has real ones."""
    for pcscd, _ in processes.installed(monkeypatch, *READERS):
        yield pcscd


@pytest.fixture
def make(readers: Pcscd | None, tmp_path: Path) -> Iterator[Make]:
    """Makes ukeys; each is in its slot, and pcscd has seen it, unless ``inserted=False``."""
    assert IN_READERS == []
    here = Softkey if readers is None else partial(SoftkeyHere, readers)

    def make(slot: int = 0, *, inserted: bool = True, **traits: Any) -> Softkey:
        traits = {"pin": PIN, "admin_pin": ADMIN_PIN, "serial": f"SN{slot}", **traits}
        path = tmp_path / f"{len(IN_READERS)}.ukey"
        softkey = here(path, slot, inserted=inserted, **traits)
        IN_READERS.append(softkey)
        if inserted:
            softkey.control.wait_inserted()
        return softkey

    yield make
    while IN_READERS:
        IN_READERS.pop().close()


@pytest.fixture
def ukey(make: Make) -> Softkey:
    return make()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """A disk that hangs where the test says so, and comes back at its end."""
    made = Disk()
    monkeypatch.setattr(files, "os", made)
    yield made
    made.release()
