# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The SM3 hash (GB/T 32905)."""

from __future__ import annotations

import hashlib

from keyservice.core import fips


def sm3(*parts: bytes) -> bytes:
    """32 bytes, of the parts one after another. Raises :class:`CryptoMissing`."""
    try:
        made = hashlib.new("sm3", usedforsecurity=False)
    except ValueError:
        raise fips.lacking("SM3") from None
    made.update(b"".join(parts))
    return made.digest()
