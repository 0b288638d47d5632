# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The data that a card remembers without power, and their file.

It is one JSON file, mode 0600, replaced atomically, so that a process killed at any moment leaves
the old or the new state. It holds PINs and keys as they are: a card made of software has no secrets
from its owner.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.softkey.state import StateError

from . import keys
from .apdu import tlv
from .keys import NAMES, Algorithm, Key, RsaKey

FORMAT = 1
FACTORY_PIN, FACTORY_PUK = b"123456", b"12345678"
FACTORY_MANAGEMENT_KEY = bytes.fromhex("010203040506070801020304050607080102030405060708")
TRIES, TRIES_MAXIMUM = 3, 255
PIN_BYTES = 8
#: Of the management key: bytes, by algorithm (SP 800-78-4, table 6-2).
MANAGEMENT = {0x03: 24, 0x08: 16, 0x0A: 24, 0x0C: 32}
CHUID, CCC = 0x5FC102, 0x5FC107

#: Slots by their key reference: 9A authentication, 9C signature, 9D key management, 9E card
#: authentication, 82 to 95 retired; the object that holds the certificate of each (SP 800-73-4,
#: part 1, tables 3 and 4b).
CERTIFICATES = {0x9A: 0x5FC105, 0x9C: 0x5FC10A, 0x9D: 0x5FC10B, 0x9E: 0x5FC101}
CERTIFICATES |= {0x82 + number: 0x5FC10D + number for number in range(20)}
ATTESTATION_SLOT = 0xF9  #: the vendor's
CERTIFICATES[ATTESTATION_SLOT] = 0x5FFF01

PIN_NEVER, PIN_ONCE, PIN_ALWAYS = 1, 2, 3
TOUCH_NEVER, TOUCH_ALWAYS, TOUCH_CACHED = 1, 2, 3
GENERATED, IMPORTED = 1, 2


@dataclass(slots=True)
class Reference:
    """A PIN or PUK: eight bytes, filled up with FF."""

    value: bytes = field(repr=False)
    default: bytes = field(repr=False)
    maximum: int = TRIES
    left: int = TRIES

    @property
    def is_default(self) -> bool:
        return self.value == self.default


@dataclass(slots=True)
class Slot:
    """A key pair, and what its use asks for."""

    algorithm: int
    key: Key = field(repr=False)
    pin_policy: int
    touch_policy: int = TOUCH_NEVER
    origin: int = GENERATED


@dataclass(slots=True)
class State:
    vendor: bool  #: the vendor's build, not the plain one
    number: int  #: the vendor's serial number, 0 where none is set
    guid: bytes
    version: tuple[int, int, int]
    pin: Reference
    puk: Reference
    management_algorithm: int
    management_key: bytes = field(repr=False)
    slots: dict[int, Slot] = field(default_factory=dict)
    objects: dict[int, bytes] = field(default_factory=dict)

    @property
    def serial(self) -> str:
        """What the card is known by: its number in decimal, or the GUID of its CHUID."""
        return str(self.number) if self.vendor and self.number else self.guid.hex()


def new(
    *,
    serial: str | None = None,
    pin: bytes | None = None,
    admin_pin: bytes | None = None,
    tries: int = TRIES,
    admin_tries: int = TRIES,
    vendor: bool = True,
    version: tuple[int, int, int] = (5, 7, 1),
    management: int = 0x0A,
    management_key: bytes | None = None,
    pairs: dict[str, str] | None = None,
    pin_policy: int = 0,
    touch_policy: int = TOUCH_NEVER,
    origin: int = GENERATED,
    certificates: bool = True,
    attester: tuple[Key, bytes] | None = None,
) -> State:
    """A card with key pairs in `pairs`: the name of an algorithm for each slot ("9A": "p256").

    `serial` is a number for the vendor's build and 32 hexadecimal digits for the plain one, random
    if None. `admin_pin` is the PUK. None leaves what the factory has set. The plain build has a
    3DES management key and, since it tells keys in no other way, always certificates. `attester`:
    the key of slot F9, of the algorithm P-256 or RSA-2048, and its certificate.
    """
    for count in (tries, admin_tries):
        if not 1 <= count <= TRIES_MAXIMUM:
            raise StateError(f"tries are 1 to {TRIES_MAXIMUM}")
    if not vendor:
        management = 0x03
    size = MANAGEMENT.get(management)
    if size is None:
        raise StateError("there is no such algorithm of management keys")
    key = management_key or (FACTORY_MANAGEMENT_KEY * 2)[:size]
    if len(key) != size:
        raise StateError(f"the management key has {size} bytes")
    number, guid = 0, secrets.token_bytes(16)
    try:
        if vendor:
            number = int(serial) if serial else secrets.randbelow(10**8) + 1
            number.to_bytes(4, "big")
        elif serial:
            guid = bytes.fromhex(serial)
    except (ValueError, OverflowError):
        raise StateError("a serial is a number below 2^32, a GUID 32 hexadecimal digits") from None
    made = State(
        vendor=vendor,
        number=number,
        guid=guid,
        version=version,
        pin=_reference(pin, FACTORY_PIN, tries),
        puk=_reference(admin_pin, FACTORY_PUK, admin_tries),
        management_algorithm=management,
        management_key=key,
        objects={CHUID: _chuid(guid), CCC: _ccc()},
    )
    for name, algorithm in ({"9A": "sm2"} if pairs is None else pairs).items():
        reference = int(name, 16)
        pair = keys.generate(NAMES[algorithm])
        policy = pin_policy or default_policy(reference)
        made.slots[reference] = Slot(NAMES[algorithm], pair, policy, touch_policy, origin)
        if certificates or not vendor:
            made.objects[CERTIFICATES[reference]] = certificate_object(pair.certificate("demo"))
    if attester is not None:
        own, certificate = attester
        kind = Algorithm.RSA2048 if isinstance(own, RsaKey) else Algorithm.P256
        made.slots[ATTESTATION_SLOT] = Slot(kind, own, PIN_NEVER)
        made.objects[CERTIFICATES[ATTESTATION_SLOT]] = certificate_object(certificate)
    return made


def default_policy(slot: int) -> int:
    """When the PIN is asked for (SP 800-73-4, part 1, table 4b)."""
    return {0x9C: PIN_ALWAYS, 0x9E: PIN_NEVER}.get(slot, PIN_ONCE)


def padded(pin: bytes) -> bytes:
    if not 6 <= len(pin) <= PIN_BYTES:
        raise StateError("a PIN has 6 to 8 bytes")
    return pin.ljust(PIN_BYTES, b"\xff")


def certificate_object(certificate: bytes) -> bytes:
    """As GET DATA has it (SP 800-73-4, part 1, table 9): 70 certificate, 71 info, FE check."""
    return tlv(0x70, certificate) + tlv(0x71, b"\0") + tlv(0xFE, b"")


def _reference(pin: bytes | None, factory: bytes, tries: int) -> Reference:
    return Reference(padded(factory if pin is None else pin), padded(factory), tries, tries)


def _chuid(guid: bytes) -> bytes:
    """SP 800-73-4, part 1, table 9; the FASC-N is that of cards outside the government."""
    fascn = bytes.fromhex("d4e739da739ced39ce739d836858210842108421c84210c3eb")
    fields = tlv(0x30, fascn) + tlv(0x34, guid) + tlv(0x35, b"20401231")
    return fields + tlv(0x3E, b"") + tlv(0xFE, b"")


def _ccc() -> bytes:
    """The card capability container (SP 800-73-4, part 1, table 8)."""
    identifier = bytes.fromhex("a000000116ff02") + secrets.token_bytes(14)
    fields = tlv(0xF0, identifier) + tlv(0xF1, b"\x21") + tlv(0xF2, b"\x21") + tlv(0xF3, b"")
    fields += tlv(0xF4, b"\0") + tlv(0xF5, b"\x10") + tlv(0xF6, b"") + tlv(0xF7, b"")
    return fields + b"".join(tlv(tag, b"") for tag in (0xFA, 0xFB, 0xFC, 0xFD, 0xFE))


class StateFile:
    """The file. `sync` also waits for the disk, which no killed process needs."""

    def __init__(self, path: str | os.PathLike[str], *, sync: bool = False) -> None:
        self.path = Path(path)
        self._sync = sync
        self._part = self.path.with_name(f".{self.path.name}.new")

    def create(self, state: State) -> None:
        """Write a first state. Raises :class:`StateError` if the file exists."""
        try:
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            raise StateError(f"{self.path} exists: a card is not overwritten") from None
        self.write(state)

    def load(self) -> State:
        try:
            document = json.loads(self.path.read_bytes())
            if document["pivcard"] != FORMAT:
                raise StateError(f"{self.path}: format {document['pivcard']} is not {FORMAT}")
            return _decode(document)
        except OSError as error:
            raise StateError(f"{self.path} cannot be read: {error.strerror}") from None
        except (LookupError, ValueError, TypeError) as error:
            raise StateError(f"{self.path} is not a PIV card's state: {error!r}") from None

    def write(self, state: State) -> None:
        """Replace the file. Raises :class:`StateError`; the old file is then untouched."""
        content = json.dumps(_encode(state), indent=1).encode()
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            handle = os.open(self._part, flags, 0o600)
            try:
                if os.write(handle, content) != len(content):
                    raise StateError(f"{self.path} cannot be written: short write")
                if self._sync:
                    os.fsync(handle)
            finally:
                os.close(handle)
            self._part.replace(self.path)
        except OSError as error:
            raise StateError(f"{self.path} cannot be written: {error.strerror}") from None


def _encode(state: State) -> dict[str, Any]:
    return {
        "pivcard": FORMAT,
        "vendor": state.vendor,
        "number": state.number,
        "guid": state.guid.hex(),
        "version": list(state.version),
        "pin": _encode_reference(state.pin),
        "puk": _encode_reference(state.puk),
        "management": [state.management_algorithm, state.management_key.hex()],
        "slots": {
            f"{reference:02X}": {
                "algorithm": slot.algorithm,
                "key": slot.key.encoded().hex(),
                "pin_policy": slot.pin_policy,
                "touch_policy": slot.touch_policy,
                "origin": slot.origin,
            }
            for reference, slot in state.slots.items()
        },
        "objects": {f"{tag:06X}": value.hex() for tag, value in state.objects.items()},
    }


def _decode(document: dict[str, Any]) -> State:
    algorithm, key = document["management"]
    major, minor, patch = document["version"]
    return State(
        vendor=document["vendor"],
        number=document["number"],
        guid=bytes.fromhex(document["guid"]),
        version=(major, minor, patch),
        pin=_decode_reference(document["pin"]),
        puk=_decode_reference(document["puk"]),
        management_algorithm=algorithm,
        management_key=bytes.fromhex(key),
        slots={
            int(name, 16): Slot(
                Algorithm(entry["algorithm"]),
                keys.load(entry["algorithm"], bytes.fromhex(entry["key"])),
                entry["pin_policy"],
                entry["touch_policy"],
                entry["origin"],
            )
            for name, entry in document["slots"].items()
        },
        objects={int(tag, 16): bytes.fromhex(value) for tag, value in document["objects"].items()},
    )


def _encode_reference(reference: Reference) -> dict[str, Any]:
    return {
        "value": reference.value.hex(),
        "default": reference.default.hex(),
        "maximum": reference.maximum,
        "left": reference.left,
    }


def _decode_reference(entry: dict[str, Any]) -> Reference:
    value, default = bytes.fromhex(entry["value"]), bytes.fromhex(entry["default"])
    made = Reference(value, default, entry["maximum"], entry["left"])
    if len(value) != PIN_BYTES or not 0 <= made.left <= made.maximum <= TRIES_MAXIMUM:
        raise ValueError("a PIN's length or tries are out of range")
    return made
