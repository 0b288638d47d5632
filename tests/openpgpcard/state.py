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
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.softkey.state import StateError

from . import attributes, keys
from .keys import Key

FORMAT = 1
FACTORY_PW1, FACTORY_PW3 = b"123456", b"12345678"
PW1_MIN, PW3_MIN, RC_MIN = 6, 8, 8
PIN_MAX = 127
TRIES, TRIES_MAXIMUM = 3, 99
GENERATED, IMPORTED = 1, 2
FINGERPRINT_BYTES, DATE_BYTES = 20, 4
SIGNATURE, DECRYPTION, AUTHENTICATION = SLOTS = (1, 2, 3)
_NAMES = {"SIG": SIGNATURE, "DEC": DECRYPTION, "AUT": AUTHENTICATION}
#: Those of test cards (the specification's 4.2.1).
_MANUFACTURER = 0xFFFE
_BUTTON = 0x20


@dataclass(slots=True)
class Traits:
    """In what cards differ; the first build that was measured is what they are by default."""

    keeps_pin: bool = False  #: the application selected again, a PIN stays verified
    alone: bool = True  #: C0 to DE are told by themselves too, not in 6E and 73 only
    halves: int = 0  #: zeros before r and before s
    counts: bool = False  #: a wrong PIN is told by 63CX, not by 6982
    log_out: bool = True  #: VERIFY knows P1 FF (3.3 and later)
    extended: bool = True  #: commands and answers of extended length
    answers_select: bool = False  #: with the file's control information
    tells_origin: bool = True  #: DE: which keys were made on it (3.3 and later)
    button: bool = True  #: it can be touched


@dataclass(slots=True)
class Password:
    """PW1, PW3, or the resetting code, which is not set from the factory: no value, no tries."""

    value: bytes = field(repr=False)
    maximum: int = TRIES
    left: int = TRIES


@dataclass(slots=True)
class Slot:
    """What is known of a key pair."""

    key: Key = field(repr=False)
    origin: int = GENERATED


@dataclass(slots=True)
class State:
    manufacturer: int
    number: int
    pw1: Password
    resetting: Password
    pw3: Password
    traits: Traits = field(default_factory=Traits)
    signs_often: bool = False  #: PW1 in mode 81 stays verified after a signature
    attributes: dict[int, bytes] = field(default_factory=dict)
    slots: dict[int, Slot] = field(default_factory=dict)
    fingerprints: dict[int, bytes] = field(default_factory=dict)
    dates: dict[int, bytes] = field(default_factory=dict)
    touch: dict[int, int] = field(default_factory=dict)
    objects: dict[int, bytes] = field(default_factory=dict)
    certificates: dict[int, bytes] = field(default_factory=dict)
    counter: int = 0
    terminated: bool = False

    @property
    def serial(self) -> str:
        """As it is printed on a card: its maker and its number."""
        return f"{self.manufacturer:04X}{self.number:08X}"

    @property
    def aid(self) -> bytes:
        """4.2.1: the application, version 3.4, maker and number."""
        told = bytes.fromhex("d27600012401") + b"\x03\x04" + bytes.fromhex(self.serial)
        return told + bytes(2)


def new(
    *,
    serial: str | None = None,
    pin: bytes | None = None,
    admin_pin: bytes | None = None,
    reset_code: bytes = b"",
    tries: int = TRIES,
    admin_tries: int = TRIES,
    pairs: dict[str, str] | None = None,
    makes: str = "rsa2048",
    touch: int = 0,
    origin: int = GENERATED,
    **traits: Any,
) -> State:
    """A card with key pairs in `pairs`: the name of an algorithm for SIG, DEC, AUT.

    `serial` is maker and number in 12 hexadecimal digits, random if None. PINs: None for those from
    the factory. `makes` is the algorithm of slots without a pair. `touch` is the user interaction
    flag of all pairs, 0 to 4. More: :class:`Traits`.
    """
    for count in (tries, admin_tries):
        if not 1 <= count <= TRIES_MAXIMUM:
            raise StateError(f"tries are 1 to {TRIES_MAXIMUM}")
    try:
        given = bytes.fromhex(serial or f"{_MANUFACTURER:04x}{secrets.randbits(32):08x}")
        manufacturer, number = int.from_bytes(given[:2], "big"), int.from_bytes(given[2:], "big")
        if len(given) != 6:
            raise ValueError
    except ValueError:
        raise StateError("a serial has 12 hexadecimal digits") from None
    made = State(
        manufacturer=manufacturer,
        number=number,
        pw1=Password(_fit(pin, FACTORY_PW1, PW1_MIN), tries, tries),
        resetting=Password(b"", tries, 0),
        pw3=Password(_fit(admin_pin, FACTORY_PW3, PW3_MIN), admin_tries, admin_tries),
        traits=Traits(**traits),
    )
    if reset_code:
        made.resetting = Password(_fit(reset_code, b"", RC_MIN), tries, tries)
    chosen = {"AUT": "p256"} if pairs is None else pairs
    for name, slot in _NAMES.items():
        algorithm = attributes.NAMES[chosen.get(name, makes)]
        if slot == DECRYPTION and algorithm[0] == attributes.ECDSA:
            algorithm = bytes((attributes.ECDH,)) + algorithm[1:]
        if slot == DECRYPTION and algorithm[0] == attributes.EDDSA:
            algorithm = attributes.NAMES["x25519"]
        made.attributes[slot] = algorithm
        made.touch[slot] = touch
        if name in chosen:
            made.slots[slot] = Slot(keys.generate(attributes.parse(algorithm, slot)), origin)
            made.fingerprints[slot] = secrets.token_bytes(FINGERPRINT_BYTES)
    return made


def _fit(pin: bytes | None, factory: bytes, least: int) -> bytes:
    value = factory if pin is None else pin
    if not least <= len(value) <= PIN_MAX:
        raise StateError(f"it has {least} to {PIN_MAX} bytes")
    return value


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
            if document["openpgpcard"] != FORMAT:
                raise StateError(f"{self.path}: format {document['openpgpcard']} is not {FORMAT}")
            return _decode(document)
        except OSError as error:
            raise StateError(f"{self.path} cannot be read: {error.strerror}") from None
        except (LookupError, ValueError, TypeError) as error:
            raise StateError(f"{self.path} is not an OpenPGP card's state: {error!r}") from None

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


_PASSWORDS = ("pw1", "resetting", "pw3")
_BYTES = ("attributes", "fingerprints", "dates", "objects", "certificates")


def _encode(state: State) -> dict[str, Any]:
    document: dict[str, Any] = {
        "openpgpcard": FORMAT,
        "serial": state.serial,
        "traits": asdict(state.traits),
        "signs_often": state.signs_often,
        "touch": state.touch,
        "counter": state.counter,
        "terminated": state.terminated,
        "slots": {
            slot: {"key": each.key.encoded().hex(), "origin": each.origin}
            for slot, each in state.slots.items()
        },
    }
    for name in _PASSWORDS:
        password: Password = getattr(state, name)
        document[name] = [password.value.hex(), password.maximum, password.left]
    for name in _BYTES:
        document[name] = {key: value.hex() for key, value in getattr(state, name).items()}
    return document


def _decode(document: dict[str, Any]) -> State:
    serial = bytes.fromhex(document["serial"])
    state = State(
        int.from_bytes(serial[:2], "big"),
        int.from_bytes(serial[2:], "big"),
        pw1=_password(*document["pw1"]),
        resetting=_password(*document["resetting"]),
        pw3=_password(*document["pw3"]),
        traits=Traits(**document["traits"]),
        signs_often=document["signs_often"],
        touch={int(slot): flag for slot, flag in document["touch"].items()},
        counter=document["counter"],
        terminated=document["terminated"],
    )
    for name in _BYTES:
        read = {int(key): bytes.fromhex(value) for key, value in document[name].items()}
        setattr(state, name, read)
    for name, entry in document["slots"].items():
        slot = int(name)
        of = attributes.parse(state.attributes[slot], slot)
        state.slots[slot] = Slot(keys.load(of, bytes.fromhex(entry["key"])), entry["origin"])
    return state


def _password(value: str, maximum: int, left: int) -> Password:
    if not 0 <= left <= maximum <= TRIES_MAXIMUM:
        raise ValueError("a password's tries are out of range")
    return Password(bytes.fromhex(value), maximum, left)


def touch_object(flag: int) -> bytes:
    """D6 to D8 (4.4.3.6)."""
    return bytes((flag, _BUTTON))
