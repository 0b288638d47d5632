# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""An algorithm for the copy of the tree: nothing is secret, which is all that it lacks."""

from __future__ import annotations

import hashlib

from keyservice.core.errors import UkeyFailed

KEY_BYTES = 16


class Toy:
    """See :class:`keyservice.crypto.algorithms.Algorithm`. A signature is the digest backwards."""

    name = "toy"

    def check(self, key: bytes) -> None:
        if not self.has_form(key):
            raise UkeyFailed("The public key is no toy")

    def has_form(self, key: bytes) -> bool:
        return len(key) == KEY_BYTES

    def to_sign(self, key: bytes, message: bytes) -> bytes:
        return hashlib.sha256(key + message).digest()

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        return signature == self.to_sign(key, message)[::-1]

    def fingerprint(self, key: bytes) -> str:
        return hashlib.sha256(key).hexdigest()


TOY = Toy()
