# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The messages that a ukey signs, byte for byte."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import replace

import pytest

from keyservice.access.challenge import Challenge, Facts, Purpose, foreign_message, message
from keyservice.core.errors import BadRequest
from keyservice.core.username import Person
from keyservice.crypto import sm2

FACTS = Facts(
    machine_id="0123456789abcdef0123456789abcdef",
    person=Person("alice", 1000),
    serial="SN1",
    service="login",
    session_id=bytes(range(16)),
)
NONCE = bytes(range(0x40, 0x60))

_FACTS = (
    "0020 3031323334353637383961626364656630313233343536373839616263646566"
    "0005 616c696365"
    "0004 000003e8"
    "0003 534e31"
    "0005 6c6f67696e"
    "0010 000102030405060708090a0b0c0d0e0f"
)
LOGIN = bytes.fromhex("756b65792d6c6f67696e2d763100" + NONCE.hex() + _FACTS)
BIND = bytes.fromhex("756b65792d62696e642d763100" + NONCE.hex() + _FACTS)


def test_the_layout() -> None:
    assert message(Purpose.LOGIN, NONCE, FACTS) == LOGIN
    assert message(Purpose.BIND, NONCE, FACTS) == BIND
    assert LOGIN.startswith(b"ukey-login-v1\0")
    challenge = bytes(range(32))
    assert foreign_message(challenge) == b"ukey-verify-v1\0" + b"\0\x20" + challenge


def test_what_is_signed_of_it() -> None:
    # the public key of GB/T 32918.5, annex A
    point = bytes.fromhex(
        "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
        "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
    )
    assert (
        sm2.digest(point, LOGIN).hex()
        == "c03cb159bf7e47ab7616e28abfbe7e8fb9c6bf801130c044f2eb28d405297f78"
    )


@pytest.mark.parametrize(
    "facts",
    [
        replace(FACTS, machine_id="f" * 32),
        replace(FACTS, person=Person("alice", 1001)),
        replace(FACTS, person=Person("bob", 1000)),
        replace(FACTS, serial="SN2"),
        replace(FACTS, service="su"),
        replace(FACTS, session_id=bytes(16)),
        replace(FACTS, serial="SN1\0\x05login", service=""),
        replace(FACTS, person=Person("李雷", 1000)),
        replace(FACTS, person=Person("al\udcffce", 1000)),
    ],
)
def test_every_fact_counts(facts: Facts) -> None:
    assert message(Purpose.LOGIN, NONCE, facts) != LOGIN


def test_no_message_is_the_beginning_of_another_kinds() -> None:
    prefixes = [*(purpose.value for purpose in Purpose), foreign_message(bytes(32))[:15]]
    for one, other in itertools.permutations(prefixes, 2):
        assert not other.startswith(one)


def test_a_challenge_is_fresh_and_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    challenge = Challenge(Purpose.LOGIN, FACTS)
    first = challenge.message()
    assert first == challenge.message() != Challenge(Purpose.LOGIN, FACTS).message()
    assert challenge.redeem() == first
    for again in (challenge.message, challenge.redeem):
        with pytest.raises(LookupError):
            again()
    monkeypatch.setattr(secrets, "token_bytes", lambda size: NONCE[:size])
    assert Challenge(Purpose.LOGIN, FACTS).message() == LOGIN


@pytest.mark.parametrize("size", [0, 31, 65, 4096])
def test_a_foreign_challenge_has_32_to_64_bytes(size: int) -> None:
    with pytest.raises(BadRequest):
        foreign_message(bytes(size))
    foreign_message(bytes(32))
    foreign_message(bytes(64))
