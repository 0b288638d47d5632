# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Both SM2 engines against the standard, against each other and against the openssl command."""

from __future__ import annotations

import ctypes
import secrets
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keyservice.core.errors import ConfigurationError, UkeyFailed
from keyservice.crypto import library, openssl, sm2
from keyservice.crypto.engine import EngineUnavailable
from keyservice.crypto.gmssl_engine import Gmssl
from tests.crypto import sm2_reference as reference

MESSAGE_1 = b"message digest"
D_1 = 0x3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8
K_1 = 0x59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21
POINT_1 = bytes.fromhex(
    "09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
    "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
)
E_1 = bytes.fromhex("F0B43E94BA45ACCAACE692ED534382EB17E6AB5A19CE7B31F4486FDFC0D28640")
SIGNATURE_1 = bytes.fromhex(
    "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3"
    "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA"
)
VECTOR_2_POINT = bytes.fromhex(
    "393a2ad9e27e43acaaab85a19d3b85591e14406157175addd37bf77ff0caf9ed"
    "37fcf3a8b4f55c038523261fca6636afe6a7afa2a1482a606f5cb3a18b2e2a1e"
)
VECTOR_2 = [
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

Signed = tuple[bytes, bytes, bytes]  # point, message, signature


@pytest.fixture(params=["openssl", "gmssl"], scope="module")
def engine(request: pytest.FixtureRequest) -> sm2.Engine:
    return sm2.engine(request.param)


@pytest.fixture(scope="module")
def signed() -> Signed:
    d, point = reference.key_pair()
    message = secrets.token_bytes(100)
    return point, message, reference.sign(d, reference.digest(point, message))


def test_vector_1_is_made_and_verified(engine: sm2.Engine) -> None:
    assert sm2.digest(POINT_1, MESSAGE_1) == E_1
    assert reference.public_key(D_1) == POINT_1
    assert reference.sign(D_1, E_1, K_1) == SIGNATURE_1
    assert engine.verify(POINT_1, MESSAGE_1, SIGNATURE_1)


@pytest.mark.parametrize(("e", "signature"), VECTOR_2)
def test_vector_2_verifies(engine: sm2.Engine, e: str, signature: str) -> None:
    assert engine.verify_digest(VECTOR_2_POINT, bytes.fromhex(e), bytes.fromhex(signature))
    other = VECTOR_2[0][0] if e != VECTOR_2[0][0] else VECTOR_2[1][0]
    assert not engine.verify_digest(VECTOR_2_POINT, bytes.fromhex(other), bytes.fromhex(signature))


def test_another_distinguishing_id_is_another_signature(engine: sm2.Engine) -> None:
    d, point = reference.key_pair()
    signature = reference.sign(d, reference.digest(point, b"m", b"ALICE"))
    assert engine.verify(point, b"m", signature, distid=b"ALICE")
    assert not engine.verify(point, b"m", signature)


@pytest.mark.parametrize("part", range(3))
def test_one_flipped_bit_is_refused(engine: sm2.Engine, signed: Signed, part: int) -> None:
    for _ in range(20):
        parts = [bytearray(value) for value in signed]
        parts[part][secrets.randbelow(len(parts[part]))] ^= 1 << secrets.randbelow(8)
        point, message, signature = (bytes(value) for value in parts)
        assert engine.verify(point, message, signature) is False


N, P = reference.N, reference.P


@pytest.mark.parametrize(
    ("r", "s"),
    [
        *((0, None), (N, None), (2**256 - 1, None)),
        *((None, 0), (None, N), (None, 2**256 - 1)),
        *((1, N - 1), (N - 1, 1), (0, 0)),
    ],
)
def test_r_and_s_out_of_range_are_refused(
    engine: sm2.Engine, signed: Signed, r: int | None, s: int | None
) -> None:
    point, message, signature = signed
    first = signature[:32] if r is None else r.to_bytes(32, "big")
    second = signature[32:] if s is None else s.to_bytes(32, "big")
    assert engine.verify(point, message, first + second) is False


def test_r_plus_n_and_s_plus_n_are_not_other_spellings(engine: sm2.Engine) -> None:
    d, point = reference.key_pair()
    e = secrets.token_bytes(32)
    signature = reference.sign(d, e)
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    assert engine.verify_digest(point, e, signature)
    for other_r, other_s in ((r + N, s), (r, s + N)):
        if max(other_r, other_s) < 2**256:
            spelling = other_r.to_bytes(32, "big") + other_s.to_bytes(32, "big")
            assert engine.verify_digest(point, e, spelling) is False


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: b"",
        lambda s: s[:-1],
        lambda s: s + b"\0",
        lambda s: s + b"junk",
        lambda s: s[1:],
        lambda s: b"\0" + s,
        lambda s: s * 2,
        reference.der,
        lambda s: s.hex().encode(),
    ],
)
def test_a_signature_has_64_bytes_and_nothing_behind(
    engine: sm2.Engine, signed: Signed, spoil: Callable[[bytes], bytes]
) -> None:
    point, message, signature = signed
    assert engine.verify(point, message, spoil(signature)) is False


def test_a_digest_has_32_bytes(engine: sm2.Engine) -> None:
    d, point = reference.key_pair()
    e = b"\0" + secrets.token_bytes(31)
    signature = reference.sign(d, e)
    assert engine.verify_digest(point, e, signature)
    for wrong in (e[1:], b"\0" + e, b""):
        assert engine.verify_digest(point, wrong, signature) is False


def _off_curve(point: bytes) -> list[bytes]:
    x, y = int.from_bytes(point[:32], "big"), int.from_bytes(point[32:], "big")
    numbers = [(x, y ^ 1), (x ^ 1, y), (0, 0), (x, 0), (P, y), (2**256 - 1, y), (y, x)]
    return [a.to_bytes(32, "big") + b.to_bytes(32, "big") for a, b in numbers]


def test_a_point_off_the_curve_is_refused(engine: sm2.Engine, signed: Signed) -> None:
    point, message, signature = signed
    sm2.check_point(point)
    for wrong in [*_off_curve(point), point[:63], point + b"\0", b"\x04" + point, b""]:
        with pytest.raises(UkeyFailed):
            sm2.check_point(wrong)
        assert engine.verify(wrong, message, signature) is False
        assert engine.verify_digest(wrong, bytes(32), signature) is False


def test_an_x_that_is_not_reduced_is_not_another_spelling() -> None:
    # the lowest X of the curve's points has a second spelling X + p below 2^256
    x = next(x for x in range(1, 100) if pow(_rhs(x), (P - 1) // 2, P) == 1)
    y = pow(_rhs(x), (P + 1) // 4, P)
    sm2.check_point(x.to_bytes(32, "big") + y.to_bytes(32, "big"))
    with pytest.raises(UkeyFailed):
        sm2.check_point((x + P).to_bytes(32, "big") + y.to_bytes(32, "big"))


def _rhs(x: int) -> int:
    return (x**3 - 3 * x + reference.B) % P


def test_an_x_with_leading_04_is_taken_as_it_is(engine: sm2.Engine) -> None:
    found = 0
    while found < 2:  # one key in 256; gmssl's constructor would strip it
        d, point = reference.key_pair()
        if point[0] == 0x04:
            found += 1
            signature = reference.sign(d, reference.digest(point, b"m"))
            assert engine.verify(point, b"m", signature)
            assert not engine.verify(point, b"n", signature)


def test_a_sum_at_infinity_is_refused(engine: sm2.Engine) -> None:
    # s·G + t·P at infinity: t = -s/d, r = t - s; no signer makes it, but anybody who knows d can
    d, point = reference.key_pair()
    s = 1 + secrets.randbelow(N - 1)
    t = -s * pow(d, -1, N) % N
    r = (t - s) % N
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    for e in (r, (r - 1) % N, 0):
        assert engine.verify_digest(point, e.to_bytes(32, "big"), signature) is False


def test_engines_are_chosen_by_name() -> None:
    assert sm2.engine().name == "openssl"
    assert sm2.engine("gmssl").name == "gmssl"
    assert sm2.survey() == {"openssl": "", "gmssl": ""}
    with pytest.raises(ConfigurationError, match="auto, openssl or gmssl"):
        sm2.engine("libressl")


def test_without_libcrypto_auto_falls_back_and_openssl_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(library, "LIBRARY", "libcrypto.so.0")
    assert sm2.engine("auto").name == "gmssl"
    with pytest.raises(ConfigurationError, match=r"openssl: .*libcrypto\.so\.0"):
        sm2.engine("openssl")


@pytest.mark.parametrize(("answer", "reason"), [(True, "accepts"), (False, "rejects"), (1, "rej")])
def test_an_engine_that_errs_does_not_start(answer: object, reason: str) -> None:
    class Liar:
        name = "liar"

        def verify(self, point: bytes, digest: bytes, r: int, s: int) -> bool:
            return answer  # type: ignore[return-value]

    with pytest.raises(EngineUnavailable, match=reason):
        sm2.Engine(Liar())


class Credulous:
    """An engine that checks nothing: it knows that one signature is wrong, so that it may start."""

    name = "credulous"

    def verify(self, point: bytes, digest: bytes, r: int, s: int) -> bool:
        return s != int.from_bytes(SIGNATURE_1[32:], "big") ^ 1


def test_no_engine_is_asked_about_what_is_malformed(signed: Signed) -> None:
    point, message, signature = signed
    engine = sm2.Engine(Credulous())
    assert engine.verify(point, message, bytes(32)[:-1] + b"\1" + signature[32:])
    halves = signature[:32], signature[32:]
    zero, order = bytes(32), N.to_bytes(32, "big")
    opposite = (N - int.from_bytes(halves[0], "big")).to_bytes(32, "big")
    for wrong in (
        *(zero + halves[1], halves[0] + zero, order + halves[1], halves[0] + order),
        *(halves[0] + opposite, signature[:-1], signature + b"\0", b""),
        *(signature[:32], b"\0" + signature, reference.der(signature)),
    ):
        assert engine.verify(point, message, wrong) is False
    for wrong in [*_off_curve(point), point[:63], point + b"\0", b"\x04" + point, b""]:
        assert engine.verify(wrong, message, signature) is False
        assert engine.verify_digest(wrong, bytes(32), signature) is False
    assert engine.verify_digest(point, bytes(31), signature) is False


def test_gmssls_zero_and_none_are_false(signed: Signed) -> None:
    assert Gmssl().verify(signed[0], bytes(32), 1, N - 1) is False


def test_many_keys_in_many_threads_leave_nothing_behind() -> None:
    backend = openssl.OpenSsl()
    engine = sm2.Engine(backend)
    cases = []
    for _ in range(3 * openssl._KEYS_MAX):
        d, point = reference.key_pair()
        e = secrets.token_bytes(32)
        cases.append((point, e, reference.sign(d, e)))

    def check(case: tuple[bytes, bytes, bytes]) -> bool:
        point, e, signature = case
        return engine.verify_digest(point, e, signature) and not engine.verify_digest(
            point, e[::-1], signature
        )

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(check, cases * 2))
        before = _resident_pages()
        for _ in range(10):
            assert all(threads.map(check, cases))
    assert len(backend._keys) == openssl._KEYS_MAX
    assert _resident_pages() - before < 512  # 2 MB; a leaked EVP_PKEY each would be 4 MB
    peek = ctypes.CDLL("libcrypto.so.3").ERR_peek_error
    peek.restype = ctypes.c_ulong
    assert peek() == 0


def _resident_pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


def test_many_keys_and_messages_agree_among_three(tmp_path: Path, soak: bool) -> None:
    """EVP, gmssl behind its wrapper and the openssl command; every fourth signature is spoilt."""
    count = 1000 if soak else 200
    fast, slow = sm2.engine("openssl"), sm2.engine("gmssl")

    def check(index: int) -> tuple[bool, bool, bool, bool]:
        d, point = reference.key_pair()
        message = secrets.token_bytes(secrets.randbelow(300))
        signature = bytearray(reference.sign(d, reference.digest(point, message)))
        good = index % 4 != 3
        if not good:
            signature[secrets.randbelow(64)] ^= 1 << secrets.randbelow(8)
        given = point, message, bytes(signature)
        command = _openssl_command(tmp_path / str(index), *given)
        return good, fast.verify(*given), slow.verify(*given), command

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(check, range(count)))
    assert all(len(set(answer)) == 1 for answer in answers)
    assert sum(answer[0] for answer in answers) == count * 3 // 4


def _openssl_command(folder: Path, point: bytes, message: bytes, signature: bytes) -> bool:
    folder.mkdir()
    (folder / "key").write_bytes(reference.spki(point))
    (folder / "message").write_bytes(message)
    (folder / "signature").write_bytes(reference.der(signature))
    command = "openssl pkeyutl -verify -pubin -keyform DER -inkey key -rawin -in message"
    command += " -digest sm3 -pkeyopt distid:1234567812345678 -sigfile signature"
    run = subprocess.run(command.split(), cwd=folder, capture_output=True, timeout=30, check=False)
    assert run.returncode in (0, 1)
    return run.returncode == 0 and b"Signature Verified Successfully" in run.stdout
