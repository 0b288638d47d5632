# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a ukey is to the rest of the service, whatever its kind: data, and one protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from keyservice.core.secret import Secret


class Keep(IntEnum):
    """How many tries must be left after a wrong PIN; decided by policy, enforced at the ukey."""

    NONE = 0  #: the last try may be spent
    LAST = 1  #: at least one try stays
    RESERVE = 2  #: a third of the ukey's maximum stays, at least one

    def tries(self, maximum: int) -> int:
        """The number for a ukey that allows `maximum` wrong PINs in a row."""
        if self is Keep.RESERVE:
            return max(1, maximum // 3)
        return int(self)


@dataclass(frozen=True, slots=True)
class PinState:
    """What a ukey says of a PIN before any is tried (GetPINInfo)."""

    maximum: int
    left: int
    default: bool

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


@dataclass(frozen=True, slots=True)
class Container:
    """A container and whether it holds an SM2 signing pair."""

    ref: KeyRef
    has_key: bool


@dataclass(frozen=True, slots=True)
class PublicKey:
    """`point` is X ‖ Y, 64 bytes big-endian for ``sm2``."""

    algorithm: str
    point: bytes


class Ukey(Protocol):
    """One kind of ukey, inside a device worker. Blocking; one caller at a time.

    Each operation is one PC/SC transaction that ends with the authorisation cleared. A ukey that
    is known, idle and open costs no APDU before the operation's own.
    """

    kind: str

    def info(self) -> UkeyInfo: ...

    def applications(self) -> Sequence[str]:
        """The names of all, those that hold no container too."""
        ...

    def containers(self) -> Sequence[Container]: ...

    def public_key(self, ref: KeyRef) -> PublicKey: ...

    def pin_state(self, ref: KeyRef, *, admin: bool = False) -> PinState: ...

    def verify_pin(self, ref: KeyRef, pin: Secret, keep: Keep) -> PinState: ...

    def sign(self, ref: KeyRef, pin: Secret, digest: bytes, keep: Keep) -> bytes:
        """The 64-byte signature r ‖ s over the 32-byte `digest` (e = SM3(ZA ‖ M))."""
        ...

    def change_pin(self, ref: KeyRef, old: Secret, new: Secret, keep: Keep) -> None: ...

    def unblock_pin(self, ref: KeyRef, admin: Secret, new: Secret) -> None: ...

    def generate(self, ref: KeyRef, pin: Secret, keep: Keep) -> PublicKey:
        """Make an SM2 pair in the container, which is created where it is missing."""
        ...
