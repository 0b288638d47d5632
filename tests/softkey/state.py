# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The data that a ukey remembers without power, and their file.

It is one JSON file, mode 0600, replaced atomically (written beside, renamed), so that a process
killed at any moment leaves the old or the new state. Of PINs it has only the keys derived from
them. The tries left have a part of their own: they are written before every comparison, and only
that part is encoded again then.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import pincrypto
from .sm2 import KeyPair, Sm2Error
from .traits import Traits

FORMAT = 1

FACTORY_PIN = b"12345678"
FACTORY_ADMIN_PIN = b"admin12345678"
FACTORY_DEVICE_KEY = b"1122334455667788"

#: The standard allows 10 wrong PINs in a row; 63CX could tell of 15.
TRIES, TRIES_MAXIMUM = 10, 15


#: the errors that a document of another shape raises while it is decoded
_NOT_A_STATE = (LookupError, ValueError, TypeError, AttributeError, StopIteration, Sm2Error)


class StateError(Exception):
    """The state file cannot be made, read or written. Says which, and why."""


@dataclass(slots=True)
class Pin:
    """A PIN, or the device authentication key: its 16-byte key and its tries."""

    key: bytes = field(repr=False)
    maximum: int = TRIES
    left: int = TRIES
    default: bool = False


@dataclass(slots=True)
class Container:
    """`ident` is the two opaque bytes that OpenContainer answers."""

    name: str
    ident: bytes
    key: KeyPair | None = None


@dataclass(slots=True)
class Application:
    name: str
    ident: bytes
    admin: Pin
    user: Pin
    rights: int = 0x000000FF
    max_containers: int = 8
    max_certificates: int = 8
    max_files: int = 0
    containers: list[Container] = field(default_factory=list)


@dataclass(slots=True)
class State:
    serial: str
    label: str = "softkey"
    manufacturer: str = "pam-ukey tests"
    issuer: str = "pam-ukey tests"
    device: Pin = field(default_factory=lambda: Pin(FACTORY_DEVICE_KEY))
    traits: Traits = field(default_factory=Traits)
    applications: list[Application] = field(default_factory=list)

    def pins(self) -> list[Pin]:
        """Everything that counts tries, in the order of the file."""
        found = [self.device]
        for application in self.applications:
            found += (application.admin, application.user)
        return found


def new(
    *,
    serial: str | None = None,
    label: str = "softkey",
    pin: bytes | None = None,
    admin_pin: bytes | None = None,
    tries: int = TRIES,
    admin_tries: int = TRIES,
    application: str = "ukey",
    containers: tuple[str, ...] = ("login",),
    empty_containers: tuple[str, ...] = (),
    traits: Traits | None = None,
) -> State:
    """A ukey with one application, a key pair in each of `containers`, none in the empty ones.

    `serial` is random if None. `pin` and `admin_pin` have 6 to 16 bytes; None leaves the
    factory's, which GetPINInfo then calls the default. More than 10 tries break the standard, and
    are allowed only to test that.
    """
    traits = traits or Traits()
    if not (1 <= tries <= TRIES_MAXIMUM and 1 <= admin_tries <= TRIES_MAXIMUM):
        raise StateError(f"tries are 1 to {TRIES_MAXIMUM}")
    check_field("serial", serial := serial or f"SK{secrets.randbelow(10**10):010d}", 32)
    check_field("label", label, 32)
    check_field("application name", application, traits.name_length)
    for name in (*containers, *empty_containers):
        check_field("container name", name, 64)
    made = Application(
        application,
        identifier(1),
        admin=_make_pin(admin_pin, FACTORY_ADMIN_PIN, admin_tries, traits),
        user=_make_pin(pin, FACTORY_PIN, tries, traits),
    )
    for number, name in enumerate((*containers, *empty_containers), 1):
        key = KeyPair.generate() if name in containers else None
        made.containers.append(Container(name, identifier(number), key))
    return State(serial, label, traits=traits, applications=[made])


def identifier(number: int) -> bytes:
    """The two opaque bytes that stand for the `number`-th application or container."""
    return number.to_bytes(2, "little")


def check_field(what: str, text: str, length: int) -> None:
    """Refuse text that a 00-padded UTF-8 field of `length` bytes cannot hold."""
    if not 1 <= len(text.encode()) <= length or "\0" in text:
        raise StateError(f"{what}: 1 to {length} bytes of UTF-8")


def _make_pin(pin: bytes | None, factory: bytes, tries: int, traits: Traits) -> Pin:
    padded = (factory if pin is None else pin).ljust(pincrypto.PIN_FIELD, b"\0")
    if not pincrypto.acceptable(padded):
        raise StateError("a PIN has 6 to 16 bytes")
    return Pin(pincrypto.pin_key(padded, traits.pin_hash), tries, tries, default=pin is None)


class StateFile:
    """The file. `sync` also waits for the disk, which no killed process needs, only a power cut."""

    def __init__(self, path: str | os.PathLike[str], *, sync: bool = False) -> None:
        self.path = Path(path)
        self._sync = sync
        self._part = self.path.with_name(f".{self.path.name}.new")
        self._head = ""

    def create(self, state: State) -> None:
        """Write a first state. Raises :class:`StateError` if the file exists."""
        try:
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            raise StateError(f"{self.path} exists: a ukey is not overwritten") from None
        except OSError as error:
            raise StateError(f"{self.path} cannot be made: {error.strerror}") from None
        try:
            self.write(state)
        except StateError:
            self.path.unlink()
            raise

    def load(self) -> State:
        try:
            document = json.loads(self.path.read_bytes())
            if document["softkey"] != FORMAT:
                raise StateError(f"{self.path}: format {document['softkey']} is not {FORMAT}")
            state = _decode(document)
        except FileNotFoundError:
            raise StateError(f"{self.path} is missing: make it with 'softkey init'") from None
        except OSError as error:
            raise StateError(f"{self.path} cannot be read: {error.strerror}") from None
        except _NOT_A_STATE as error:
            raise StateError(f"{self.path} is not a softkey's state: {error!r}") from None
        self._head = _encode_head(state)
        return state

    def write(self, state: State) -> None:
        """Replace the file. Raises :class:`StateError`; the old file is then untouched."""
        self._head = _encode_head(state)
        self.write_tries(state)

    def write_tries(self, state: State) -> None:
        """As :meth:`write` if only tries have changed since: about 15 µs."""
        left = ",".join([str(pin.left) for pin in state.pins()])
        content = f'{self._head},\n "tries_left": [{left}]\n}}\n'.encode()
        try:
            handle = os.open(
                self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600
            )
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


def _encode_head(state: State) -> str:
    """The JSON object without its closing brace and without the tries left."""
    document = {
        "softkey": FORMAT,
        "serial": state.serial,
        "label": state.label,
        "manufacturer": state.manufacturer,
        "issuer": state.issuer,
        "traits": asdict(state.traits),
        "device": _encode_pin(state.device),
        "applications": [
            {
                "name": application.name,
                "id": application.ident.hex(),
                "rights": application.rights,
                "max_containers": application.max_containers,
                "max_certificates": application.max_certificates,
                "max_files": application.max_files,
                "admin": _encode_pin(application.admin),
                "user": _encode_pin(application.user),
                "containers": [
                    {
                        "name": container.name,
                        "id": container.ident.hex(),
                        "key": container.key.pem().decode() if container.key else None,
                    }
                    for container in application.containers
                ],
            }
            for application in state.applications
        ],
    }
    return json.dumps(document, indent=1, ensure_ascii=False).removesuffix("\n}")


def _encode_pin(pin: Pin) -> dict[str, str | int | bool]:
    return {"key": pin.key.hex(), "maximum": pin.maximum, "default": pin.default}


def _decode(document: dict[str, Any]) -> State:
    left = iter(document["tries_left"])
    state = State(
        serial=document["serial"],
        label=document["label"],
        manufacturer=document["manufacturer"],
        issuer=document["issuer"],
        device=_decode_pin(document["device"], next(left)),
        traits=Traits(**document["traits"]),
    )
    for entry in document["applications"]:
        application = Application(
            name=entry["name"],
            ident=bytes.fromhex(entry["id"]),
            admin=_decode_pin(entry["admin"], next(left)),
            user=_decode_pin(entry["user"], next(left)),
            rights=entry["rights"],
            max_containers=entry["max_containers"],
            max_certificates=entry["max_certificates"],
            max_files=entry["max_files"],
        )
        for inner in entry["containers"]:
            key = KeyPair.from_pem(inner["key"].encode()) if inner["key"] else None
            application.containers.append(Container(inner["name"], bytes.fromhex(inner["id"]), key))
        state.applications.append(application)
    if next(left, None) is not None:
        raise ValueError("more tries than PINs")
    return state


def _decode_pin(entry: dict[str, Any], left: int) -> Pin:
    pin = Pin(bytes.fromhex(entry["key"]), entry["maximum"], left, entry["default"])
    if len(pin.key) != pincrypto.BLOCK or not 0 <= left <= pin.maximum <= TRIES_MAXIMUM:
        raise ValueError("a PIN's key or tries are out of range")
    return pin
