# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""pcscd for a module's tests, and ukeys for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons import start_pcscd
from tests.support.ukeys import Softkey

from .rig import ADMIN_PIN, PIN

Make = Callable[..., Softkey]


@pytest.fixture(scope="module")
def pcscd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    daemon = start_pcscd(tmp_path_factory.mktemp("pcscd"))
    yield
    daemon.stop()


@pytest.fixture
def make(pcscd: None, tmp_path: Path) -> Iterator[Make]:
    """Makes ukeys; each is in its slot, and pcscd has seen it, unless ``inserted=False``."""
    made: list[Softkey] = []

    def make(slot: int = 0, *, inserted: bool = True, **traits: Any) -> Softkey:
        traits = {"pin": PIN, "admin_pin": ADMIN_PIN, "serial": f"SN{slot}", **traits}
        path = tmp_path / f"{len(made)}.ukey"
        softkey = Softkey(path, slot, inserted=inserted, **traits)
        made.append(softkey)
        if inserted:
            softkey.control.wait_inserted()
        return softkey

    yield make
    for softkey in made:
        softkey.close()


@pytest.fixture
def ukey(make: Make) -> Softkey:
    return make()
