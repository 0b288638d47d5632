# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Emulated OpenPGP cards in the virtual readers; tests use them as they use softkeys."""

from __future__ import annotations

from typing import Any

from tests.openpgpcard import state

from .ukeys import Softkey


class OpenPgpcard(Softkey):
    """One card. `make`: as for ``openpgpcard.state.new``; its admin PIN is PW3."""

    MODULE = "tests.openpgpcard"

    def _make(self, **make: Any) -> str:
        self.card = state.StateFile(self.path)
        made = state.new(**make)
        self.card.create(made)
        return made.serial

    def _write_tries(self, left: int) -> None:
        made = self.card.load()
        made.pw1.left = left
        self.card.write(made)
