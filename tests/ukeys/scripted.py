# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The commands of a GM/T 0017 ukey and its answers, as a script for the stubbed pyscard."""

from __future__ import annotations

from keyservice.core.secret import Secret
from keyservice.ukeys.base import KeyRef
from tests.transport.scard_stub import Exchange

OK = "9000"
REF = KeyRef("app", "box")
PIN, NEW, ADMIN = Secret(b"12345678"), Secret(b"87654321"), Secret(b"12345678")
E32 = bytes(range(32))
RS = bytes(range(64, 128))
XY = bytes(range(128, 192))

# The challenge, PIN and application id of the known answers (facts of three implementations).
CHALLENGE: Exchange = ("80500000 000008", "0011223344556677" + OK)
VERIFY = "80180001 000012 0100 8be3bbed00b1eaa93c458d79769b7499"
NEW_PIN = "f57f188f8986af91fd6408b567500f11"
OPEN_APP: Exchange = ("80260000 000003 617070 000a", "00000000 02 02 0002 0100" + OK)
OPEN_BOX: Exchange = ("80420000 000005 0100 626f78 0002", "0700" + OK)
CLEAR: Exchange = ("801c0000 000002 0100", OK)
SIGN = "80740200 000024 0100 0700" + E32.hex() + "0044"
SIGNED: Exchange = (SIGN, "00010000" + RS.hex() + OK)
EXPORT = "80880100 000004 0100 0700 0044"


def pin_info(left: int, maximum: int = 10, default: int = 0, role: int = 1) -> Exchange:
    body = bytes((maximum, left, default)).hex()
    return f"801400{role:02x} 000002 0100 0003", body + OK


def dev_info(serial: bytes = b"SN1", le: str = "0120") -> Exchange:
    data = bytearray(288)
    data[4:7], data[132:137], data[164 : 164 + len(serial)] = b"Acme"[:3], b"Label", serial
    return "80040000 00" + le, data.hex() + OK
