# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""SM2 by the pure-Python gmssl, for hosts whose libcrypto was built without it (RHEL, Fedora).

Only gmssl's raw mode is used: its ``asn1=True`` accepts forgeries made from the public key alone.
The checks of ``sm2.Engine`` and the code below make up for its other faults (no check of ranges,
lengths or points, 0 or None for some failures).
"""

from __future__ import annotations

import importlib
from typing import Any

from .engine import EngineUnavailable


class Gmssl:
    """The ``gmssl`` engine: slow (7 ms), and not constant-time, which verifying need not be."""

    name = "gmssl"

    def __init__(self) -> None:
        """Import gmssl. Raises :class:`EngineUnavailable`."""
        try:
            self._gmssl: Any = importlib.import_module("gmssl.sm2")
        except ImportError as error:
            raise EngineUnavailable(f"gmssl cannot be imported: {error}") from None

    def verify(self, point: bytes, digest: bytes, r: int, s: int) -> bool:
        """See :meth:`keyservice.crypto.engine.Backend.verify`."""
        verifier = self._gmssl.CryptSM2(private_key="", public_key="", asn1=False)
        # not by the constructor: it strips every leading 0 and 4 off a key that starts with 04
        verifier.public_key = point.hex()
        try:
            return verifier.verify(f"{r:064x}{s:064x}", digest) is True
        except Exception:  # if s·G + t·P is at infinity, gmssl indexes None
            return False
