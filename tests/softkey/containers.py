# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Commands that make, list, open and close containers, and use the SM2 keys in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import sm2
from .apdu import SW, Command, Status
from .applications import decode_name, name_list
from .rules import ID_BYTES, USER, Commands
from .sm2 import KeyPair
from .state import Container, identifier

if TYPE_CHECKING:
    from .card import Card

commands = Commands()

_NAME_MAXIMUM = 64
_NAMED = range(ID_BYTES + 1, ID_BYTES + _NAME_MAXIMUM + 1)
_BITS = 256
_TYPE_EMPTY, _TYPE_SM2 = 0, 2
_SIGNING, _EXCHANGE = 0x0100, 0x0000
_HASHED_BY_HOST = 0x0200


@commands(0x40, data=_NAMED, answer=ID_BYTES)
def create_container(card: Card, apdu: Command) -> bytes:
    """AppID ‖ name; user logged in. The new container is open."""
    session = card.application(apdu.data[:ID_BYTES])
    application = session.application
    name = decode_name(apdu.data[ID_BYTES:], _NAME_MAXIMUM)
    session.require(USER)
    known = application.containers
    if any(container.name == name for container in known):
        raise Status(SW.CONTAINER_EXISTS)
    if len(known) >= application.max_containers:
        raise Status(SW.NO_SPACE)
    highest = max((int.from_bytes(c.ident, "little") for c in known), default=0)
    made = Container(name, identifier(highest + 1))
    known.append(made)
    card.save(lambda: known.remove(made))
    session.containers[made.ident] = made
    return made.ident


@commands(0x42, data=_NAMED, answer=ID_BYTES)
def open_container(card: Card, apdu: Command) -> bytes:
    session = card.application(apdu.data[:ID_BYTES])
    container = _by_name(session.application.containers, apdu.data[ID_BYTES:])
    session.containers[container.ident] = container
    return container.ident


@commands(0x44, data=(2 * ID_BYTES,))
def close_container(card: Card, apdu: Command) -> bytes:
    _opened(card, apdu.data)
    del card.open[apdu.data[:ID_BYTES]].containers[apdu.data[ID_BYTES:]]
    return b""


@commands(0x46, data=(ID_BYTES,), answer=None)
def enumerate_containers(card: Card, apdu: Command) -> bytes:
    application = card.application(apdu.data).application
    return name_list([container.name for container in application.containers])


@commands(0x4A, data=_NAMED, answer=11)
def get_container_info(card: Card, apdu: Command) -> bytes:
    """type u8, signing bits u32, exchange bits u32, signing and exchange certificate u8 each."""
    application = card.application(apdu.data[:ID_BYTES]).application
    container = _by_name(application.containers, apdu.data[ID_BYTES:])
    kind, bits = (_TYPE_SM2, _BITS) if container.key else (_TYPE_EMPTY, 0)
    return bytes((kind,)) + card.u32.pack(bits) + card.u32.pack(0) + b"\0\0"


@commands(0x70, data=(2 * ID_BYTES + 4,), answer=sm2.POINT_BYTES)
def generate_key_pair(card: Card, apdu: Command) -> bytes:
    """AppID ‖ ContID ‖ bits u32; user logged in. Replaces a pair that is there. X ‖ Y."""
    container = _opened(card, apdu.data[: 2 * ID_BYTES])
    card.open[apdu.data[:ID_BYTES]].require(USER)
    asked = apdu.data[2 * ID_BYTES :]
    if card.u32.unpack(asked[::-1] if card.traits.size_order == "other" else asked) != (_BITS,):
        raise Status(SW.BAD_DATA)
    before, container.key = container.key, KeyPair.generate()
    card.save(lambda: setattr(container, "key", before))
    return container.key.point


@commands(0x74, data=(2 * ID_BYTES + sm2.DIGEST_BYTES,), p1p2=(_HASHED_BY_HOST,), answer=68)
def sign(card: Card, apdu: Command) -> bytes:
    """AppID ‖ ContID ‖ e, hashed by the host; user logged in. BitLen u32 ‖ r ‖ s."""
    key = _key(_opened(card, apdu.data[: 2 * ID_BYTES]))
    session = card.open[apdu.data[:ID_BYTES]]
    session.require(USER)
    if card.traits.authorisation == "once":
        session.roles.discard(USER)
    signature = key.sign(apdu.data[2 * ID_BYTES :])
    card.signatures.append(signature)
    return card.u32.pack(_BITS) + signature


@commands(0x76, data=(4 + 64 + 4 + 32 + 64,))
def verify(card: Card, apdu: Command) -> bytes:
    """BitLen u32 ‖ X ‖ Y ‖ eLen u32 ‖ e ‖ r ‖ s; needs nobody logged in."""
    data, u32 = apdu.data, card.u32
    if u32.unpack_from(data, 0) != (_BITS,) or u32.unpack_from(data, 68) != (sm2.DIGEST_BYTES,):
        raise Status(SW.BAD_DATA)
    try:
        right = sm2.verify(data[4:68], data[72:104], data[104:168])
    except sm2.Sm2Error:
        raise Status(SW.BAD_DATA) from None
    if not right:
        raise Status(SW.SIGNATURE_WRONG)
    return b""


@commands(0x88, data=(2 * ID_BYTES,), p1p2=(_SIGNING, _EXCHANGE), answer=68)
def export_public_key(card: Card, apdu: Command) -> bytes:
    """BitLen u32 ‖ X ‖ Y of the signing pair; there are no exchange pairs here."""
    container = _opened(card, apdu.data)
    if apdu.p1 << 8 == _EXCHANGE:
        raise Status(SW.NO_KEY_PAIR)
    return card.u32.pack(_BITS) + _key(container).point


def _by_name(containers: list[Container], field: bytes) -> Container:
    name = decode_name(field, _NAME_MAXIMUM)
    for container in containers:
        if container.name == name:
            return container
    raise Status(SW.CONTAINER_NAME_NOT_FOUND)


def _opened(card: Card, ids: bytes) -> Container:
    """The open container of AppID ‖ ContID."""
    container = card.application(ids[:ID_BYTES]).containers.get(ids[ID_BYTES:])
    if container is None:
        raise Status(SW.BAD_CONTAINER)
    return container


def _key(container: Container) -> KeyPair:
    if container.key is None:
        raise Status(SW.NO_KEY_PAIR)
    return container.key
