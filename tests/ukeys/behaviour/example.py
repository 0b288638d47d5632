# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What the suite has to know of a kind: an emulated ukey of it, and what is on one from the
factory. A kind joins the suite by a file that says this, and a line in ``examples.py``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from keyservice.ukeys.base import Container, Evidence, KeyRef, KeyUse
from keyservice.ukeys.kind import Kind
from tests.softkey.misbehave import Reply


class Device(Protocol):
    """An emulated ukey under power; tests look into it, past its kind's driver."""

    def reset(self) -> None:
        """Power on, or a reset: nobody is logged in."""
        ...

    def transmit(self, apdu: bytes, inserted_at: float) -> Reply:
        """Run one command, with the faults that are on."""
        ...

    def misbehave(self, switches: dict[str, Any]) -> None:
        """Replace all faults by these, of ``softkey.misbehave.Faults``; `at` counts from here."""
        ...

    @property
    def authorised(self) -> bool:
        """Whether it would sign now, for whoever asks."""
        ...

    def tries(self, *, admin: bool = False) -> int:
        """The tries left of the user PIN, or of the admin PIN."""
        ...

    def set_tries(self, left: int, *, admin: bool = False) -> None: ...

    def clear(self) -> None:
        """Have no pair any more, where the ukey has one container."""
        ...

    def key(self, ref: KeyRef) -> bytes | None:
        """The public key in that place, encoded; None where there is no pair."""
        ...

    def verifies(self, ref: KeyRef, data: bytes, signature: bytes) -> bool:
        """Whether the key in that place made the signature, by other code than the product's."""
        ...

    def vouches(self, ref: KeyRef, evidence: Evidence) -> bool:
        """Whether this is what it shows for the key in that place."""
        ...


@dataclass(frozen=True)
class Example:
    """A kind, and its ukeys as they leave the factory. `wrong` and `wrong_admin` can be PINs."""

    kind: Kind
    make: Callable[[str], Device]  #: from the factory, with this serial
    maximum: int  #: tries of the user PIN; the admin PIN may have others
    ref: KeyRef  #: holds a pair
    absent: tuple[KeyRef, ...]  #: not on the ukey, one for each part of the name
    algorithm: str
    data: bytes  #: what can be signed
    unfit: tuple[bytes, ...]  #: what cannot
    pin: bytes
    wrong: bytes
    # where its kind can change, unblock or generate
    next_pin: bytes = b""
    admin: bytes = b""
    wrong_admin: bytes = b""
    empty: KeyRef | None = None  #: holds no pair
    new: KeyRef | None = None  #: can be made; `ref` where a ukey has one container
    containers: tuple[Container, ...] = ()  #: all of them, where these are more than the two
    use: KeyUse = field(default_factory=KeyUse)  #: of the pair
    empty_word: int = 0  #: the status word by which it says that a container holds nothing
    made_with: bytes = b""  #: what pairs are made with, as it is typed, where that is not the PIN
    serials: tuple[str, str] = ("1001", "1002")  #: that its ukeys can have

    @property
    def one_container(self) -> bool:
        return self.new == self.ref
