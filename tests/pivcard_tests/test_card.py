# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The emulated PIV card by its bytes: what SP 800-73-4 says that each command answers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.pivcard import state
from tests.pivcard.apdu import objects, tlv
from tests.pivcard.card import Card
from tests.pivcard.state import FACTORY_MANAGEMENT_KEY, StateFile
from tests.softkey import sm2
from tests.support import makers

SELECT = bytes.fromhex("00a4040005a00000030800")
TRIES, LOG_OUT = bytes.fromhex("00200080"), bytes.fromhex("0020ff80")
PIN, PUK = b"528491", b"80352917"


def make(folder: Path, **more: object) -> Card:
    given = {"pin": PIN, "admin_pin": PUK, "vendor": True, "pairs": {}, **more}
    file = StateFile(folder / f"{os.urandom(4).hex()}.piv")
    file.create(state.new(**given))  # type: ignore[arg-type]
    card = Card(file)
    assert send(card, SELECT)[1] == 0x9000
    return card


def send(card: Card, apdu: bytes) -> tuple[bytes, int]:
    answer = card.transmit(apdu)
    return answer[:-2], int.from_bytes(answer[-2:], "big")


def command(ins: int, p1: int, p2: int, data: bytes = b"", cla: int = 0) -> bytes:
    return bytes((cla, ins, p1, p2, len(data))) + data


def pin_of(pin: bytes) -> bytes:
    return pin.ljust(8, b"\xff")


def verify(card: Card, pin: bytes = PIN) -> int:
    return send(card, command(0x20, 0, 0x80, pin_of(pin)))[1]


def manage(card: Card) -> None:
    """Prove the factory's management key, the host alone."""
    asked, sw = send(card, command(0x87, card.state.management_algorithm, 0x9B, b"\x7c\x02\x81\0"))
    assert sw == 0x9000
    challenge = objects(objects(asked)[0x7C])[0x81]
    key = card.state.management_key
    cipher = algorithms.AES(key) if len(challenge) == 16 else algorithms.TripleDES(key)
    encryptor = Cipher(cipher, modes.ECB()).encryptor()
    proof = tlv(0x7C, tlv(0x82, encryptor.update(challenge)))
    assert send(card, command(0x87, card.state.management_algorithm, 0x9B, proof))[1] == 0x9000


def sign(card: Card, algorithm: int, slot: int, data: bytes) -> tuple[bytes, int]:
    """In a chain, as every card takes it; the answer by GET RESPONSE."""
    template = tlv(0x7C, tlv(0x82, b"") + tlv(0x81, data))
    while len(template) > 255:
        part, template = template[:255], template[255:]
        assert send(card, command(0x87, algorithm, slot, part, cla=0x10)) == (b"", 0x9000)
    body, sw = send(card, command(0x87, algorithm, slot, template))
    while sw >> 8 == 0x61:
        more, sw = send(card, bytes((0, 0xC0, 0, 0, sw & 0xFF)))
        body += more
    return (objects(objects(body)[0x7C])[0x82] if sw == 0x9000 else b""), sw


@pytest.mark.parametrize("vendor", [True, False], ids=["vendor", "plain"])
def test_tries_are_read_without_spending_one(tmp_path: Path, vendor: bool) -> None:
    card = make(tmp_path, vendor=vendor)
    assert [send(card, TRIES)[1] for _ in range(5)] == [0x63C3] * 5
    assert verify(card, b"111111") == 0x63C2
    assert send(card, TRIES)[1] == 0x63C2
    assert verify(card) == 0x9000
    assert send(card, TRIES)[1] == 0x9000
    assert send(card, LOG_OUT)[1] == 0x9000
    assert send(card, TRIES)[1] == 0x63C3


@pytest.mark.parametrize(("vendor", "blocked"), [(True, 0x63C0), (False, 0x6983)])
def test_a_blocked_pin_takes_the_right_one_no_more(
    tmp_path: Path, vendor: bool, blocked: int
) -> None:
    card = make(tmp_path, vendor=vendor)
    assert [verify(card, b"111111") for _ in range(3)] == [0x63C2, 0x63C1, 0x63C0]
    assert verify(card) == 0x6983
    assert send(card, TRIES)[1] == blocked
    wrong = pin_of(b"12341234") + pin_of(b"222222")
    assert send(card, command(0x2C, 0, 0x80, wrong))[1] == 0x63C2
    assert send(card, command(0x2C, 0, 0x80, PUK + pin_of(b"222222")))[1] == 0x9000
    assert verify(card, b"222222") == 0x9000


def test_a_pin_that_is_not_padded_costs_no_try(tmp_path: Path) -> None:
    for vendor, refused in ((True, 0x6700), (False, 0x6A80)):
        card = make(tmp_path, vendor=vendor)
        assert send(card, command(0x20, 0, 0x80, PIN))[1] == refused
        assert send(card, TRIES)[1] == 0x63C3


def test_a_try_is_spent_on_record_before_anything_is_compared(tmp_path: Path) -> None:
    card = make(tmp_path)
    verify(card, b"111111")
    assert Card(card.file).state.pin.left == 2
    verify(card)
    assert Card(card.file).state.pin.left == 3


def test_the_same_application_selected_again(tmp_path: Path) -> None:
    """A plain card keeps what it knows of the PIN, the vendor's forgets it."""
    for vendor, left in ((True, 0x63C3), (False, 0x9000)):
        card = make(tmp_path, vendor=vendor)
        assert verify(card) == 0x9000
        send(card, SELECT)
        assert send(card, TRIES)[1] == left


def test_changing_the_pin(tmp_path: Path) -> None:
    card = make(tmp_path)
    change = pin_of(b"111111") + pin_of(b"90210467")
    assert send(card, command(0x24, 0, 0x80, change))[1] == 0x63C2
    change = pin_of(PIN) + pin_of(b"90210467")
    assert send(card, command(0x24, 0, 0x80, change))[1] == 0x9000
    assert verify(card, PIN) == 0x63C2
    assert verify(card, b"90210467") == 0x9000
    plain = make(tmp_path, vendor=False)
    letters = pin_of(PIN) + pin_of(b"letters")
    assert send(plain, command(0x24, 0, 0x80, letters))[1] == 0x6A80
    assert send(plain, TRIES)[1] == 0x63C3


def test_nothing_is_signed_without_the_pin(tmp_path: Path) -> None:
    card = make(tmp_path, pairs={"9A": "p256", "9C": "p256", "9E": "p256"})
    assert sign(card, 0x11, 0x9A, bytes(32))[1] == 0x6982
    assert sign(card, 0x11, 0x9E, bytes(32))[1] == 0x9000  # never asks
    verify(card)
    assert [sign(card, 0x11, 0x9A, bytes(32))[1] for _ in range(2)] == [0x9000] * 2
    assert sign(card, 0x11, 0x9C, bytes(32))[1] == 0x6982  # 9A came in between
    verify(card)
    assert [sign(card, 0x11, 0x9C, bytes(32))[1] for _ in range(2)] == [0x9000, 0x6982]
    assert sign(card, 0x14, 0x9A, bytes(32))[1] == 0x6A86
    assert sign(card, 0x11, 0x9D, bytes(32))[1] == 0x6A88


def test_signatures_of_each_algorithm_are_right(tmp_path: Path) -> None:
    pairs = {"9A": "p256", "9C": "p384", "9D": "rsa2048", "82": "rsa3072", "83": "ed25519"}
    card = make(tmp_path, pairs=pairs)
    digest = os.urandom(48)
    for reference, algorithm in ((0x9A, 0x11), (0x9C, 0x14)):
        verify(card)
        size = 32 if algorithm == 0x11 else 48
        signature, _ = sign(card, algorithm, reference, digest[:size])
        point = objects(card.state.slots[reference].key.public())[0x86]
        curve = ec.SECP256R1() if algorithm == 0x11 else ec.SECP384R1()
        key = ec.EllipticCurvePublicKey.from_encoded_point(curve, point)
        kind = utils.Prehashed(hashes.SHA256() if algorithm == 0x11 else hashes.SHA384())
        key.verify(signature, digest[:size], ec.ECDSA(kind))
        with pytest.raises(InvalidSignature):
            key.verify(signature, bytes(size), ec.ECDSA(kind))
    for reference, algorithm, bits in ((0x9D, 0x07, 2048), (0x82, 0x05, 3072)):
        verify(card)
        info = bytes.fromhex("3031300d060960864801650304020105000420") + digest[:32]
        block = b"\0\x01" + b"\xff" * (bits // 8 - 3 - len(info)) + b"\0" + info
        signature, sw = sign(card, algorithm, reference, block)
        assert sw == 0x9000
        loaded = x509.load_der_x509_certificate(certificate(card, reference)).public_key()
        assert isinstance(loaded, rsa.RSAPublicKey)
        loaded.verify(signature, digest[:32], padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))
    signature, _ = sign(card, 0xE0, 0x83, digest)
    loaded = x509.load_der_x509_certificate(certificate(card, 0x83)).public_key()
    assert isinstance(loaded, ed25519.Ed25519PublicKey)
    loaded.verify(signature, digest)


def certificate(card: Card, reference: int) -> bytes:
    name = state.CERTIFICATES[reference].to_bytes(3, "big")
    body, sw = send(card, command(0xCB, 0x3F, 0xFF, tlv(0x5C, name)))
    while sw >> 8 == 0x61:
        more, sw = send(card, bytes((0, 0xC0, 0, 0, sw & 0xFF)))
        body += more
    return objects(objects(body)[0x53])[0x70]


def test_sm2_signs_what_the_host_has_hashed(tmp_path: Path) -> None:
    card = make(tmp_path, pairs={"9A": "sm2"})
    verify(card)
    digest = os.urandom(32)
    signature, sw = sign(card, 0x54, 0x9A, digest)
    assert sw == 0x9000
    point = objects(card.state.slots[0x9A].key.public())[0x86][1:]
    assert sm2.verify(point, digest, sm2.raw_signature(signature))
    assert sign(card, 0x54, 0x9A, digest + b"\0")[1] == 0x6A80


@pytest.mark.parametrize("management", [0x03, 0x08, 0x0A, 0x0C])
def test_a_pair_is_made_with_the_management_key(tmp_path: Path, management: int) -> None:
    card = make(tmp_path, management=management, version=(5, 4, 3))
    make_pair = command(0x47, 0, 0x9A, bytes.fromhex("ac03800111"))
    assert send(card, make_pair)[1] == 0x6982
    manage(card)
    body, sw = send(card, make_pair)
    assert sw == 0x9000
    assert objects(body)[0x7F49] == card.state.slots[0x9A].key.public()
    verify(card)
    assert sign(Card(card.file), 0x11, 0x9A, bytes(32))[1] == 0x6D00  # not selected: no command


def test_a_wrong_management_key_proves_nothing(tmp_path: Path) -> None:
    card = make(tmp_path)
    send(card, command(0x87, 0x0A, 0x9B, b"\x7c\x02\x81\0"))
    wrong = tlv(0x7C, tlv(0x82, bytes(16)))
    assert send(card, command(0x87, 0x0A, 0x9B, wrong))[1] == 0x6982
    assert send(card, command(0x87, 0x0A, 0x9B, wrong))[1] == 0x6A80  # no challenge is known
    assert not card.managed


def test_metadata_is_the_vendors(tmp_path: Path) -> None:
    card = make(tmp_path, pairs={"9A": "p256"}, touch_policy=2, admin_pin=None)
    body, _ = send(card, bytes((0, 0xF7, 0, 0x9A)))
    told = objects(body)
    assert (told[1], told[2], told[3]) == (b"\x11", b"\x02\x02", b"\x01")
    assert objects(told[4])[0x86][0] == 4
    assert objects(send(card, bytes((0, 0xF7, 0, 0x80)))[0]) == {
        1: b"\xff",
        5: b"\0",
        6: b"\x03\x03",
    }
    assert objects(send(card, bytes((0, 0xF7, 0, 0x81)))[0])[5] == b"\x01"
    assert objects(send(card, bytes((0, 0xF7, 0, 0x9B)))[0])[5] == b"\x01"
    assert send(card, bytes((0, 0xF7, 0, 0x9C)))[1] == 0x6A88
    assert send(make(tmp_path, vendor=False), bytes((0, 0xF7, 0, 0x80)))[1] == 0x6D00


def test_slot_f9_says_which_keys_were_made_here_and_signs_nothing_else(tmp_path: Path) -> None:
    own = makers.maker().attester()
    card = make(tmp_path, pairs={"9A": "p256"}, attester=own, pin_policy=3, touch_policy=2)
    first = card.transmit(bytes((0, 0xF9, 0x9A, 0, 0)))
    assert first[-2] == 0x61
    rest = card.transmit(bytes.fromhex("00c0000000"))
    said = x509.load_der_x509_certificate(first[:-2] + rest[:-2])
    told = {each.oid.dotted_string[-2:]: each.value.value for each in said.extensions}
    assert (told[".3"], told[".8"]) == (b"\x05\x07\x01", b"\x03\x02")
    assert int.from_bytes(told[".7"][2:], "big") == card.state.number
    verify(card)
    assert sign(card, 0x11, 0xF9, bytes(32))[1] == 0x6A88
    for place in (0x9C, 0xF9, 0x80):
        assert card.transmit(bytes((0, 0xF9, place, 0, 0)))[0] == 0x6A
    imported = make(tmp_path, pairs={"9A": "p256"}, attester=own, origin=2)
    assert imported.transmit(bytes((0, 0xF9, 0x9A, 0, 0))) == b"\x6a\x80"
    plain = make(tmp_path, vendor=False, pairs={"9A": "p256"})
    assert plain.transmit(bytes((0, 0xF9, 0x9A, 0, 0))) == b"\x6d\0"


def test_an_extended_command_is_the_vendors(tmp_path: Path) -> None:
    extended = bytes.fromhex("0020008000000831") + pin_of(PIN)[1:]
    extended = bytes.fromhex("00200080000008") + pin_of(PIN)
    assert send(make(tmp_path), extended)[1] == 0x9000
    assert send(make(tmp_path, vendor=False), extended)[1] == 0x6700


def test_a_finger_that_does_not_come_costs_the_signature(tmp_path: Path) -> None:
    card = make(tmp_path, pairs={"9A": "p256"}, touch_policy=2)
    verify(card)
    card.finger = 0.5
    assert sign(card, 0x11, 0x9A, bytes(32))[1] == 0x9000
    assert card.delay == 0.5
    card.finger = None
    assert sign(card, 0x11, 0x9A, bytes(32))[1] == 0x6982


def test_the_state_survives(tmp_path: Path) -> None:
    card = make(tmp_path, pairs={"9A": "rsa2048", "9C": "sm2", "82": "ed25519"})
    manage(card)
    stored = tlv(0x5C, bytes.fromhex("5fc106")) + tlv(0x53, b"kept")
    assert send(card, command(0xDB, 0x3F, 0xFF, stored))[1] == 0x9000
    again = Card(card.file)
    assert again.state.objects == card.state.objects
    for reference, slot in card.state.slots.items():
        assert again.state.slots[reference].key.public() == slot.key.public()
    assert again.state.serial == card.state.serial


def test_malformed_commands_get_a_status_word_and_spend_nothing(tmp_path: Path) -> None:
    card = make(tmp_path, pairs={"9A": "p256"})
    for _ in range(3000):
        apdu = bytes((0, *os.urandom(3))) + os.urandom(os.urandom(1)[0] % 30)
        if apdu[1] in (0x20, 0x24, 0x2C, 0xFB):
            continue
        assert len(card.transmit(apdu)) >= 2
    send(card, SELECT)
    assert send(card, TRIES)[1] == 0x63C3


def test_the_factory_key_is_what_the_manuals_say() -> None:
    assert FACTORY_MANAGEMENT_KEY.hex() == "010203040506070801020304050607080102030405060708"
