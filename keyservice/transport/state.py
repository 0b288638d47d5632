# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What is known of a reader before anybody talks to its card."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReaderState:
    """A reader and whether a card is in it.

    `name` is what pcscd calls it, undecodable bytes escaped. `events` counts insertions and
    removals, and wraps at 65536.
    """

    name: str
    present: bool
    events: int
