# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Status words that GM/T 0017-2012 adds to ISO/IEC 7816-4, as implementations speak it."""

from __future__ import annotations

from enum import IntEnum

from keyservice.transport.iso7816 import SW, CardError

from .data import Ins


class Status(IntEnum):
    """The status words. A number that ISO uses too means something else here."""

    BAD_MAC = 0x6988
    APPLICATION_NOT_OPEN = 0x698A
    NO_APPLICATION = 0x6A88
    APPLICATION_EXISTS = 0x6A89
    APPLICATION_OPEN = 0x6A8A
    NO_APPLICATION_NAME = 0x6A8B
    NO_CONTAINER = 0x6A91
    BAD_CONTAINER_ID = 0x6A94
    NO_KEY_PAIR = 0x6A95
    NO_CERTIFICATE = 0x6A96
    SIGNATURE_WRONG = 0x6A98
    CONTAINER_EXISTS = 0x6E02


#: There is no application or container of that name.
MISSING = frozenset((Status.NO_APPLICATION, Status.NO_APPLICATION_NAME, Status.NO_CONTAINER))
#: A firmware answers ``63C0 | left << 8``, which loses most of `left` and can look like another SW.
GARBLED_PIN_WRONG = frozenset(SW.PIN_WRONG | left << 8 for left in range(16))


def refused(ins: Ins, sw: int) -> CardError:
    """The error for an answer that the command should not have; it names `sw`."""
    for words in (Status, SW):
        if sw in words._value2member_map_:
            return CardError(ins, sw, words(sw).name)
    return CardError(ins, sw)
