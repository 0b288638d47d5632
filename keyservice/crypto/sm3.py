# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The SM3 hash (GB/T 32905)."""

from __future__ import annotations

import hashlib


def sm3(*parts: bytes) -> bytes:
    """32 bytes, of the parts one after another."""
    return hashlib.new("sm3", b"".join(parts), usedforsecurity=False).digest()
