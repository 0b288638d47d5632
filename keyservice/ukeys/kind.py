# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a ukey is to the rest of the service, and what a kind of ukeys is: two types.

A new kind is a folder with its driver and a line in :mod:`keyservice.ukeys.kinds`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from keyservice.core.errors import BadRequest
from keyservice.core.reasons import Reason

from .base import Container, Evidence, KeyRef, KeyUse, PinState, TryReserve, UkeyInfo

if TYPE_CHECKING:  # code that reads the configuration needs no cryptography
    from keyservice.core.secret import Secret
    from keyservice.crypto.key import PublicKey

#: What the configuration says of one ukey, by the settings' names.
Values = Mapping[str, str | int]


class Ability(Enum):
    """What not every kind of ukeys can do, or may do without its maker's software; and why it is
    refused where a kind cannot."""

    CHANGE_PIN = Reason.NO_CHANGE
    UNBLOCK_PIN = Reason.NO_UNBLOCK  #: so that there is an admin PIN
    GENERATE = Reason.NO_GENERATE
    ATTEST = Reason.NO_ATTEST

    def refused(self, kind: str) -> BadRequest:
        """The error for a ukey of a kind that cannot."""
        return BadRequest(self.value, kind=kind)


class MadeWith(Enum):
    """What a ukey wants to be told before it makes a pair."""

    PIN = "pin"
    ADMIN_PIN = "admin-pin"  #: whose last try is never spent
    MANAGEMENT_KEY = "management-key"


class CardLink(Protocol):
    """A card in a reader, as a driver uses it: ``transport.pcsc.Card``."""

    @property
    def reader(self) -> str: ...

    @property
    def generation(self) -> int:
        """A number that grows whenever the card may have forgotten what it was told."""
        ...

    def transmit(self, command: bytes | bytearray) -> tuple[bytes, int]:
        """As :class:`keyservice.transport.iso7816.Link` has it."""
        ...

    def transaction(self) -> AbstractContextManager[None]: ...

    def reset(self) -> None: ...


class Ukey(Protocol):
    """One ukey, inside a device worker, from its insertion to its removal. Blocking; one caller at
    a time.

    Each operation is one transaction that ends with the authorisation cleared. A ukey that is
    known, idle and open costs no APDU before the operation's own, or one that names the
    application. What its kind cannot do it refuses (``Ability.refused``) before it sends anything.
    """

    @property
    def seen_pin(self) -> PinState | None:
        """The user PIN's state as the last operation saw it, None where it saw none."""
        ...

    def configure(self, values: Values) -> None:
        """Take the settings that hold for this ukey, before an operation."""
        ...

    def info(self) -> UkeyInfo: ...

    def applications(self) -> Sequence[str]:
        """The names of all applications, also of those that hold no container."""
        ...

    def containers(self) -> Sequence[Container]:
        """All containers of all applications, at most 32."""
        ...

    def public_key(self, ref: KeyRef) -> PublicKey:
        """The signing key. Raises :class:`NoKeyPair`."""
        ...

    def key_use(self, ref: KeyRef) -> KeyUse:
        """What the use of the pair asks for, and what root should know before it is bound."""
        ...

    def pin_state(self, ref: KeyRef, *, admin: bool = False) -> PinState:
        """What the ukey says of the PIN. The admin PIN's is refused where nothing is unblocked."""
        ...

    def verify_pin(self, ref: KeyRef, pin: Secret, reserve: TryReserve) -> PinState:
        """Prove the PIN and nothing else."""
        ...

    def sign(self, ref: KeyRef, pin: Secret, data: bytes, reserve: TryReserve) -> bytes:
        """The signature over `data`, which the key's algorithm made (``to_sign``), in the form that
        the algorithm verifies. Nothing is proven before it is verified."""
        ...

    def change_pin(self, ref: KeyRef, old: Secret, new: Secret, reserve: TryReserve) -> None:
        """The user PIN from `old` to `new`. The ukey holds one of both at any moment."""
        ...

    def unblock_pin(self, ref: KeyRef, admin: Secret, new: Secret) -> None:
        """Give the user PIN all its tries and the value `new`. Errors about a PIN are about the
        admin PIN, whose last try is never spent."""
        ...

    def generate(self, ref: KeyRef, pin: Secret, reserve: TryReserve) -> PublicKey:
        """Make a pair in the container, which is created if it is missing. `pin` is what the kind
        says that pairs are made with. Raises :class:`BadRequest` if there is a pair already."""
        ...

    def attest(self, ref: KeyRef) -> Evidence:
        """What it shows for its having made the pair. An empty container may have some of it."""
        ...


@dataclass(frozen=True, slots=True)
class PinRule:
    """What can be a PIN of a kind, before any ukey sees it."""

    minimum: int  #: bytes
    maximum: int  #: bytes

    def fits(self, pin: Secret) -> bool:
        return self.minimum <= len(pin) <= self.maximum


@dataclass(frozen=True, slots=True)
class Setting:
    """Something in which ukeys of one kind differ. It is never found out by trying: a PIN command
    with the wrong setting costs a try."""

    name: str  #: the key in ``[[quirks]]``
    choices: tuple[str | int, ...]  #: the usual one first

    @property
    def usual(self) -> str | int:
        return self.choices[0]


class Kind(Protocol):
    """A kind of ukeys. The service knows it, its workers alone load its driver."""

    @property
    def name(self) -> str:
        """As records and answers spell it: at most 16 plain bytes."""
        ...

    @property
    def pin_rule(self) -> PinRule: ...

    @property
    def can(self) -> frozenset[Ability]:
        """What its ukeys can do; nobody is asked for a PIN for anything else."""
        ...

    @property
    def settings(self) -> tuple[Setting, ...]: ...

    @property
    def made_with(self) -> MadeWith:
        """What a pair is made with."""
        ...

    def makes(self, values: Values) -> str:
        """The algorithm of the pair that its ukeys make, by its name in ``crypto.algorithms``."""
        ...

    def prepare(self) -> None:
        """Load what a device worker needs later: once it is confined, it can load nothing."""
        ...

    def recognise(self, card: CardLink) -> Ukey | None:
        """The ukey behind `card`, or None for any other card, which is left as it was."""
        ...

    def pointed(self, ukey: Ukey) -> Values:
        """The settings, other than the usual ones, that the answers of a ukey of this kind point
        to. It is asked nothing that needs a PIN; many settings show with a PIN only."""
        ...
