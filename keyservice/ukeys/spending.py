# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whether a try of a PIN may be spent: the rule of every kind, right before it sends one."""

from __future__ import annotations

from keyservice.core.errors import PinLocked, TryWithheld

from .base import PinState, TryReserve


def spendable(state: PinState, reserve: TryReserve) -> PinState:
    """`state`, which the ukey has just told. Raises :class:`PinLocked` and :class:`TryWithheld`."""
    if state.locked:
        raise PinLocked(maximum=state.maximum)
    if state.left - 1 < reserve.tries(state.maximum):
        raise TryWithheld(left=state.left, maximum=state.maximum)
    return state
