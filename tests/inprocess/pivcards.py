# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""An emulated PIV card in a reader of this process."""

from __future__ import annotations

from tests.pivcard.steered import Steered
from tests.support.pivcards import Pivcard

from .ukeys import Here, SoftkeyHere


class PivcardHere(Pivcard, SoftkeyHere):
    """A :class:`Pivcard` whose process is this one, and whose pcscd is a double."""

    def _steer(self) -> Here:
        self._pcscd.add_reader(self.reader)
        return Here(self._pcscd, self.reader, self.path, lambda: Steered(self.card))
