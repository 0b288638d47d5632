# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Programs that have nothing to do with this project take the emulated card for what it is: gpg
with scdaemon makes keys on it, signs and deciphers with them, reads its tries, unblocks its PIN,
and has it take PINs as digests; opensc's tools recognise it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyservice.core.secret import Secret
from keyservice.ukeys.openpgp import keys
from keyservice.ukeys.openpgp.data import Reference
from keyservice.ukeys.openpgp.kdf import Kdf
from tests.openpgpcard.state import AUTHENTICATION, SIGNATURE, SLOTS
from tests.pivcard.apdu import tlv
from tests.support.daemons import start_pcscd
from tests.support.gpg import Gpg
from tests.support.openpgpcards import OpenPgpcard

PIN, ADMIN = "528491", "80352917"


@pytest.fixture(scope="module", autouse=True)
def _pcscd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    daemon = start_pcscd(tmp_path_factory.mktemp("pcscd"))
    yield
    daemon.stop()


@pytest.fixture
def cards(tmp_path: Path) -> Iterator[Any]:
    made: list[OpenPgpcard] = []

    def make(**more: Any) -> OpenPgpcard:
        given = {"pin": PIN.encode(), "admin_pin": ADMIN.encode(), "inserted": True, **more}
        card = OpenPgpcard(tmp_path / f"{len(made)}.card", 0, **given)
        made.append(card)
        card.wait_seen()
        return card

    yield make
    for card in made:
        with card.pulled():
            card.control.remove()
        card.close()


@pytest.fixture
def gpg(cards: Any, tmp_path: Path) -> Iterator[Gpg]:
    made = Gpg(tmp_path, PIN, ADMIN)
    yield made
    made.close()


def leave(card: OpenPgpcard, tries: int) -> None:
    """Leave its PIN so many tries; no keyservice is there to ask it afterwards."""
    card.remove()
    card.close()
    card._write_tries(tries)
    card.start()
    card.wait_seen()


def test_gpg_recognises_the_card_and_its_tries(cards: Any, gpg: Gpg) -> None:
    card = cards(serial="fffe12345678", pairs={})
    told = gpg.card()
    assert told["Application ID"] == "D276000124010304FFFE123456780000"
    assert told["Serial number"] == card.serial[4:] == "12345678"
    assert told["PIN retry counter"] == "3 0 3"
    gpg.close()
    leave(card, 2)
    assert gpg.card()["PIN retry counter"] == "2 0 3"


@pytest.mark.parametrize("algorithm", ["p256", "ed25519", "rsa2048"])
def test_gpg_makes_keys_on_it_and_signs(
    cards: Any, gpg: Gpg, tmp_path: Path, algorithm: str
) -> None:
    card = cards(pairs={}, makes=algorithm)
    gpg.make_keys()
    message, signature, sealed = (tmp_path / name for name in ("message", "sig", "sealed"))
    message.write_text("what was signed")
    gpg.run("--batch", "--detach-sign", "--output", str(signature), str(message))
    assert "Good signature" in gpg.run("--verify", str(signature), str(message))
    to = ["--batch", "--recipient", "demo@example.org", "--encrypt"]
    gpg.run(*to, "--output", str(sealed), str(message))
    assert "what was signed" in gpg.run("--batch", "--decrypt", str(sealed))
    told = card.card.load()
    assert set(told.slots) == set(SLOTS)
    assert told.counter >= 2  # the keys' own signatures, and this one
    # the product calls keys by gpg's fingerprints
    for slot in (SIGNATURE, AUTHENTICATION):
        public = keys.parse_public(tlv(0x7F49, told.slots[slot].key.public()))
        date = int.from_bytes(told.dates[slot], "big")
        named = keys.fingerprint(told.attributes[slot], public, date)
        assert named == told.fingerprints[slot]


def test_gpg_unblocks_the_pin(cards: Any, gpg: Gpg) -> None:
    card = cards(pairs={})
    leave(card, 0)
    gpg.edit("admin", "passwd", "2", "q")  # the person types the same PIN again
    assert card.tries_left() == 3
    gpg.close()
    assert gpg.card()["PIN retry counter"] == "3 0 3"
    assert card.card.load().pw1.value == PIN.encode()


def test_a_pin_is_digested_as_gpg_does(cards: Any, tmp_path: Path) -> None:
    card = cards(pairs={}, pin=None, admin_pin=None)
    gpg = Gpg(tmp_path, "123456", "12345678")
    try:
        gpg.edit("admin", "kdf-setup")
        assert gpg.card()["KDF setting"] == "on"
        gpg.edit("verify")
        told = card.card.load()
        assert told.pw1.left == 3
        kdf = Kdf.parse(told.objects[0xF9])
        assert kdf is not None
        with Secret(b"123456") as pin, Secret(b"12345678") as admin:
            assert kdf.derived(pin, Reference.PW1) == told.pw1.value
            assert kdf.derived(admin, Reference.PW3) == told.pw3.value
    finally:
        gpg.close()


def test_opensc_recognises_the_card(cards: Any) -> None:
    cards(serial="fffe12345678", pairs={"AUT": "p256"})
    for command in (["opensc-tool", "--name"], ["openpgp-tool", "--card-info"]):
        done = subprocess.run(
            [*command, "--reader", "0"], capture_output=True, text=True, timeout=50, check=True
        )
        assert "12345678" in done.stdout, done.stdout
