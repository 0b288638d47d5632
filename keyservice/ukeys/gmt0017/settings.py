# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What can be a PIN of this kind, and where its ukeys differ."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from keyservice.ukeys.kind import PinRule, Setting, Values


class ByteOrder(StrEnum):
    """Of integers inside data."""

    LITTLE = "little"
    BIG = "big"


class MacLength(StrEnum):
    """The Lc that a PIN command's MAC is made over, where the command's own is 0016."""

    DATA = "data"  #: without the MAC: 0012
    COMMAND = "command"  #: with it: 0016
    SWAPPED = "swapped"  #: with it, low byte first: 1600
    WIRE = "wire"  #: with it, and the three bytes as the command has them: 000016, then the data


class PinBlock(StrEnum):
    """What becomes of a challenge, or of a new PIN, before SM4 encrypts it under a PIN's key."""

    PADDED = "padded"  #: itself ‖ 00…, 16 bytes
    SIZED = "sized"  #: its length in 2 bytes, low byte first ‖ itself ‖ 80 ‖ 00…, whole blocks


class SizeOrder(StrEnum):
    """The order of bytes of the key size that GenECCKeyPair is sent."""

    SAME = "same"  #: as in data: ``byte_order``
    OTHER = "other"


class ExpectedLength(StrEnum):
    """The Le of a command whose answer has a known length."""

    EXACT = "exact"
    ANY = "any"  #: 0000


class PinHash(StrEnum):
    """What makes a key of the padded PIN."""

    SHA1 = "sha1"
    SM3 = "sm3"


#: GM/T 0027-2014 asks for 6 bytes; the PIN field of GM/T 0017-2012 has 16.
PIN_RULE = PinRule(6, 16)

#: Bytes of an application's or a container's name.
NAME_LENGTHS = (32, 48)

SETTINGS = (
    Setting("byte_order", tuple(ByteOrder)),
    Setting("mac_length", tuple(MacLength)),
    Setting("pin_block", tuple(PinBlock)),
    Setting("size_order", tuple(SizeOrder)),
    Setting("expected_length", tuple(ExpectedLength)),
    Setting("pin_hash", tuple(PinHash)),
    Setting("name_length", NAME_LENGTHS),
)


@dataclass(frozen=True, slots=True)
class Quirks:
    """How to speak with one ukey."""

    byte_order: ByteOrder = ByteOrder.LITTLE
    mac_length: MacLength = MacLength.DATA
    pin_block: PinBlock = PinBlock.PADDED
    size_order: SizeOrder = SizeOrder.SAME
    expected_length: ExpectedLength = ExpectedLength.EXACT
    pin_hash: PinHash = PinHash.SHA1
    name_length: int = NAME_LENGTHS[0]

    @classmethod
    def of(cls, values: Values) -> Quirks:
        """The quirks in `values`, which may hold other kinds' too; the usual ones for the rest."""
        usual = {setting.name: setting.usual for setting in SETTINGS}
        chosen = {name: values.get(name, usual[name]) for name in usual}
        return cls(
            ByteOrder(str(chosen["byte_order"])),
            MacLength(str(chosen["mac_length"])),
            PinBlock(str(chosen["pin_block"])),
            SizeOrder(str(chosen["size_order"])),
            ExpectedLength(str(chosen["expected_length"])),
            PinHash(str(chosen["pin_hash"])),
            int(chosen["name_length"]),
        )

    @property
    def asked_order(self) -> ByteOrder:
        """The order of bytes of the key size that GenECCKeyPair is sent."""
        if self.size_order is SizeOrder.SAME:
            return self.byte_order
        return ByteOrder.BIG if self.byte_order is ByteOrder.LITTLE else ByteOrder.LITTLE
