# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a public key is called where it is not spelled out."""

from __future__ import annotations

import re

from cryptography.hazmat.primitives import hashes

#: The form of a fingerprint.
FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def fingerprint(point: bytes) -> str:
    """SM3 of a public key (X ‖ Y, 64 bytes for SM2), as 64 hexadecimal digits."""
    hasher = hashes.Hash(hashes.SM3())
    hasher.update(point)
    return hasher.finalize().hex()
