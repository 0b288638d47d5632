# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What is known of a ukey, whatever its kind: data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag


class TryReserve(IntEnum):
    """How many tries must be left after a wrong PIN; decided by policy, enforced at the ukey."""

    NONE = 0  #: the last try may be spent
    LAST = 1  #: at least one try stays
    RESERVE = 2  #: a third of the ukey's maximum stays, at least one

    def tries(self, maximum: int) -> int:
        """The number for a ukey that allows `maximum` wrong PINs in a row."""
        if self is TryReserve.RESERVE:
            return max(1, maximum // 3)
        return int(self)


@dataclass(frozen=True, slots=True)
class PinState:
    """What a ukey says of a PIN before any is tried."""

    maximum: int
    left: int
    default: bool
    told: bool = True  #: False where the ukey does not say it, and all tries are taken to be left

    @property
    def locked(self) -> bool:
        return self.left == 0


@dataclass(frozen=True, slots=True)
class UkeyInfo:
    """What a present ukey says of itself. Untrusted until a signature has been verified."""

    kind: str  #: the driver's name: ``gmt0017``
    reader: str
    serial: str
    label: str
    manufacturer: str
    virtual: bool  #: an emulated reader


@dataclass(frozen=True, slots=True)
class KeyRef:
    """Where a key pair lies on a ukey."""

    application: str
    container: str


class Remark(IntFlag):
    """What root is told of a ukey before it is bound."""

    NONE = 0
    IMPORTED = 1  #: the key was not made on it
    DEFAULT_ADMIN_PIN = 2  #: the admin PIN is the one that it was shipped with
    DEFAULT_MANAGEMENT_KEY = 4
    NO_NEW_PAIR = 8  #: it could not show a pair that it makes, nor say that there is none


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What a ukey says of the use of a key pair."""

    needs_pin: bool = True  #: it signs nothing without the PIN
    touch: bool = False  #: it waits for a finger before it signs
    remarks: Remark = Remark.NONE


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a ukey shows for its having made a key: certificates, DER, and nothing of them checked.
    Empty where it has none."""

    own: bytes = b""  #: the ukey's, which its maker has signed
    statement: bytes = b""  #: what it says of the key


@dataclass(frozen=True, slots=True)
class Container:
    """A container and whether it holds a signing pair."""

    ref: KeyRef
    has_key: bool
