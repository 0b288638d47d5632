# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Commands to the device: information, label, random numbers, device authentication."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import pincrypto
from .apdu import LE_ANY, SW, Command, Status
from .rules import Commands
from .state import StateError, check_field

if TYPE_CHECKING:
    from .card import Card

commands = Commands()

INFO_BYTES = 288
LABEL_BYTES = 32

_VERSION = b"\x01\x00"
_SM2_SIGN_KEY_AGREEMENT_ENCRYPT = 0x00020700
_SM4_ECB, _SM4_CBC = 0x0401, 0x0402
_SM3 = 0x0001
_TOTAL_SPACE = 64 * 1024
_MAX_APDU_DATA = 4096

_GEN_RANDOM_MAXIMUM = 256
_ALGORITHM_SM4 = 0x02


@commands(0x04, answer=None)
def get_device_info(card: Card, apdu: Command) -> bytes:
    """288 bytes. Some makes want Le 0120, some 0000."""
    wanted = {"any": None, "0120": INFO_BYTES, "0000": LE_ANY}[card.traits.info_le]
    le = apdu.le
    if wanted is not None and le != wanted:
        raise Status(SW.WRONG_LENGTH)
    if le is not None and le < INFO_BYTES:
        raise Status(SW.WRONG_LE | INFO_BYTES & 0xFF)
    state, u32, u16 = card.state, card.u32.pack, card.u16.pack
    info = b"".join(
        (
            _VERSION,  # of this structure
            _VERSION,  # of the specification
            state.manufacturer.encode().ljust(64, b"\0"),
            state.issuer.encode().ljust(64, b"\0"),
            state.label.encode().ljust(LABEL_BYTES, b"\0"),
            state.serial.encode().ljust(32, b"\0"),
            _VERSION,  # of the hardware
            _VERSION,  # of the firmware
            u32(_SM4_ECB | _SM4_CBC),
            u32(_SM2_SIGN_KEY_AGREEMENT_ENCRYPT),
            u32(_SM3),
            u32(_SM4_ECB),  # device authentication
            u32(_TOTAL_SPACE),
            u32(_TOTAL_SPACE // 2),
            u16(_MAX_APDU_DATA),
            u16(0),  # user authentication method
            u16(0),  # device type
            bytes((8, 8)),  # containers and certificates in an application
            u16(0),  # files in an application
        )
    )
    return info.ljust(INFO_BYTES, b"\0")


@commands(0x02, data=range(1, LABEL_BYTES + 1))
def set_label(card: Card, apdu: Command) -> bytes:
    try:
        label = apdu.data.rstrip(b"\0").decode()
        check_field("label", label, LABEL_BYTES)
    except (UnicodeDecodeError, StateError):
        raise Status(SW.BAD_DATA) from None
    before, card.state.label = card.state.label, label
    card.save(lambda: setattr(card.state, "label", before))
    return b""


@commands(0x50, answer=None)
def gen_random(card: Card, apdu: Command) -> bytes:
    """1 to 256 random bytes; 8 of them are the next command's challenge."""
    if apdu.le is None or apdu.le > _GEN_RANDOM_MAXIMUM:
        raise Status(SW.WRONG_LENGTH)
    number = card.random(apdu.le)
    if apdu.le == pincrypto.CHALLENGE_BYTES:
        card.next_challenge = number
    return number


@commands(0x10, data=(pincrypto.BLOCK,), p1p2=(_ALGORITHM_SM4,))
def device_authentication(card: Card, apdu: Command) -> bytes:
    """SM4 only; SM1 and SSF33 (P2 00, 01) are 6A86."""
    device = card.state.device
    cipher = pincrypto.sm4(device.key)
    card.device_authenticated = False
    card.present(device, lambda challenge: apdu.data == cipher.respond(challenge))
    card.file.write_tries(card.state)
    card.device_authenticated = True
    return b""
