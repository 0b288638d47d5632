# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Commands that try, change and unblock PINs. A try is on record before it is compared."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from . import pincrypto
from .apdu import SW, Command, Status
from .rules import ADMIN, ID_BYTES, USER, Commands, OpenApplication

if TYPE_CHECKING:
    from .card import Card

commands = Commands()

_ROLES = (ADMIN, USER)
#: The second only where blocks are sized, for PINs of 14 to 16 bytes.
_NEW_PIN = tuple(ID_BYTES + blocks * pincrypto.BLOCK + pincrypto.MAC_BYTES for blocks in (1, 2))


@commands(0x14, data=(ID_BYTES,), p1p2=_ROLES, answer=3)
def get_pin_info(card: Card, apdu: Command) -> bytes:
    pin = card.application(apdu.data).pin(apdu.p2)
    return bytes((pin.maximum, pin.left, pin.default))


@commands(0x18, data=(ID_BYTES + pincrypto.BLOCK,), p1p2=_ROLES)
def verify_pin(card: Card, apdu: Command) -> bytes:
    """AppID ‖ SM4-ECB(K, rnd8 ‖ 00×8)."""
    application = card.application(apdu.data[:ID_BYTES])
    proof = apdu.data[ID_BYTES:]
    pin = application.pin(apdu.p2)
    cipher, block = pincrypto.sm4(pin.key), card.traits.pin_block
    application.roles.discard(apdu.p2)
    card.present(
        pin, lambda challenge: hmac.compare_digest(proof, cipher.respond(challenge, block))
    )
    card.file.write_tries(card.state)
    application.roles.add(apdu.p2)
    return b""


@commands(0x16, cla=0x84, data=_NEW_PIN, p1p2=_ROLES)
def change_pin(card: Card, apdu: Command) -> bytes:
    """AppID ‖ SM4-ECB(Kold, new PIN) ‖ MAC4. A MAC under another key is a wrong old PIN."""
    application = card.application(apdu.data[:ID_BYTES])
    application.require(apdu.p2)
    _set_pin(card, apdu, application, by=apdu.p2, of=apdu.p2)
    return b""


@commands(0x1A, cla=0x84, data=_NEW_PIN)
def unblock_pin(card: Card, apdu: Command) -> bytes:
    """AppID ‖ SM4-ECB(Kadmin, new user PIN) ‖ MAC4. Costs the admin PIN's tries when wrong."""
    application = card.application(apdu.data[:ID_BYTES])
    _set_pin(card, apdu, application, by=ADMIN, of=USER)
    return b""


@commands(0x1C, data=(ID_BYTES,))
def clear_secure_state(card: Card, apdu: Command) -> bytes:
    card.application(apdu.data).roles.clear()
    return b""


def _set_pin(card: Card, apdu: Command, application: OpenApplication, *, by: int, of: int) -> None:
    """Check the MAC by the PIN `by`, then set the PIN `of`; both get all their tries back."""
    body, mac = apdu.data[: -pincrypto.MAC_BYTES], apdu.data[-pincrypto.MAC_BYTES :]
    message = _mac_header(card, apdu) + body
    pin = application.pin(by)
    cipher = pincrypto.sm4(pin.key)
    card.present(pin, lambda challenge: hmac.compare_digest(mac, cipher.mac(challenge, message)))
    padded = cipher.decrypt(body[ID_BYTES:])
    if card.traits.pin_block == "sized":
        padded = pincrypto.unsized(padded)
    if not pincrypto.acceptable(padded):
        card.file.write_tries(card.state)
        raise Status(SW.BAD_DATA)
    target = application.pin(of)
    before = (target.key, target.left, target.default)
    target.key = pincrypto.pin_key(padded, card.traits.pin_hash)
    target.left, target.default = target.maximum, False
    application.roles.discard(of)

    def undo() -> None:
        target.key, target.left, target.default = before

    card.save(undo)


def _mac_header(card: Card, apdu: Command) -> bytes:
    """``CLA INS P1 P2 ‖ Lc(2) ‖ 00 00``, in front of the data, or one vendor's ``00 ‖ Lc(2)``."""
    counted = len(apdu.data)
    if card.traits.mac_lc == "data":
        counted -= pincrypto.MAC_BYTES
    length = counted.to_bytes(2, "little" if card.traits.mac_lc == "swapped" else "big")
    length = b"\0" + length if card.traits.mac_lc == "wire" else length + b"\0\0"
    return bytes((apdu.cla, apdu.ins, apdu.p1, apdu.p2)) + length
