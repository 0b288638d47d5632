# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a ukey shows for its having made a key is believed only if all of it is right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ObjectIdentifier

from keyservice.core.reasons import WHY, Reason, Unfit
from keyservice.crypto import attestation
from keyservice.crypto.key import PublicKey
from tests.pivcard import keys
from tests.pivcard.apdu import tlv
from tests.pivcard.attestation import statement
from tests.pivcard.state import Slot
from tests.support import makers
from tests.support.makers import Attester, Maker, certificate, ec_pair, rsa_pair

NOW = datetime(2026, 12, 1, tzinfo=UTC)
SERIAL = "12345678"
MAKER = makers.maker()
ATTESTER = MAKER.attester()
P256 = keys.generate(keys.Algorithm.P256)
_STRANGE = (x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\0"), True)
ALGORITHMS = {"p256": "p256", "p384": "p384", "rsa2048": "rsa", "ed25519": "ed25519"}


def key_of(key: keys.Key, name: str = "p256") -> PublicKey:
    assert isinstance(key, keys.EcKey | keys.RsaKey | keys.EdKey)
    public = key.private.public_key()
    encoding, form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    return PublicKey(name, public.public_bytes(encoding, form))


def said(
    attester: Attester = ATTESTER,
    key: keys.Key = P256,
    number: int = int(SERIAL),
    policies: bytes = b"\x02\x01",
) -> bytes:
    """What a ukey with this attester says of the key."""
    own = x509.load_der_x509_certificate(attester[1])
    slot = Slot(keys.Algorithm.P256, key, 2)
    by = Slot(keys.Algorithm.P256, attester[0], 1)
    return statement(by, own, slot, 0x9A, number, (5, 7, 1), policies)


def check(
    attester: Attester = ATTESTER,
    maker: Maker = MAKER,
    words: bytes | None = None,
    key: PublicKey | None = None,
    serial: str = SERIAL,
    now: datetime = NOW,
) -> None:
    known = attestation.makers(maker.root)
    own = attestation.own(attester[1], known, now)
    own.check(said(attester) if words is None else words, key or key_of(P256), serial, now)


def refused(why: Reason, **given: Any) -> None:
    with pytest.raises(Unfit) as caught:
        check(**given)
    assert caught.value.facts[WHY] == why


@pytest.mark.parametrize("by", ["p256", "rsa"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_word_of_a_makers_ukey_counts(by: str, algorithm: str) -> None:
    maker = makers.maker(pair=rsa_pair(2048)) if by == "rsa" else MAKER
    attester = maker.attester(rsa_pair(2048)) if by == "rsa" else ATTESTER
    key = keys.generate(keys.NAMES[algorithm])
    check(attester, maker, said(attester, key), key_of(key, ALGORITHMS[algorithm]))


def test_one_maker_of_several_is_enough() -> None:
    """Two of them have one name."""
    others = [attestation.makers(makers.maker(name).root)[0] for name in ("Maker", "Another")]
    known = [*others, *attestation.makers(MAKER.root)]
    attestation.own(ATTESTER[1], known, NOW).check(said(), key_of(P256), SERIAL, NOW)


def test_a_ukey_of_another_maker_is_refused() -> None:
    refused(Reason.ATTEST_STRANGER, maker=makers.maker("Another"))
    refused(Reason.ATTEST_STRANGER, maker=makers.maker())  # of the same name


def test_a_certificate_that_names_another_issuer_is_refused() -> None:
    """Though the maker's pair has signed it."""
    pair = ec_pair()
    own = certificate(pair, "Own", MAKER.pair, "Another", path=0)
    refused(Reason.ATTEST_STRANGER, attester=(keys.EcKey(pair, keys.Algorithm.P256), own))


@pytest.mark.parametrize(
    ("lies", "why"),
    [
        ({"until": datetime(2020, 1, 1)}, Reason.ATTEST_DATES),
        ({"pair": rsa_pair(1024)}, Reason.ATTEST_WEAK),
    ],
)
def test_a_ukeys_own_certificate_is_judged_before_it_says_anything(
    lies: dict[str, Any], why: Reason
) -> None:
    """As before a pair is made on it."""
    with pytest.raises(Unfit) as caught:
        attestation.own(MAKER.attester(**lies)[1], attestation.makers(MAKER.root), NOW)
    assert caught.value.facts[WHY] == why


def test_without_a_maker_nobody_vouches() -> None:
    with pytest.raises(Unfit) as caught:
        attestation.own(ATTESTER[1], [], NOW)
    assert caught.value.facts[WHY] == Reason.ATTEST_STRANGER


@pytest.mark.parametrize(
    "lies",
    [{"ca": False}, {"ca": None}, {"usage": False}],
    ids=["no CA", "nothing said", "its key signs no certificates"],
)
def test_an_own_certificate_that_may_not_sign_is_refused(lies: dict[str, Any]) -> None:
    refused(Reason.ATTEST_CA, attester=MAKER.attester(**lies))


def test_a_leaf_does_not_sign_a_leaf() -> None:
    """The certificate of a slot, which the maker's ukey has signed, in the place of its own."""
    forger = keys.generate(keys.Algorithm.P256)
    leaf = (forger, said(ATTESTER, forger))
    refused(Reason.ATTEST_STRANGER, attester=leaf)
    maker = certificate(ec_pair(), "Maker", MAKER.pair, "Maker", ca=True, path=0)
    with pytest.raises(Unfit, match="its path is too short"):
        attestation.makers(maker)


def test_an_own_certificate_that_somebody_made_themselves_is_refused() -> None:
    forger = makers.maker()
    refused(Reason.ATTEST_STRANGER, attester=forger.attester())
    pair = ec_pair()
    alone = certificate(pair, "Own", pair, "Own", path=0)
    refused(Reason.ATTEST_STRANGER, attester=(keys.EcKey(pair, keys.Algorithm.P256), alone))


def test_words_that_another_ukey_has_signed_are_refused() -> None:
    other = MAKER.attester()  # of the same maker, and name
    refused(Reason.ATTEST_SIGNATURE, words=said(other))
    key, _ = ATTESTER  # the pair is the same, the name another one
    renamed = certificate(ec_pair(), "Other", MAKER.pair, "Maker", path=0)
    refused(Reason.ATTEST_SIGNATURE, words=said((key, renamed)))


def test_words_of_another_key_are_refused() -> None:
    other = keys.generate(keys.Algorithm.P256)
    refused(Reason.ATTEST_KEY, words=said(key=other))
    refused(Reason.ATTEST_KEY, key=key_of(keys.generate(keys.Algorithm.P384), "p384"))


def test_words_of_another_ukeys_key_are_refused() -> None:
    with pytest.raises(Unfit, match="ukey 87654321's"):
        check(words=said(number=87654321))


@pytest.mark.parametrize("number", [1, 127, 128, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_serials_of_all_lengths_are_compared(number: int) -> None:
    check(words=said(number=number), serial=str(number))
    refused(Reason.ATTEST_SERIAL, words=said(number=number), serial=str(number + 1))


def test_a_serial_counts_only_where_both_have_one() -> None:
    check(words=said(number=0))  # old firmware says none
    check(serial="00112233445566778899aabbccddeeff")


def test_a_key_that_signs_without_a_pin_is_refused() -> None:
    refused(Reason.ATTEST_PIN, words=said(policies=b"\x01\x01"))
    refused(Reason.ATTEST_PIN, words=said(policies=b"\x00\x01"))
    refused(Reason.ATTEST_POLICY, words=said(policies=b"\x02"))
    refused(Reason.ATTEST_POLICY, words=said(policies=b"\x02\x01\x01"))
    check(words=said(policies=b"\x03\x02"))


def test_what_a_maker_signs_for_other_ends_is_no_word_of_a_key() -> None:
    """A chain that is right, down to the key: a certificate for a person, for instance."""
    pair = ATTESTER[0]
    assert isinstance(pair, keys.EcKey) and isinstance(P256, keys.EcKey)
    persons = certificate(P256.private, "alice", pair.private, "Own", ca=None)
    refused(Reason.ATTEST_POLICY, words=persons)


EARLY, LATE = datetime(2016, 1, 1), datetime(2026, 11, 30)


@pytest.mark.parametrize(
    ("since", "until"), [(EARLY, LATE), (datetime(2026, 12, 2), datetime(2052, 1, 1))]
)
def test_certificates_count_from_their_first_day_to_their_last(
    since: datetime, until: datetime
) -> None:
    refused(Reason.ATTEST_DATES, attester=MAKER.attester(since=since, until=until))
    old = makers.maker(since=since, until=until)
    refused(Reason.ATTEST_DATES, maker=old, attester=old.attester())
    (known,) = attestation.makers(old.root)
    assert attestation.expired(known, NOW)
    own = x509.load_der_x509_certificate(ATTESTER[1])
    later = makers.maker().attester(since=since, until=until)
    dates = x509.load_der_x509_certificate(later[1])
    words = statement_with_dates(own, dates)
    refused(Reason.ATTEST_DATES, words=words)


def statement_with_dates(own: x509.Certificate, dates: x509.Certificate) -> bytes:
    """Signed as it should be, with the dates of another certificate."""

    class Mixed:
        subject = own.subject
        not_valid_before, not_valid_after = dates.not_valid_before, dates.not_valid_after

    slot = Slot(keys.Algorithm.P256, P256, 2)
    attester = Slot(keys.Algorithm.P256, ATTESTER[0], 1)
    mixed: Any = Mixed()
    return statement(attester, mixed, slot, 0x9A, int(SERIAL), (5, 7, 1))


def test_dates_without_an_end_are_right() -> None:
    """RFC 5280, 4.1.2.5: 99991231235959Z; newer ukeys have it."""
    attester = MAKER.attester(until=datetime(9999, 12, 31, 23, 59, 59))
    check(attester)
    check(attester, now=NOW + timedelta(days=7000))


def test_weak_keys_and_digests_are_refused() -> None:
    refused(Reason.ATTEST_WEAK, attester=MAKER.attester(rsa_pair(1024)))
    refused(Reason.ATTEST_WEAK, attester=MAKER.attester(ec.generate_private_key(ec.SECP192R1())))
    refused(Reason.ATTEST_WEAK, attester=MAKER.attester(digest=hashes.SHA1()))
    with pytest.raises(Unfit, match="too weak"):
        attestation.makers(makers.maker(pair=rsa_pair(1024)).root)


def test_critical_extensions_that_nobody_knows_are_refused() -> None:
    refused(Reason.ATTEST_NONSENSE, attester=MAKER.attester(more=(_STRANGE,)))
    with pytest.raises(Unfit, match="makes no sense"):
        attestation.makers(makers.maker(more=(_STRANGE,)).root)


@pytest.mark.parametrize(
    "noise",
    [b"", b"0", b"\x30\x80", b"\x30\x03\x02\x01\x01", bytes(1500), b"\x30\x82\x7f\xff" * 300],
)
def test_garbage_is_refused(noise: bytes) -> None:
    refused(Reason.ATTEST_NONSENSE, words=noise)
    with pytest.raises(Unfit) as caught:
        attestation.own(noise, attestation.makers(MAKER.root), NOW)
    assert caught.value.facts[WHY] == Reason.ATTEST_NONSENSE


@pytest.mark.parametrize("bit", [0x10, 0x80])
def test_each_spoilt_byte_is_refused(bit: int) -> None:
    """Of both certificates; what is not signed, or not read, is not there. The parser has errors of
    many kinds for it, which all are one reason here."""
    known = attestation.makers(MAKER.root)
    right = said()
    own = attestation.own(ATTESTER[1], known, NOW)
    for at in range(len(right)):
        spoilt = right[:at] + bytes((right[at] ^ bit,)) + right[at + 1 :]
        with pytest.raises(Unfit):
            own.check(spoilt, key_of(P256), SERIAL, NOW)
    for at in range(len(ATTESTER[1])):
        spoilt = ATTESTER[1][:at] + bytes((ATTESTER[1][at] ^ bit,)) + ATTESTER[1][at + 1 :]
        with pytest.raises(Unfit):
            attestation.own(spoilt, known, NOW)


def test_a_certificate_that_is_too_long_is_not_parsed() -> None:
    long = (x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), bytes(100_000)), False)
    refused(Reason.ATTEST_NONSENSE, attester=MAKER.attester(more=(long,)))


def test_a_key_of_sm2_cannot_be_vouched_for() -> None:
    """The package does not read such a key; the certificate is right else."""
    (p256, sm2) = bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a811ccf5501822d")
    signed = x509.load_der_x509_certificate(said()).tbs_certificate_bytes
    assert signed.count(p256) == 1
    signed = signed.replace(p256, sm2)
    assert isinstance(ATTESTER[0], keys.EcKey)
    signature = ATTESTER[0].private.sign(signed, ec.ECDSA(hashes.SHA256()))
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    words = tlv(0x30, signed + algorithm + tlv(0x03, b"\0" + signature))
    refused(Reason.ATTEST_ALGORITHM, words=words, key=PublicKey("sm2", bytes(64)))


# -- the makers' files


def test_a_file_may_hold_several_and_words_beside_them() -> None:
    pems = b""
    for name in ("One", "Two"):
        root = x509.load_der_x509_certificate(makers.maker(name).root)
        pems += name.encode() + b"\r\n" + root.public_bytes(Encoding.PEM) + b"\n"
    assert len(attestation.makers(pems)) == 2
    assert len(attestation.makers(pems.replace(b"\n", b"\r\n"))) == 2
    assert len(attestation.makers(MAKER.root)) == 1


@pytest.mark.parametrize("content", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nMIIB\n"])
def test_a_file_without_a_certificate_is_told(content: bytes) -> None:
    with pytest.raises(Unfit, match="holds no certificate"):
        attestation.makers(content)


def test_one_bad_certificate_in_a_file_spoils_it() -> None:
    root = x509.load_der_x509_certificate(MAKER.root).public_bytes(Encoding.PEM)
    leaf = x509.load_der_x509_certificate(ATTESTER[1]).public_bytes(Encoding.PEM)
    with pytest.raises(Unfit, match="may not sign a ukey's own"):
        attestation.makers(root + leaf)


def test_rsa_of_the_size_that_cards_have_is_taken() -> None:
    assert isinstance(rsa_pair(2048), rsa.RSAPrivateKey)
    maker = makers.maker(pair=rsa_pair(2048))
    check(maker.attester(rsa_pair(2048)), maker)
