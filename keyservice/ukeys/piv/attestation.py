# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a card shows for its having made a key: a vendor's slot F9. A YubiKey has it as of firmware
4.3. What is in the certificates is for the service to judge: this process may be the card's."""

from __future__ import annotations

from keyservice.transport import tlv
from keyservice.transport.iso7816 import SW, CardError, Commands
from keyservice.ukeys.base import Evidence
from keyservice.ukeys.results import CERTIFICATE_MAX

from .data import ATTESTATION, P1P2_CURRENT, Ins, object_name, parse_certificate

_SEQUENCE = 0x30
#: The first bytes of the words by which a card refuses (ISO 7816-4, 5.6).
_REFUSALS = range(0x67, 0x70)


def shown(commands: Commands, slot: str) -> Evidence:
    """The certificate of slot F9, and the one that its pair has signed for the key in `slot`.

    A card that has no such thing, or does not vouch for this key, refuses with whatever word it
    has. A certificate that is too long to be one counts as none.
    """
    own = statement = None
    content = _answer(commands, Ins.GET_DATA, *P1P2_CURRENT, object_name(ATTESTATION))
    if content is not None:
        own = parse_certificate(content)
    if own is not None:
        statement = _answer(commands, Ins.ATTEST, int(slot, 16), 0)
    if statement is not None:
        tlv.only(statement, _SEQUENCE)
    return Evidence(_fitting(own), _fitting(statement))


def _answer(commands: Commands, ins: Ins, p1: int, p2: int, data: bytes = b"") -> bytes | None:
    """None where the card refuses."""
    body, sw = commands.exchange(0, ins, p1, p2, data, le=0)
    if sw >> 8 in _REFUSALS:
        return None
    if sw != SW.OK:
        raise CardError(ins, sw)
    return body


def _fitting(certificate: bytes | None) -> bytes:
    return certificate if certificate and len(certificate) <= CERTIFICATE_MAX else b""
