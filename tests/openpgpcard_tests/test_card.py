# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The emulated OpenPGP card by its bytes: what the specification says that each command answers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from tests.openpgpcard import state
from tests.openpgpcard.attributes import NAMES
from tests.openpgpcard.card import Card
from tests.openpgpcard.state import AUTHENTICATION, SIGNATURE, StateFile
from tests.pivcard.apdu import objects, tlv
from tests.softkey import sm2

SELECT = bytes.fromhex("00a4040006d2760001240100")
PIN, ADMIN, CODE = b"528491", b"80352917", b"41516273"
SIGN, OTHER, PW3 = 0x81, 0x82, 0x83
DIGEST = bytes(range(32))
INFO = bytes.fromhex("3031300d060960864801650304020105000420") + DIGEST


def make(folder: Path, **more: object) -> Card:
    given = {"pin": PIN, "admin_pin": ADMIN, "pairs": {}, **more}
    file = StateFile(folder / f"{os.urandom(4).hex()}.card")
    file.create(state.new(**given))  # type: ignore[arg-type]
    card = Card(file)
    assert send(card, SELECT)[1] == 0x9000
    return card


def send(card: Card, apdu: bytes) -> tuple[bytes, int]:
    """Short, and the answer to its end."""
    answer = card.transmit(apdu)
    body, sw = answer[:-2], int.from_bytes(answer[-2:], "big")
    while sw >> 8 == 0x61:
        answer = card.transmit(bytes((0, 0xC0, 0, 0, sw & 0xFF)))
        body, sw = body + answer[:-2], int.from_bytes(answer[-2:], "big")
    return body, sw


def command(ins: int, p1: int, p2: int, data: bytes = b"", cla: int = 0) -> bytes:
    return bytes((cla, ins, p1, p2)) + (bytes((len(data),)) + data if data else b"")


def verify(card: Card, mode: int = OTHER, pin: bytes = PIN) -> int:
    return send(card, command(0x20, 0, mode, pin))[1]


def status(card: Card) -> tuple[int, ...]:
    """Tries left of PW1, resetting code, PW3."""
    return tuple(send(card, command(0xCA, 0, 0xC4))[0][4:])


def put(card: Card, tag: int, data: bytes) -> int:
    return send(card, command(0xDA, tag >> 8, tag & 0xFF, data))[1]


def authenticate(card: Card, data: bytes = DIGEST) -> tuple[bytes, int]:
    return send(card, command(0x88, 0, 0, data))


def sign(card: Card, data: bytes = DIGEST) -> tuple[bytes, int]:
    return send(card, command(0x2A, 0x9E, 0x9A, data))


def public(card: Card, crt: int = 0xA4) -> dict[int, bytes]:
    return objects(objects(send(card, command(0x47, 0x81, 0, bytes((crt, 0))))[0])[0x7F49])


# -- passwords


@pytest.mark.parametrize(("counts", "wrong"), [(False, 0x6982), (True, 0x63C2)])
def test_a_wrong_pin_costs_a_try_on_record(tmp_path: Path, counts: bool, wrong: int) -> None:
    card = make(tmp_path, counts=counts)
    assert status(card) == (3, 0, 3)
    assert verify(card, OTHER, b"111111") == wrong
    assert Card(card.file).state.pw1.left == 2
    assert status(card) == (2, 0, 3)
    assert verify(card, OTHER, b"") == 0x63C2  # asked without one
    assert verify(card) == 0x9000
    assert status(card) == (3, 0, 3)
    assert verify(card, OTHER, b"") == 0x9000


def test_a_blocked_pin_takes_the_right_one_no_more(tmp_path: Path) -> None:
    card = make(tmp_path)
    for mode in (SIGN, OTHER, SIGN):  # one PIN, one counter
        assert verify(card, mode, b"111111") == 0x6982
    assert verify(card) == 0x6983
    assert status(card) == (0, 0, 3)


def test_modes_are_verified_and_logged_out_by_themselves(tmp_path: Path) -> None:
    card = make(tmp_path, pairs={"AUT": "p256", "SIG": "p256"})
    assert authenticate(card)[1] == 0x6982
    assert verify(card, SIGN) == 0x9000
    assert authenticate(card)[1] == 0x6982
    assert verify(card) == 0x9000
    assert [authenticate(card)[1] for _ in range(2)] == [0x9000] * 2
    assert send(card, command(0x20, 0xFF, OTHER))[1] == 0x9000
    assert authenticate(card)[1] == 0x6982
    assert sign(card)[1] == 0x9000
    old = make(tmp_path, log_out=False)
    assert send(old, command(0x20, 0xFF, OTHER))[1] == 0x6A86


@pytest.mark.parametrize(("keeps", "after"), [(False, 0x63C3), (True, 0x9000)])
def test_the_application_selected_again(tmp_path: Path, keeps: bool, after: int) -> None:
    card = make(tmp_path, keeps_pin=keeps)
    verify(card)
    send(card, SELECT)
    assert verify(card, OTHER, b"") == after
    card.reset()
    send(card, SELECT)
    assert verify(card, OTHER, b"") == 0x63C3


def test_changing_takes_as_many_bytes_as_the_old_pin_has(tmp_path: Path) -> None:
    card = make(tmp_path)
    assert send(card, command(0x24, 0, SIGN, b"111111" + b"90210467"))[1] == 0x6982
    assert send(card, command(0x24, 0, SIGN, PIN + b"90210"))[1] == 0x6700  # too short
    assert send(card, command(0x24, 0, SIGN, PIN + b"7" + b"654321"))[1] == 0x9000
    assert verify(card, OTHER, b"7654321") == 0x9000
    assert send(card, command(0x24, 0, PW3, ADMIN + b"new admin pin"))[1] == 0x9000
    assert verify(card, PW3, b"new admin pin") == 0x9000


def test_unblocking_by_either_way(tmp_path: Path) -> None:
    card = make(tmp_path)
    card.state.pw1.left = 0
    assert send(card, command(0x2C, 2, SIGN, b"654321"))[1] == 0x6982
    assert send(card, command(0x2C, 0, SIGN, CODE + b"654321"))[1] == 0x6983  # no code is set
    verify(card, PW3, ADMIN)
    assert send(card, command(0x2C, 2, SIGN, b"654321"))[1] == 0x9000
    assert verify(card, OTHER, b"654321") == 0x9000
    assert put(card, 0xD3, CODE) == 0x9000
    assert status(card) == (3, 3, 3)
    card.state.pw1.left = 0
    assert send(card, command(0x2C, 0, SIGN, b"00000000" + b"654321"))[1] == 0x6982
    assert status(card) == (0, 2, 3)
    assert send(card, command(0x2C, 0, SIGN, CODE + PIN))[1] == 0x9000
    assert verify(card) == 0x9000
    assert status(card) == (3, 3, 3)


# -- keys


def test_a_pair_is_made_with_the_admin_pin(tmp_path: Path) -> None:
    card = make(tmp_path, makes="p256")
    generate = command(0x47, 0x80, 0, b"\xa4\0")
    assert send(card, generate)[1] == 0x6982
    assert send(card, command(0x47, 0x81, 0, b"\xa4\0"))[1] == 0x6A88
    verify(card, PW3, ADMIN)
    body, sw = send(card, generate)
    assert sw == 0x9000
    assert objects(objects(body)[0x7F49]) == public(card)
    assert put(card, 0xC3, NAMES["p384"]) == 0x9000  # and the pair is gone
    assert send(card, command(0x47, 0x81, 0, b"\xa4\0"))[1] == 0x6A88
    assert put(card, 0xC3, b"\x13\x2a") == 0x6A80
    assert put(card, 0xC2, NAMES["p256"]) == 0x6A80  # ECDSA deciphers nothing


@pytest.mark.parametrize("algorithm", ["p256", "p384", "ed25519", "rsa2048", "sm2"])
def test_signatures_of_each_algorithm_are_right(tmp_path: Path, algorithm: str) -> None:
    card = make(tmp_path, pairs={"AUT": algorithm, "SIG": algorithm})
    verify(card)
    verify(card, SIGN)
    data = INFO if algorithm == "rsa2048" else DIGEST
    for crt, (signature, sw) in ((0xA4, authenticate(card, data)), (0xB6, sign(card, data))):
        assert sw == 0x9000
        told = public(card, crt)
        assert right(algorithm, told, signature)
        assert not right(algorithm, told, signature[:-1] + bytes((signature[-1] ^ 1,)))


def right(algorithm: str, told: dict[int, bytes], signature: bytes) -> bool:
    if algorithm == "sm2":
        return sm2.verify(told[0x86][1:], DIGEST, signature)
    try:
        if algorithm == "ed25519":
            ed25519.Ed25519PublicKey.from_public_bytes(told[0x86]).verify(signature, DIGEST)
        elif algorithm == "rsa2048":
            e, n = (int.from_bytes(told[tag], "big") for tag in (0x82, 0x81))
            key = rsa.RSAPublicNumbers(e, n).public_key()
            key.verify(signature, DIGEST, padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))
        else:
            curve = ec.SECP256R1() if algorithm == "p256" else ec.SECP384R1()
            point = ec.EllipticCurvePublicKey.from_encoded_point(curve, told[0x86])
            half = len(signature) // 2
            r, s = (int.from_bytes(x, "big") for x in (signature[:half], signature[half:]))
            data = DIGEST if algorithm == "p256" else bytes(16) + DIGEST
            kind = utils.Prehashed(hashes.SHA256() if half == 32 else hashes.SHA384())
            point.verify(utils.encode_dss_signature(r, s), data, ec.ECDSA(kind))
    except InvalidSignature:
        return False
    return True


def test_rsa_signs_two_fifths_of_its_modulus_at_most(tmp_path: Path) -> None:
    card = make(tmp_path, pairs={"AUT": "rsa2048"})
    verify(card)
    assert authenticate(card, bytes(102))[1] == 0x9000
    assert authenticate(card, bytes(103))[1] == 0x6A80


def test_signatures_are_counted_and_want_the_pin_each_time(tmp_path: Path) -> None:
    card = make(tmp_path, pairs={"SIG": "p256"})
    verify(card, SIGN)
    assert [sign(card)[1] for _ in range(2)] == [0x9000, 0x6982]
    verify(card, PW3, ADMIN)
    assert put(card, 0xC4, b"\x01") == 0x9000  # unless told otherwise
    verify(card, SIGN)
    assert [sign(card)[1] for _ in range(2)] == [0x9000] * 2
    counter = objects(objects(send(card, command(0xCA, 0, 0x7A))[0])[0x7A])[0x93]
    assert counter == b"\0\0\x03" == Card(card.file).state.counter.to_bytes(3, "big")


@pytest.mark.parametrize("algorithm", ["p256", "rsa2048", "ed25519"])
def test_a_key_made_elsewhere_is_taken_and_told_apart(tmp_path: Path, algorithm: str) -> None:
    card = make(tmp_path, makes=algorithm)
    if algorithm == "rsa2048":
        numbers = rsa.generate_private_key(65537, 2048).private_numbers()
        parts = {0x91: b"\1\0\1", 0x92: number(numbers.p), 0x93: number(numbers.q)}
    elif algorithm == "p256":
        scalar = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
        parts = {0x92: number(scalar)}
    else:
        parts = {0x92: os.urandom(32)}
    sizes = b"".join(tlv(tag, bytes(len(part)))[: -len(part)] for tag, part in parts.items())
    header = tlv(0xA4, b"") + tlv(0x7F48, sizes) + tlv(0x5F48, b"".join(parts.values()))
    given = tlv(0x4D, header)
    extended = bytes((0, 0xDB, 0x3F, 0xFF, 0)) + len(given).to_bytes(2, "big") + given
    assert send(card, extended)[1] == 0x6982
    verify(card, PW3, ADMIN)
    assert send(card, extended)[1] == 0x9000
    verify(card)
    signature, _ = authenticate(card, INFO if algorithm == "rsa2048" else DIGEST)
    assert right(algorithm, public(card), signature)
    assert application(card)[0xDE] == bytes.fromhex("010002000302")


def number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def test_a_finger_that_does_not_come_costs_the_signature(tmp_path: Path) -> None:
    card = make(tmp_path, pairs={"AUT": "p256"})
    verify(card, PW3, ADMIN)
    assert put(card, 0xD8, b"\x01\x20") == 0x9000
    verify(card)
    card.finger = 0.5
    assert authenticate(card)[1] == 0x9000
    assert card.delay == 0.5
    card.finger = None
    assert authenticate(card)[1] == 0x6600


# -- objects


def application(card: Card) -> dict[int, bytes]:
    """6E, and what is in its 73."""
    outer = objects(objects(send(card, command(0xCA, 0, 0x6E))[0])[0x6E])
    return outer | objects(outer[0x73])


def test_objects_are_read_by_all_and_written_with_the_admin_pin(tmp_path: Path) -> None:
    card = make(tmp_path, serial="0005000012ab")
    assert put(card, 0x5B, b"demo<<user") == 0x6982
    verify(card, PW3, ADMIN)
    assert put(card, 0x5B, b"demo<<user") == 0x9000
    assert put(card, 0xC9, bytes(range(20))) == 0x9000
    assert put(card, 0xD0, b"\1\2\3\4") == 0x9000
    assert put(card, 0xC9, bytes(19)) == 0x6700
    assert put(card, 0x4F, bytes(16)) == 0x6A88
    told = application(card)
    assert told[0x4F] == bytes.fromhex("d2760001240103040005000012ab0000")
    assert told[0xC5] == bytes(40) + bytes(range(20))
    assert told[0xCD] == bytes(8) + b"\1\2\3\4"
    holder = objects(objects(send(card, command(0xCA, 0, 0x65))[0])[0x65])
    assert holder[0x5B] == b"demo<<user"
    inner = make(tmp_path, alone=False)
    assert send(inner, command(0xCA, 0, 0xC3))[1] == 0x6A88
    assert send(inner, command(0xCA, 0, 0xC4))[1] == 0x9000
    assert 0xC3 in application(inner)


def test_private_objects_have_their_own_rights(tmp_path: Path) -> None:
    card = make(tmp_path)
    verify(card)
    assert [put(card, tag, b"x") for tag in (0x0101, 0x0102, 0x0103)] == [0x9000, 0x6982, 0x9000]
    card.reset()
    send(card, SELECT)
    assert send(card, command(0xCA, 1, 1)) == (b"x", 0x9000)
    assert send(card, command(0xCA, 1, 3))[1] == 0x6982


def test_certificates_are_named_by_their_occurrence(tmp_path: Path) -> None:
    card = make(tmp_path)
    verify(card, PW3, ADMIN)
    name = tlv(0x60, tlv(0x5C, b"\x7f\x21"))
    assert send(card, command(0xA5, 2, 4, name))[1] == 0x9000
    assert put(card, 0x7F21, b"of the signature key") == 0x9000
    assert send(card, SELECT)[1] == 0x9000
    assert send(card, command(0xCA, 0x7F, 0x21)) == (b"", 0x9000)
    assert send(card, command(0xCC, 0x7F, 0x21)) == (b"", 0x9000)
    assert send(card, command(0xCC, 0x7F, 0x21)) == (b"of the signature key", 0x9000)


def test_forms_of_commands(tmp_path: Path) -> None:
    """Chained, and of extended length where the card says so."""
    card = make(tmp_path, pairs={"AUT": "rsa2048"})
    assert verify(card) == 0x9000
    assert send(card, command(0x88, 0, 0, INFO[:20], cla=0x10)) == (b"", 0x9000)
    chained, _ = authenticate(card, INFO[20:])
    extended = bytes((0, 0x88, 0, 0, 0, 0, len(INFO))) + INFO + b"\0\0"
    assert card.transmit(extended) == chained + b"\x90\0"
    short = make(tmp_path, extended=False)
    assert short.transmit(extended) == b"\x67\0"
    assert 0x7F66 in application(card)
    assert 0x7F66 not in application(short)


# -- its life


def test_the_state_survives(tmp_path: Path) -> None:
    card = make(tmp_path, pairs={"SIG": "ed25519", "DEC": "p256", "AUT": "sm2"}, reset_code=CODE)
    verify(card, OTHER, b"111111")
    verify(card, PW3, ADMIN)
    put(card, 0x5E, b"demo")
    again = Card(card.file)
    assert again.state.serial == card.state.serial
    assert again.state.objects == card.state.objects
    assert again.state.pw1 == card.state.pw1
    assert again.state.pw1.left == 2
    for slot, each in card.state.slots.items():
        assert again.state.slots[slot].key.public() == each.key.public()
    assert not again.verified


def test_a_card_begins_again_once_all_is_lost(tmp_path: Path) -> None:
    card = make(tmp_path, pairs={"AUT": "p256"})
    assert send(card, command(0xE6, 0, 0))[1] == 0x6982
    for _ in range(3):
        verify(card, PW3, b"00000000")
    assert send(card, command(0xE6, 0, 0))[1] == 0x9000
    assert authenticate(card)[1] == 0x6285
    serial = card.state.serial
    assert send(card, command(0x44, 0, 0))[1] == 0x9000
    assert (card.state.serial, card.state.slots) == (serial, {})
    assert verify(card, OTHER, b"123456") == 0x9000


def test_malformed_commands_get_a_status_word_and_spend_nothing(tmp_path: Path) -> None:
    card = make(tmp_path, pairs={"AUT": "p256", "SIG": "p256"})
    for _ in range(3000):
        apdu = bytes((0, *os.urandom(3))) + os.urandom(os.urandom(1)[0] % 30)
        if apdu[1] in (0x20, 0x24, 0x2C):
            continue
        assert len(card.transmit(apdu)) >= 2
    send(card, SELECT)
    assert status(card) == (3, 0, 3)
    assert set(card.state.slots) == {SIGNATURE, AUTHENTICATION}


def test_challenges_are_random(tmp_path: Path) -> None:
    card = make(tmp_path)
    first, second = (send(card, bytes.fromhex("0084000010"))[0] for _ in range(2))
    assert len(first) == 16
    assert first != second
