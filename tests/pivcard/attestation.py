# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The vendor's INS F9: slot F9 signs that a pair was made on the card, in a certificate for it.

Serial number random, 16 bytes; issuer and dates as in the certificate of F9; extensions for the
firmware, the card's number, what the pair's use asks for, and the form of the key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, ObjectIdentifier

from . import apdu
from .apdu import SW, Command, Status, tlv
from .keys import EcKey, EdKey, RsaKey
from .state import ATTESTATION_SLOT, CERTIFICATES, GENERATED, Slot

if TYPE_CHECKING:
    from .card import Card

_ARC = "1.3.6.1.4.1.41482.3."
_FIRMWARE, _SERIAL, _POLICIES, _FORM = (ObjectIdentifier(f"{_ARC}{n}") for n in (3, 7, 8, 9))
_USB_A_KEYCHAIN = 1


def _attest(card: Card, command: Command) -> bytes:
    """``00 F9 SLOT 00``. A pair that was not made here gets 6A80."""
    if command.p2 or command.p1 not in CERTIFICATES or command.p1 == ATTESTATION_SLOT:
        raise Status(SW.BAD_P1P2)
    slot, attester = card.state.slots.get(command.p1), card.state.slots.get(ATTESTATION_SLOT)
    content = card.state.objects.get(CERTIFICATES[ATTESTATION_SLOT])
    if slot is None or attester is None or content is None:
        raise Status(SW.NO_REFERENCE)
    if slot.origin != GENERATED or not isinstance(slot.key, RsaKey | EcKey | EdKey):
        raise Status(SW.BAD_DATA)
    own = x509.load_der_x509_certificate(apdu.objects(content)[0x70])
    return statement(attester, own, slot, command.p1, card.state.number, card.state.version)


def statement(
    attester: Slot,
    own: x509.Certificate,
    slot: Slot,
    place: int,
    number: int,
    version: tuple[int, int, int],
    policies: bytes = b"",
) -> bytes:
    """The certificate, DER. `policies`: instead of the pair's own."""
    assert isinstance(slot.key, RsaKey | EcKey | EdKey)
    assert isinstance(attester.key, RsaKey | EcKey)
    serial = number.to_bytes((number.bit_length() + 8) // 8, "big")
    said = {
        _FIRMWARE: bytes(version),
        _SERIAL: tlv(0x02, serial),
        _POLICIES: policies or bytes((slot.pin_policy, slot.touch_policy)),
        _FORM: bytes((_USB_A_KEYCHAIN,)),
    }
    name = f"YubiKey PIV Attestation {place:02x}"
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(own.subject)
        .public_key(slot.key.private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(own.not_valid_before)
        .not_valid_after(own.not_valid_after)
    )
    for oid, value in said.items():
        if oid != _SERIAL or number:
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    return builder.sign(attester.key.private, hashes.SHA256()).public_bytes(Encoding.DER)


commands = {0xF9: _attest}
