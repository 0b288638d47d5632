# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A public key as data: all that a device worker knows of other algorithms than its ukey's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Nothing is known of it before :func:`keyservice.crypto.algorithms.check`."""

    algorithm: str  #: its name in ``crypto.algorithms``
    encoded: bytes  #: As ``algorithms.Algorithm`` says: X ‖ Y, 64 bytes, for ``sm2``
