# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The management key: proven by encrypting what the card asks for (SP 800-73-4, part 2, 3.2.4)."""

from __future__ import annotations

from dataclasses import dataclass

from keyservice.core.errors import ManagementKeyWrong, UkeyFailed
from keyservice.core.secret import Secret, wipe
from keyservice.crypto import blocks
from keyservice.transport import tlv
from keyservice.transport.iso7816 import SW, CardError, Commands, ResponseError

from .data import Ins, Reference

_TEMPLATE, _CHALLENGE, _RESPONSE = 0x7C, 0x81, 0x82
#: Asks for a challenge.
ASK = tlv.build(_TEMPLATE, tlv.build(_CHALLENGE, b""))
#: The word that may be typed for the key that cards are shipped with.
_DEFAULT_WORD = b"default"
_FACTORY = bytes.fromhex("010203040506070801020304050607080102030405060708")


@dataclass(frozen=True, slots=True)
class Cipher:
    """One that management keys are for (SP 800-78-4, table 6-2)."""

    name: bytes  #: OpenSSL's
    key_bytes: int
    block_bytes: int


_3DES = 0x03
_CIPHERS = {
    _3DES: Cipher(b"DES-EDE3-ECB", 24, 8),
    0x08: Cipher(b"AES-128-ECB", 16, 16),
    0x0A: Cipher(b"AES-192-ECB", 24, 16),
    0x0C: Cipher(b"AES-256-ECB", 32, 16),
}


def prepare() -> None:
    """Load now what the first key would load: a device worker cannot open files later."""
    for cipher in _CIPHERS.values():
        if blocks.known(cipher.name):
            blocks.encrypt(cipher.name, bytes(cipher.key_bytes), None, bytes(cipher.block_bytes))


def prove(commands: Commands, typed: Secret, told: int | None) -> None:
    """Prove the key that `typed` spells. `told`: the number of its cipher; the standard's where the
    card does not tell it. Raises :class:`ManagementKeyWrong`."""
    number = _3DES if told is None else told
    ins, place = Ins.GENERAL_AUTHENTICATE, (number, Reference.MANAGEMENT_KEY)
    key = _key_of(typed, number)
    try:
        proof = _answer(key, number, commands.send(0, ins, *place, ASK, le=0))
    finally:
        wipe(key)
    body, sw = commands.exchange(0, ins, *place, proof, le=0)
    if body:
        raise ResponseError("The proof of the management key brings data")
    if sw in (SW.NOT_VERIFIED, SW.BAD_DATA):
        raise ManagementKeyWrong
    if sw != SW.OK:
        raise CardError(ins, sw)


def _key_of(typed: Secret, number: int) -> bytearray:
    """The key that `typed` spells in hexadecimal digits. The caller wipes it.

    Raises :class:`ManagementKeyWrong` where it is none for this cipher.
    """
    cipher = _cipher(number)
    with typed.view() as view:
        if view == _DEFAULT_WORD:
            return bytearray((_FACTORY * 2)[: cipher.key_bytes])
        if len(view) != 2 * cipher.key_bytes:
            raise ManagementKeyWrong
        key = bytearray(cipher.key_bytes)
        for at in range(cipher.key_bytes):
            high, low = _digit(view[2 * at]), _digit(view[2 * at + 1])
            if high is None or low is None:
                wipe(key)
                raise ManagementKeyWrong
            key[at] = high << 4 | low
    return key


def _answer(key: bytearray, number: int, asked: bytes) -> bytes:
    """What proves the key, for the card's answer to :data:`ASK`."""
    cipher = _cipher(number)
    challenge = tlv.only(tlv.only(asked, _TEMPLATE), _CHALLENGE)
    if len(challenge) != cipher.block_bytes:
        raise ResponseError("The card asks for a proof of another length than its cipher's")
    proof = blocks.encrypt(cipher.name, key, None, challenge)
    return tlv.build(_TEMPLATE, tlv.build(_RESPONSE, proof))


def _cipher(number: int) -> Cipher:
    cipher = _CIPHERS.get(number)
    if cipher is None or not blocks.known(cipher.name):
        raise UkeyFailed(f"The management key is for cipher {number:02X}, which is not known here")
    return cipher


def _digit(byte: int) -> int | None:
    if 0x30 <= byte <= 0x39:
        return byte - 0x30
    letter = byte | 0x20
    return letter - 0x61 + 10 if 0x61 <= letter <= 0x66 else None
