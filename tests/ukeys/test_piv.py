# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The driver of PIV cards, on an emulated card of either build: which commands it sends, what it
makes of the answers, and that no authorisation outlives an operation."""

from __future__ import annotations

import gzip
import hashlib
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509

from keyservice.core.errors import (
    BadRequest,
    NoKeyPair,
    PinWrong,
    UkeyError,
    UkeyFailed,
    UkeyRemoved,
)
from keyservice.core.secret import Secret
from keyservice.ukeys.base import Evidence, KeyRef, TryReserve
from keyservice.ukeys.piv.ukey import Piv
from tests.pivcard import keys
from tests.pivcard.apdu import tlv
from tests.pivcard.state import CERTIFICATES, CHUID, certificate_object
from tests.support.makers import maker

from .piv_desk import (
    ALGORITHMS,
    MANAGEMENT,
    PIN,
    REF,
    WRONG,
    Slot,
    insert,
    recognised,
    sign,
)

SELECT, VERIFY, CHANGE, UNBLOCK = 0xA4, 0x20, 0x24, 0x2C
AUTHENTICATE, METADATA, GET_DATA, GENERATE, ATTEST = 0x87, 0xF7, 0xCB, 0x47, 0xF9
LOG_OUT = bytes.fromhex("0020ff80")
BUILDS = pytest.mark.parametrize("vendor", [True, False], ids=["vendor", "plain"])


# -- recognised


def test_a_card_without_the_application_is_left_alone(tmp_path: Path) -> None:
    slot = insert(tmp_path)
    slot.spoil = lambda command, _: b"\x6a\x82"
    assert Piv.recognise(slot) is None
    assert slot.instructions() == [SELECT]


def test_a_vendors_card_is_known_by_its_number(tmp_path: Path) -> None:
    info = recognised(insert(tmp_path, serial="12345678")).info()
    assert (info.kind, info.serial, info.label) == ("piv", "12345678", "PIV")


def test_a_plain_card_is_known_by_its_guid(tmp_path: Path) -> None:
    guid = "00112233445566778899aabbccddeeff"
    assert recognised(insert(tmp_path, vendor=False, serial=guid)).info().serial == guid


def test_a_card_without_number_and_guid_is_known_by_its_key(tmp_path: Path) -> None:
    slot = insert(tmp_path, serial="0")
    assert slot.card.state.number == 0
    slot.card.state.objects[CHUID] = tlv(0x34, bytes(16)) + tlv(0xFE, b"")
    ukey = recognised(slot)
    named = hashlib.sha256(ukey.public_key(REF).encoded).hexdigest()[:32]
    assert ukey.info().serial == recognised(slot).info().serial == named
    slot.card.state.objects.pop(CHUID)
    slot.card.state.slots.clear()
    assert recognised(slot).info().serial == ""


def test_another_card_in_its_place_gets_no_pin(tmp_path: Path) -> None:
    slot = insert(tmp_path, serial="1")
    ukey = recognised(slot)
    slot.card, slot.generation = insert(tmp_path, serial="2").card, 1
    with pytest.raises(UkeyRemoved):
        sign(ukey)
    assert VERIFY not in slot.instructions()


# -- keys and signatures


@BUILDS
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_it_signs_with_each_algorithm(tmp_path: Path, algorithm: str, vendor: bool) -> None:
    """The plain build shows its key by a certificate, the vendor's by metadata."""
    slot = insert(tmp_path, vendor=vendor, pairs={"9A": algorithm})
    assert sign(recognised(slot))
    assert not slot.card.verified


@pytest.mark.parametrize("name", ["9A", "9C", "9D", "82", "95"])
def test_each_slot_is_a_container(tmp_path: Path, name: str) -> None:
    ukey = recognised(insert(tmp_path, pairs={name: "p256"}))
    assert ukey.applications() == ["piv"]
    assert [each.ref.container for each in ukey.containers() if each.has_key] == [name]
    assert len(ukey.containers()) == 24
    assert sign(ukey, ref=KeyRef("piv", name))


def test_other_names_hold_no_pair(tmp_path: Path) -> None:
    ukey = recognised(insert(tmp_path))
    for place in ("piv/9B", "piv/9a", "ukey/9A", "piv/9C"):
        ref = KeyRef(*place.split("/"))
        with pytest.raises(NoKeyPair):
            ukey.public_key(ref)


def test_a_compressed_certificate(tmp_path: Path) -> None:
    slot = insert(tmp_path, vendor=False)
    packed = gzip.compress(slot.card.state.slots[0x9A].key.certificate("demo"))
    content = tlv(0x70, packed) + tlv(0x71, b"\x01") + tlv(0xFE, b"")
    slot.card.state.objects[CERTIFICATES[0x9A]] = content
    assert sign(recognised(slot))
    bomb = tlv(0x70, gzip.compress(bytes(1 << 20))) + tlv(0x71, b"\x01")
    slot.card.state.objects[CERTIFICATES[0x9A]] = bomb
    with pytest.raises(UkeyFailed, match="more than 8192"):
        recognised(slot).public_key(REF)


def test_ed25519_on_a_card_that_signs_32_bytes_only(tmp_path: Path) -> None:
    slot = insert(tmp_path, pairs={"9A": "ed25519"})
    slot.card.first_bytes_only = True
    assert sign(recognised(slot))


def test_sm2_under_a_number_of_the_cards_own(tmp_path: Path) -> None:
    slot = insert(tmp_path, pairs={"9A": "sm2"})
    ukey = recognised(slot)
    slot.card.state.slots[0x9A].algorithm = 0x5A
    assert sign(ukey)
    assert slot.commands[-2][2] == 0x5A


def test_a_key_that_cannot_sign_is_none(tmp_path: Path) -> None:
    slot = insert(tmp_path)
    slot.card.state.slots[0x9A].algorithm = 0xE1
    ukey = recognised(slot)
    assert not ukey.containers()[0].has_key
    with Secret(MANAGEMENT) as key, pytest.raises(BadRequest, match="holds a key pair"):
        ukey.generate(REF, key, TryReserve.LAST)  # nor is it overwritten


# -- a login's commands


def test_the_commands_of_a_login(tmp_path: Path) -> None:
    slot = insert(tmp_path)
    ukey = recognised(slot)
    assert sign(ukey)
    assert slot.instructions() == [
        *(SELECT, METADATA),  # the key, once per insertion
        *(SELECT, METADATA, VERIFY, AUTHENTICATE, VERIFY),
    ]
    assert sign(ukey)
    assert slot.instructions() == [SELECT, SELECT, METADATA, VERIFY, AUTHENTICATE, VERIFY]


def test_the_pin_is_filled_up_with_ff_and_logged_out(tmp_path: Path) -> None:
    slot = insert(tmp_path, vendor=False)
    assert sign(recognised(slot))
    verify = [command for command in slot.commands if command[1] == VERIFY]
    assert verify == [
        bytes.fromhex("00200080"),
        bytes.fromhex("0020008008") + PIN + b"\xff\xff",
        LOG_OUT,
    ]


def test_a_slot_that_wants_the_pin_each_time(tmp_path: Path) -> None:
    ukey = recognised(insert(tmp_path, pairs={"9C": "p256"}))
    ref = KeyRef("piv", "9C")
    assert sign(ukey, ref=ref)
    assert sign(ukey, ref=ref)


@BUILDS
def test_a_pin_that_another_program_has_verified_helps_nobody(tmp_path: Path, vendor: bool) -> None:
    slot = insert(tmp_path, vendor=vendor)
    ukey = recognised(slot)
    assert slot.another_program(VERIFY, 0, 0x80, PIN + b"\xff\xff") == 0x9000
    assert ukey.pin_state(REF).left == 3
    with pytest.raises(PinWrong):
        sign(ukey, WRONG)
    assert not slot.card.verified


def test_a_card_that_cannot_log_out_is_reset(tmp_path: Path) -> None:
    slot = insert(tmp_path)
    ukey = recognised(slot)
    slot.spoil = lambda command, answer: b"\x6a\x86" if command == LOG_OUT else answer
    assert sign(ukey)
    assert (slot.resets, slot.card.verified) == (1, False)
    slot.spoil = lambda command, answer: answer
    assert sign(ukey)  # known again


# -- answers that make no sense


def test_no_length_of_any_answer_is_believed(tmp_path: Path) -> None:
    """Every answer of a login cut off, emptied and lengthened: an error that is foreseen."""
    for algorithm in ("p256", "rsa2048", "sm2", "ed25519"):
        for vendor in (True, False):
            if not vendor and algorithm == "ed25519":
                continue
            slot = insert(tmp_path, pairs={"9A": algorithm}, vendor=vendor)
            for ins in (SELECT, METADATA, GET_DATA, VERIFY, AUTHENTICATE):
                for change in (_shorter, _empty, _longer, _alone, _huge):
                    _spoilt(slot, ins, change)


def _spoilt(slot: Slot, ins: int, change: object) -> None:
    assert callable(change)
    slot.spoil = lambda command, answer: change(answer) if command[1] == ins else answer
    slot.card.state.pin.left = slot.card.state.pin.maximum
    try:
        ukey = Piv.recognise(slot)
        right = ukey is not None and sign(ukey)
    except UkeyError:
        right = True
    finally:
        slot.spoil = lambda command, answer: answer
    assert right or ins == SELECT or change in (_longer, _empty, _huge), (hex(ins), change)


def _shorter(answer: bytes) -> bytes:
    return answer[:-3] + answer[-2:]


def _empty(answer: bytes) -> bytes:
    return answer[-2:]


def _longer(answer: bytes) -> bytes:
    return answer[:-2] + b"\0" + answer[-2:]


def _alone(answer: bytes) -> bytes:
    return answer[:1] + answer[-2:]


def _huge(answer: bytes) -> bytes:
    return bytes(5000) + b"\x90\0"


def test_a_signature_that_is_out_of_form(tmp_path: Path) -> None:
    slot = insert(tmp_path)
    ukey = recognised(slot)
    ukey.public_key(REF)
    numbers = tlv(0x02, b"\0" + b"\xff" * 32) + tlv(0x02, b"\x01")
    for signed in (
        b"",
        tlv(0x30, tlv(0x02, b"\x01")),
        tlv(0x30, tlv(0x02, b"\xff") + tlv(0x02, b"\x01")),
        tlv(0x30, tlv(0x02, b"\x01" + bytes(32)) + tlv(0x02, b"\x01")),
        tlv(0x30, numbers) + b"\0",
        tlv(0x30, numbers + tlv(0x02, b"\x01")),
    ):
        slot.spoil = partial(_signed, tlv(0x7C, tlv(0x82, signed)) + b"\x90\0")
        with pytest.raises(UkeyFailed):
            sign(ukey)


def _signed(answer: bytes, command: bytes, right: bytes) -> bytes:
    return answer if command[1] == AUTHENTICATE else right


def test_a_certificate_of_another_curve_is_no_pair(tmp_path: Path) -> None:
    slot = insert(tmp_path, vendor=False)
    certificate = (
        keys.generate(0x14)
        .certificate("demo")
        .replace(bytes.fromhex("06052b81040022"), bytes.fromhex("06052b81040023"))
    )
    slot.card.state.objects[CERTIFICATES[0x9A]] = certificate_object(certificate)
    assert not recognised(slot).containers()[0].has_key


# -- vouching


def test_what_slot_f9_says_is_handed_on_unread(tmp_path: Path) -> None:
    attester = maker().attester()
    slot = insert(tmp_path, attester=attester)
    ukey = recognised(slot)
    evidence = ukey.attest(REF)
    assert evidence.own == attester[1]
    assert evidence.statement.startswith(b"\x30\x82")
    rest = 0xC0  # GET RESPONSE
    assert slot.instructions() == [SELECT, GET_DATA, rest, ATTEST, rest]
    assert sign(ukey)


def test_an_empty_slot_is_not_vouched_for_but_the_card_shows_its_own_certificate(
    tmp_path: Path,
) -> None:
    attester = maker().attester()
    ukey = recognised(insert(tmp_path, attester=attester, pairs={}))
    assert ukey.attest(REF) == Evidence(attester[1], b"")


@BUILDS
def test_a_card_without_slot_f9_shows_nothing(tmp_path: Path, vendor: bool) -> None:
    slot = insert(tmp_path, vendor=vendor)
    assert recognised(slot).attest(REF) == Evidence()
    assert slot.instructions() == [SELECT, GET_DATA]


def test_an_imported_key_is_not_vouched_for(tmp_path: Path) -> None:
    ukey = recognised(insert(tmp_path, attester=maker().attester(), origin=2))
    assert ukey.attest(REF).statement == b""


def test_a_certificate_that_is_too_long_counts_as_none(tmp_path: Path) -> None:
    long = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(2000))
    slot = insert(tmp_path, attester=maker().attester(more=((long, False),)))
    assert recognised(slot).attest(REF).own == b""
    huge = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(100_000))
    slot.card.state.objects[CERTIFICATES[0xF9]] = certificate_object(
        maker().attester(more=((huge, False),))[1][:60_000]
    )
    with pytest.raises(UkeyFailed):
        recognised(slot).attest(REF)


@pytest.mark.parametrize("answer", [b"\x90\0", b"\x30\x03\x90\0", b"\x31\0\x90\0", b"\x91\0"])
def test_words_that_are_no_certificate_are_nonsense(tmp_path: Path, answer: bytes) -> None:
    slot = insert(tmp_path, attester=maker().attester())
    ukey = recognised(slot)
    slot.spoil = lambda command, right: answer if command[1] == ATTEST else right
    with pytest.raises(UkeyFailed):
        ukey.attest(REF)
