# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What all emulated ukeys of the suite have in common: a card whose faults can be steered."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from tests.softkey.misbehave import Reply
from tests.softkey.runner import Steered

_Card = TypeVar("_Card", bound=Steered)


class SteeredDevice(Generic[_Card]):
    """The part of :class:`tests.ukeys.behaviour.example.Device` that no kind has for itself."""

    def __init__(self, steered: _Card) -> None:
        self._steered = steered

    def reset(self) -> None:
        self._steered.reset()

    def transmit(self, apdu: bytes, inserted_at: float) -> Reply:
        return self._steered.transmit(apdu, inserted_at)

    def clear(self) -> None:
        raise NotImplementedError("its ukeys have several containers")

    def misbehave(self, switches: dict[str, Any]) -> None:
        self._steered.misbehave(switches)
