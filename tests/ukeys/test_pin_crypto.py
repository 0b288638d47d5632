# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The PIN cryptography against known answers of three implementations, and both SM4s."""

from __future__ import annotations

import sys

import pytest

from keyservice.core.errors import PinRefused
from keyservice.core.secret import Secret
from keyservice.crypto import blocks as block_ciphers
from keyservice.crypto import library, sm4
from keyservice.ukeys.gmt0017 import pins
from keyservice.ukeys.gmt0017.settings import MacLength, PinBlock, PinHash
from tests.support import CHECKOUT
from tests.support.process import must

PIN, NEW = Secret(b"12345678"), Secret(b"87654321")
CHALLENGE = bytes.fromhex("0011223344556677")
APP = bytes.fromhex("0100")


def test_the_key_and_the_proof() -> None:
    with pins.key_of(PIN, PinHash.SHA1) as key:
        assert key.hex() == "002fe525cb3afa592e4011157437c666"
        proof = pins.proof(key, CHALLENGE, PinBlock.PADDED)
        assert proof.hex() == "8be3bbed00b1eaa93c458d79769b7499"
    assert key == bytes(16)  # wiped


@pytest.mark.parametrize(
    ("header", "length", "mac"),
    [
        ("84160001", MacLength.DATA, "e423621b"),
        ("84160001", MacLength.COMMAND, "65447d23"),
        ("84160001", MacLength.SWAPPED, "8e430361"),
        ("841a0000", MacLength.DATA, "ff48a77c"),
        ("84160001", MacLength.WIRE, "f61f8b21"),
    ],
)
def test_a_new_pin_and_its_mac(header: str, length: MacLength, mac: str) -> None:
    with pins.key_of(PIN, PinHash.SHA1) as key:
        encrypted = pins.encrypted(key, NEW, PinBlock.PADDED)
        assert encrypted.hex() == "f57f188f8986af91fd6408b567500f11"
        data = APP + encrypted
        assert pins.mac(key, CHALLENGE, bytes.fromhex(header), data, length).hex() == mac


def test_one_vendors_blocks_begin_with_a_length() -> None:
    """The values are openssl's: ``enc -sm4-ecb`` and ``-sm4-cbc`` over blocks written by hand."""
    with pins.key_of(PIN, PinHash.SHA1) as key:
        proof = pins.proof(key, CHALLENGE, PinBlock.SIZED)
        assert proof.hex() == "e1d74bd88e7713bacd0ca60a9b2435b1"
        new = pins.encrypted(key, NEW, PinBlock.SIZED)
        assert new.hex() == "ca26749871396afa5c0e03357d74ff55"
        mac = pins.mac(key, CHALLENGE, bytes.fromhex("84160001"), APP + new, MacLength.WIRE)
        assert mac.hex() == "4d32435f"
        with Secret(b"87654321876543") as longer:  # does not fit into one block with its length
            assert pins.encrypted(key, longer, PinBlock.SIZED).hex() == (
                "ef65e7d95bb3f5da164c0cb182ef2a2a4fbe7ddb3c013c09b56437163c9fc04e"
            )


def test_sm3_makes_another_key() -> None:
    with pins.key_of(PIN, PinHash.SM3) as key:
        assert len(key) == 16
        assert key.hex() != "002fe525cb3afa592e4011157437c666"


@pytest.mark.parametrize("pin", [b"", b"12345", b"1" * 17])
def test_a_pin_has_6_to_16_bytes(pin: bytes) -> None:
    with pytest.raises(PinRefused):
        pins.check(Secret(pin))
    pins.check(Secret(b"123456"))
    pins.check(Secret(b"1" * 16))


def test_sm4_of_the_standard_and_of_gmssl() -> None:
    # GB/T 32907, annex A.1
    key = bytes.fromhex("0123456789abcdeffedcba9876543210")
    assert sm4.encrypt(key, key).hex() == "681edf34d206965e86b3e94f536e4246"
    text = bytes(range(48))
    assert sm4._run_gmssl(key, None, text) == sm4.encrypt(key, text)
    assert sm4._run_gmssl(key, key, text)[-16:] == sm4.cbc_mac(key, key, text)
    with pytest.raises(ValueError, match="whole blocks"):
        sm4.encrypt(key, b"short")
    with pytest.raises(ValueError, match="IV"):
        sm4.cbc_mac(key, b"short", key)


@pytest.mark.parametrize("lacks", ["libcrypto", "SM4"])
def test_a_host_whose_libcrypto_cannot_has_sm4_by_gmssl(
    lacks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = bytes.fromhex("0123456789abcdeffedcba9876543210")
    wanted = sm4.encrypt(key, key), sm4.cbc_mac(key, key, key)
    if lacks == "libcrypto":
        monkeypatch.setattr(library, "LIBRARY", "libcrypto.so.0")
    else:
        monkeypatch.setattr(sm4, "_ECB", b"SM4-no-such-mode")
        monkeypatch.setattr(sm4, "_CBC", b"SM4-no-such-mode")
    for cached in ("_library", "_fetched"):
        function = getattr(block_ciphers, cached).__wrapped__
        monkeypatch.setattr(block_ciphers, cached, function)
    asked = list[bytes]()
    by_gmssl = sm4._run_gmssl

    def seen(
        key: block_ciphers.Buffer, iv: block_ciphers.Buffer | None, blocks: block_ciphers.Buffer
    ) -> bytes:
        asked.append(bytes(blocks))
        return by_gmssl(key, iv, blocks)

    monkeypatch.setattr(sm4, "_run_gmssl", seen)
    assert (sm4.encrypt(key, key), sm4.cbc_mac(key, key, key)) == wanted
    assert asked == [key, key]


@pytest.mark.parametrize("part", ["worker", "pcsc.watcher"])
def test_a_process_for_readers_has_what_it_needs_and_no_more(part: str) -> None:
    """Each reader has one, and what it imports is its memory."""
    script = (
        f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); "
        f"from keyservice.ukeys import kinds; import keyservice.ukeys.{part}; "
        "kinds.prepare(); print(*sys.modules)"
    )
    there = must([sys.executable, "-I", "-B", "-c", script], seconds=30).split()
    assert not {"cryptography", "asyncio", "logging", "ssl"} & set(there)
