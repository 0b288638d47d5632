# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What :mod:`keyservice.crypto.sm2` needs of an SM2 engine."""

from __future__ import annotations

from typing import Protocol


class EngineUnavailable(Exception):
    """This host cannot run the engine; ``str()`` says why, for the administrator."""


class Backend(Protocol):
    """Somebody else's elliptic-curve code. Only ``sm2.Engine`` calls it, after its own checks."""

    name: str

    def verify(self, point: bytes, digest: bytes, r: int, s: int) -> bool:
        """Whether (r, s) signs `digest` (e, 32 bytes) under `point` (X ‖ Y, 64 bytes).

        The caller has checked the lengths, that the point is on the curve, that 1 ≤ r, s < n and
        that r + s ≢ 0 (mod n). Any failure of the library is False. Safe from several threads.
        """
        ...
