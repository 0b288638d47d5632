# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Commands that make, list, open and close applications."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import pincrypto
from .apdu import SW, Command, Status
from .rules import ID_BYTES, Commands, OpenApplication
from .state import TRIES, Application, Pin, StateError, check_field, identifier

if TYPE_CHECKING:
    from .card import Card

commands = Commands()

_MAXIMUM = 8
_NAME_LENGTHS = (32, 48)
#: after the name: admin PIN, tries u32, user PIN, tries u32, rights u32, nCont, nCert, nFile u16
_AFTER_NAME = 16 + 4 + 16 + 4 + 4 + 1 + 1 + 2


@commands(0x20, data=[name + _AFTER_NAME for name in _NAME_LENGTHS])
def create_application(card: Card, apdu: Command) -> bytes:
    """Needs device authentication. Both PINs count as the default until they are changed."""
    length = card.traits.name_length
    if len(apdu.data) != length + _AFTER_NAME:
        raise Status(SW.WRONG_LENGTH)
    if not card.device_authenticated:
        raise Status(SW.SECURITY_STATE)
    name = decode_name(apdu.data[:length], length)
    rest = apdu.data[length:]
    known = card.state.applications
    if any(application.name == name for application in known):
        raise Status(SW.APPLICATION_EXISTS)
    if len(known) >= _MAXIMUM:
        raise Status(SW.NO_SPACE)
    (rights,) = card.u32.unpack_from(rest, 40)
    (files,) = card.u16.unpack_from(rest, 46)
    made = Application(
        name,
        identifier(1 + max((int.from_bytes(a.ident, "little") for a in known), default=0)),
        admin=_pin(card, rest[0:20]),
        user=_pin(card, rest[20:40]),
        rights=rights,
        max_containers=rest[44],
        max_certificates=rest[45],
        max_files=files,
    )
    known.append(made)
    card.save(lambda: known.remove(made))
    return b""


def _pin(card: Card, field: bytes) -> Pin:
    """A PIN padded to 16 bytes and its tries, 1 to the 10 that the standard allows."""
    (tries,) = card.u32.unpack_from(field, 16)
    if not pincrypto.acceptable(field[:16]) or not 1 <= tries <= TRIES:
        raise Status(SW.BAD_DATA)
    return Pin(pincrypto.pin_key(field[:16], card.traits.pin_hash), tries, tries, default=True)


@commands(0x22, answer=None)
def enumerate_applications(card: Card, apdu: Command) -> bytes:
    return name_list([application.name for application in card.state.applications])


@commands(0x26, data=range(1, max(_NAME_LENGTHS) + 1), answer=10)
def open_application(card: Card, apdu: Command) -> bytes:
    """rights u32, nCont u8, nCert u8, nFile u16, AppID(2)."""
    name = decode_name(apdu.data, card.traits.name_length)
    for application in card.state.applications:
        if application.name == name:
            break
    else:
        raise Status(SW.NAME_NOT_FOUND)
    if application.ident not in card.open:
        card.open[application.ident] = OpenApplication(application)
    elif card.traits.reopen == "refused":
        raise Status(SW.ALREADY_OPEN)
    return (
        card.u32.pack(application.rights)
        + bytes((application.max_containers, application.max_certificates))
        + card.u16.pack(application.max_files)
        + application.ident
    )


@commands(0x28, data=(ID_BYTES,))
def close_application(card: Card, apdu: Command) -> bytes:
    """Closes its containers and logs everybody out of it."""
    card.application(apdu.data)
    del card.open[apdu.data]
    return b""


def decode_name(field: bytes, length: int) -> str:
    """A name, alone or padded with 00, of at most `length` bytes."""
    try:
        name = field.rstrip(b"\0").decode()
        check_field("name", name, length)
    except (UnicodeDecodeError, StateError):
        raise Status(SW.BAD_DATA) from None
    return name


def name_list(names: list[str]) -> bytes:
    """Names separated by NUL, two NULs at the end; two NULs alone where there is none."""
    return b"".join(name.encode() + b"\0" for name in names) + b"\0" * (1 if names else 2)
