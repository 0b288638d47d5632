# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""An emulated OpenPGP card in a reader of this process."""

from __future__ import annotations

from tests.openpgpcard.steered import Steered
from tests.support.openpgpcards import OpenPgpcard

from .ukeys import Here, SoftkeyHere


class OpenPgpcardHere(OpenPgpcard, SoftkeyHere):
    """A :class:`OpenPgpcard` whose process is this one, and whose pcscd is a double."""

    def _steer(self) -> Here:
        self._pcscd.add_reader(self.reader)
        return Here(self._pcscd, self.reader, self.path, lambda: Steered(self.card))
