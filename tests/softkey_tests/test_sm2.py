# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The ukey's SM2 against the standard's vectors and the openssl command."""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path

import pytest

from tests.softkey import sm2
from tests.softkey.sm2 import KeyPair, Sm2Error

#: GB/T 32918.5, annex A: e = SM3(ZA ‖ "message digest")
POINT_1 = bytes.fromhex(
    "09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
    "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
)
D_1 = bytes.fromhex("3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8")
E_1 = bytes.fromhex("F0B43E94BA45ACCAACE692ED534382EB17E6AB5A19CE7B31F4486FDFC0D28640")
SIGNATURE_1 = bytes.fromhex(
    "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3"
    "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA"
)
#: OpenSSL's evppkey_sm2
POINT_2 = bytes.fromhex(
    "393a2ad9e27e43acaaab85a19d3b85591e14406157175addd37bf77ff0caf9ed"
    "37fcf3a8b4f55c038523261fca6636afe6a7afa2a1482a606f5cb3a18b2e2a1e"
)
VECTORS_2 = [
    (
        "D7AD397F6FFA5D4F7F11E7217F241607DC30618C236D2C09C1B9EA8FDADEE2E8",
        "AB1DB64DE7C40EDBDE6651C9B8EBDB804673DB836E5D5C7FE15DCF9ED2725037"
        "EBA714451FF69B0BB930B379E192E7CD5FA6E3C41C7FBD8303B799AB54A54621",
    ),
    (
        "B1139602C6ECC9E15E2F3F9C635A1AFE737058BC15387479C1EA0D0B3D90E9E5",
        "E6E0414EBD3A656C35602AF14AB20287DBF30D57AF75C49A188ED4B42391F224"
        "2F54F277C606F4605E1CE9514947FFDDF94C67A539804A4ED17F852288BDBE2E",
    ),
]
_SEC1 = "30770201010420{d}a00a06082a811ccf5501822da14403420004{point}"


def test_the_standards_vectors_verify() -> None:
    assert sm2.verify(POINT_1, E_1, SIGNATURE_1)
    for digest, signature in VECTORS_2:
        assert sm2.verify(POINT_2, bytes.fromhex(digest), bytes.fromhex(signature))


def test_any_flipped_bit_fails() -> None:
    for bit in range(0, 512, 7):
        flipped = (int.from_bytes(SIGNATURE_1, "big") ^ 1 << bit).to_bytes(64, "big")
        assert not sm2.verify(POINT_1, E_1, flipped)
    assert not sm2.verify(POINT_1, E_1[:-1] + b"\x41", SIGNATURE_1)


def test_a_point_off_the_curve_is_refused() -> None:
    with pytest.raises(Sm2Error, match="curve"):
        sm2.verify(POINT_1[:-1] + b"\x14", E_1, SIGNATURE_1)


def test_a_key_of_the_standard_has_its_point_and_signs(tmp_path: Path) -> None:
    der = bytes.fromhex(_SEC1.format(d=D_1.hex(), point=POINT_1.hex()))
    (tmp_path / "key.der").write_bytes(der)
    pem = openssl(tmp_path, "pkey", "-inform", "DER", "-in", "key.der")
    key = KeyPair.from_pem(pem)
    assert key.point == POINT_1
    assert sm2.verify(POINT_1, E_1, key.sign(E_1))


def test_the_openssl_command_accepts_what_the_ukey_signs(tmp_path: Path) -> None:
    for _ in range(20):
        key, digest = KeyPair.generate(), secrets.token_bytes(32)
        (tmp_path / "key.pem").write_bytes(key.pem())
        (tmp_path / "e").write_bytes(digest)
        (tmp_path / "sig").write_bytes(sm2.der_signature(key.sign(digest)))
        verify = ("pkeyutl", "-verify", "-inkey", "key.pem", "-in", "e", "-sigfile", "sig")
        assert b"Verified Successfully" in openssl(tmp_path, *verify)


def test_the_ukey_accepts_what_the_openssl_command_signs(tmp_path: Path) -> None:
    key, digest = KeyPair.generate(), secrets.token_bytes(32)
    (tmp_path / "key.pem").write_bytes(key.pem())
    (tmp_path / "e").write_bytes(digest)
    signed = openssl(tmp_path, "pkeyutl", "-sign", "-inkey", "key.pem", "-in", "e")
    assert sm2.verify(key.point, digest, sm2.raw_signature(signed))


def test_signatures_keep_leading_zeros() -> None:
    key = KeyPair.generate()
    for number in range(600):  # a leading zero byte comes once in 128
        digest = number.to_bytes(32, "big")
        signature = key.sign(digest)
        assert sm2.raw_signature(sm2.der_signature(signature)) == signature
        if 0 in (signature[0], signature[32]):
            assert sm2.verify(key.point, digest, signature)


def test_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    pem = openssl(tmp_path, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    with pytest.raises(Sm2Error, match="not an SM2 key"):
        KeyPair.from_pem(pem)
    with pytest.raises(Sm2Error, match="not a private key"):
        KeyPair.from_pem(b"no key")


def test_lengths_are_checked() -> None:
    key = KeyPair.generate()
    with pytest.raises(Sm2Error):
        key.sign(bytes(31))
    for point, digest, signature in ((63, 32, 64), (64, 33, 64), (64, 32, 65)):
        with pytest.raises(Sm2Error):
            sm2.verify(bytes(point), bytes(digest), bytes(signature))


def test_a_key_shows_nothing_private() -> None:
    key = KeyPair.generate()
    assert repr(key) == f"<SM2 key pair {key.point[:4].hex()}…>"


def openssl(directory: Path, *arguments: str) -> bytes:
    done = subprocess.run(
        ["openssl", *arguments], cwd=directory, capture_output=True, timeout=20, check=True
    )
    return done.stdout
