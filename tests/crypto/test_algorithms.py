# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The duties of every algorithm, tested on each; the openssl command signs, as an outside judge."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keyservice.contract.names import SIGNATURE_MAX
from keyservice.core.errors import UkeyFailed
from keyservice.crypto import algorithms
from keyservice.crypto import rsa as rsa_keys
from keyservice.crypto.key import PublicKey
from tests.support.process import must

MESSAGE = b"ukey-login-v1\0" + bytes(range(200))
#: -algorithm and its options for ``openssl genpkey``; the options of ``pkeyutl``; the bytes of a
#: coordinate if the signature is a pair of numbers.
MADE: dict[str, tuple[list[str], list[str], int]] = {
    "sm2": (["SM2"], [], 32),
    "p256": (["EC", "-pkeyopt", "ec_paramgen_curve:P-256"], [], 32),
    "p384": (["EC", "-pkeyopt", "ec_paramgen_curve:P-384"], [], 48),
    "rsa": (["RSA", "-pkeyopt", "rsa_keygen_bits:2048"], ["-pkeyopt", "rsa_padding_mode:pkcs1"], 0),
    "ed25519": (["ED25519"], ["-rawin"], 0),
}


@dataclass(frozen=True)
class Pair:
    """A key pair that openssl holds."""

    key: PublicKey
    file: Path
    coordinate: int
    options: tuple[str, ...]

    def sign(self, data: bytes) -> bytes:
        """Sign `data` as a ukey would: no digest is made of it here."""
        source = self.file.with_suffix(".data")
        source.write_bytes(data)
        words = ["openssl", "pkeyutl", "-sign", "-inkey", str(self.file), "-in", str(source)]
        signature = subprocess.run(
            [*words, *self.options], check=True, capture_output=True, timeout=20
        ).stdout
        if not self.coordinate:
            return signature
        halves = decode_dss_signature(signature)
        return b"".join(half.to_bytes(self.coordinate, "big") for half in halves)


def spki(public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> bytes:
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module", params=sorted(algorithms.ALGORITHMS))
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    name = str(request.param)
    algorithm, options, coordinate = MADE[name]
    folder = tmp_path_factory.mktemp(name)
    file, public = folder / "key.pem", folder / "public.der"
    must(["openssl", "genpkey", "-algorithm", *algorithm, "-out", str(file)])
    must(["openssl", "pkey", "-in", str(file), "-pubout", "-outform", "DER", "-out", str(public)])
    encoded = public.read_bytes()
    if name == "sm2":
        encoded = encoded[-64:]
    return Pair(PublicKey(name, encoded), file, coordinate, tuple(options))


@pytest.fixture(scope="module")
def signature(pair: Pair) -> bytes:
    return pair.sign(algorithms.to_sign(pair.key, MESSAGE))


def test_a_key_of_openssl_is_one(pair: Pair) -> None:
    algorithms.check(pair.key)
    assert algorithms.has_form(pair.key)
    assert algorithms.FINGERPRINT.fullmatch(algorithms.fingerprint(pair.key))


def test_a_signature_of_openssl_verifies(pair: Pair, signature: bytes) -> None:
    assert algorithms.verify(pair.key, MESSAGE, signature) is True
    assert algorithms.verify(pair.key, MESSAGE + b"\0", signature) is False
    assert algorithms.verify(pair.key, b"", signature) is False


def test_the_longest_signature_fits_into_a_question_on_the_bus(signature: bytes) -> None:
    assert max(len(signature), rsa_keys.BITS_MAX // 8) <= SIGNATURE_MAX


def test_a_spoilt_signature_does_not(pair: Pair, signature: bytes) -> None:
    for at in (0, len(signature) // 2 - 1, len(signature) // 2, len(signature) - 1):
        spoilt = bytearray(signature)
        spoilt[at] ^= 1
        assert algorithms.verify(pair.key, MESSAGE, bytes(spoilt)) is False, at
    for length in (0, 1, len(signature) - 1):
        assert algorithms.verify(pair.key, MESSAGE, signature[:length]) is False
    assert algorithms.verify(pair.key, MESSAGE, signature + b"\0") is False
    assert algorithms.verify(pair.key, MESSAGE, b"\0" + signature) is False
    assert algorithms.verify(pair.key, MESSAGE, bytes(len(signature))) is False
    assert algorithms.verify(pair.key, MESSAGE, b"\xff" * len(signature)) is False


def test_a_key_has_one_encoding(pair: Pair, signature: bytes) -> None:
    """Another spelling of a revoked key would have a fingerprint that nobody has revoked."""
    key = pair.key.encoded
    for wrong in (key + b"\0", key[:-1], b"", b"\x30", key + key, b"\x30\x80" + key[2:] + b"\0\0"):
        other = PublicKey(pair.key.algorithm, wrong)
        with pytest.raises(UkeyFailed):
            algorithms.check(other)
        assert algorithms.verify(other, MESSAGE, signature) is False
    for wrong in (key + b"\0", key[:-1], b"", b"\x30"):
        assert not algorithms.has_form(PublicKey(pair.key.algorithm, wrong))


def test_a_compressed_point_is_another_encoding() -> None:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    plain = spki(public)
    head = bytearray(plain[: -65 - 3])
    head[1] -= 32
    compressed = bytes(head) + b"\x03\x22\x00" + point
    with pytest.raises(UkeyFailed):
        algorithms.check(PublicKey("p256", compressed))


def test_a_key_is_of_its_algorithm_alone(pair: Pair, signature: bytes) -> None:
    for name in algorithms.ALGORITHMS:
        if name == pair.key.algorithm:
            continue
        other = PublicKey(name, pair.key.encoded)
        with pytest.raises(UkeyFailed):
            algorithms.check(other)
        assert algorithms.verify(other, MESSAGE, signature) is False


def test_what_is_too_long_is_no_key(pair: Pair) -> None:
    long = PublicKey(pair.key.algorithm, bytes(algorithms.ENCODED_MAX + 1))
    with pytest.raises(UkeyFailed):
        algorithms.check(long)
    assert not algorithms.has_form(long)


@pytest.mark.parametrize(
    "ask",
    [
        algorithms.check,
        algorithms.fingerprint,
        algorithms.has_form,
        lambda key: algorithms.to_sign(key, MESSAGE),
        lambda key: algorithms.verify(key, MESSAGE, bytes(64)),
    ],
)
def test_an_unknown_algorithm_is_an_error(ask: Callable[[PublicKey], object]) -> None:
    with pytest.raises(UkeyFailed, match="unknown algorithm"):
        ask(PublicKey("dsa", bytes(64)))


@pytest.mark.parametrize(("bits", "exponent"), [(1024, 65537), (2048, 3)])
def test_weak_rsa_is_refused(bits: int, exponent: int) -> None:
    key = rsa.generate_private_key(exponent, bits).public_key()
    with pytest.raises(UkeyFailed, match="An RSA key"):
        algorithms.check(PublicKey("rsa", spki(key)))


def test_ed25519_keys_of_small_order_are_refused() -> None:
    """With such a key, R = S·B verifies for any message, and anybody can make it."""
    head = ed25519.Ed25519PrivateKey.generate().public_key()
    prefix = head.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)[:-32]
    forged = bytes.fromhex("01" + 31 * "00") + bytes(32)  # R the neutral element, S = 0
    for y in small_order():
        for sign in (0, 1):
            raw = bytearray(y.to_bytes(32, "little"))
            raw[31] |= sign << 7
            key = PublicKey("ed25519", prefix + bytes(raw))
            with pytest.raises(UkeyFailed):
                algorithms.check(key)
            assert algorithms.verify(key, MESSAGE, forged) is False


def small_order() -> set[int]:
    """The y of all points P with 8·P = O, from the curve's equation: double until O appears."""
    p = 2**255 - 19
    d = -121665 * pow(121666, -1, p) % p
    root = pow(2, (p - 1) // 4, p)  # of -1

    def x_of(y: int) -> int | None:
        square = (y * y - 1) * pow(d * y * y + 1, -1, p) % p
        x = pow(square, (p + 3) // 8, p)
        x = x if x * x % p == square else x * root % p
        return x if x * x % p == square else None

    def doubled(y: int) -> int:
        x = x_of(y)
        assert x is not None
        return (y * y + x * x) * pow(1 - d * x * x * y * y, -1, p) % p

    # order 8: doubling gives y = 0, so y² = -x², with x² = (y² - 1) / (d·y² + 1)
    found = {0, 1, p - 1}
    # d·y⁴ + 2·y² - 1 = 0
    for sign in (1, -1):
        disc = pow(1 + d, (p + 3) // 8, p)
        disc = disc if disc * disc % p == (1 + d) % p else disc * root % p
        if disc * disc % p != (1 + d) % p:
            continue
        square = (-1 + sign * disc) * pow(d, -1, p) % p
        y = pow(square, (p + 3) // 8, p)
        y = y if y * y % p == square else y * root % p
        if y * y % p == square and x_of(y) is not None:
            found |= {y, p - y}
    assert all(doubled(doubled(doubled(y))) == 1 for y in found)
    assert len(found) == 5
    return found
