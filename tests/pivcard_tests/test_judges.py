# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Programs that have nothing to do with this project take the emulated card for what it is: they
recognise it, read its tries, and verify its signatures. The plain build is judged by opensc-tool
and pkcs11-tool, the vendor's by yubico-piv-tool and by ykman, which refuses a plain card."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import makers
from tests.support.daemons import start_pcscd
from tests.support.pivcards import Pivcard

PIN, PUK = b"528491", b"80352917"
MODULE = "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so"
READER = "Virtual PCD 00 00"
MANAGEMENT = "010203040506070801020304050607080102030405060708"


@pytest.fixture(scope="module", autouse=True)
def _pcscd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    daemon = start_pcscd(tmp_path_factory.mktemp("pcscd"))
    yield
    daemon.stop()


@pytest.fixture
def cards(tmp_path: Path) -> Iterator[Any]:
    made: list[Pivcard] = []

    def make(**more: Any) -> Pivcard:
        given = {"pin": PIN, "admin_pin": PUK, "inserted": True, **more}
        card = Pivcard(tmp_path / f"{len(made)}.piv", 0, **given)
        made.append(card)
        card.wait_seen()
        return card

    yield make
    for card in made:
        with card.pulled():
            card.control.remove()
        card.close()


def leave(card: Pivcard, tries: int) -> None:
    """Leave its PIN so many tries; no keyservice is there to ask it afterwards."""
    card.remove()
    card.close()
    card._write_tries(tries)
    card.start()
    card.wait_seen()


def run(*command: str, input: bytes = b"") -> str:
    """What it says; it must succeed."""
    done = subprocess.run(command, input=input, capture_output=True, timeout=50, check=False)
    told = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 0, f"{command}: {done.returncode}\n{told}"
    return told


def openssl_verifies(folder: Path, digest: str = "sha256") -> None:
    """message, signature and public key of `folder`."""
    where = ["-verify", f"{folder}/p", "-signature", f"{folder}/signature", f"{folder}/message"]
    assert "Verified OK" in run("openssl", "dgst", f"-{digest}", *where)


# -- the plain build


def test_opensc_recognises_the_plain_card(cards: Any) -> None:
    card = cards(vendor=False, pairs={"9A": "p256"})
    name = run("opensc-tool", "--reader", "0", "--name")
    assert name.startswith("Personal Identity Verification Card")
    told = run("opensc-tool", "--reader", "0", "--serial")
    assert told.replace(" ", "").lower().startswith(card.serial)


def test_opensc_reads_the_tries_and_spends_none(cards: Any) -> None:
    card = cards(vendor=False, pairs={"9A": "p256"})
    flags = {}
    for left in (3, 1, 0):
        leave(card, left)
        flags[left] = run("pkcs11-tool", "--module", MODULE, "--list-slots")
        assert card.tries_left() == left
    assert "final user PIN try" not in flags[3] and "user PIN locked" not in flags[3]
    assert "final user PIN try" in flags[1], flags[1]
    assert "user PIN locked" in flags[0], flags[0]


@pytest.mark.parametrize("algorithm", ["p256", "p384", "rsa2048"])
def test_pkcs11_tool_has_the_plain_card_sign(cards: Any, tmp_path: Path, algorithm: str) -> None:
    cards(vendor=False, pairs={"9A": algorithm})
    (tmp_path / "message").write_bytes(b"what was signed")
    tool = ["pkcs11-tool", "--module", MODULE, "--login", "--pin", PIN.decode()]
    digest = "sha384" if algorithm == "p384" else "sha256"
    if algorithm == "rsa2048":
        given, how = f"{tmp_path}/message", ["--mechanism", "SHA256-RSA-PKCS"]
    else:
        given, how = f"{tmp_path}/digest", ["--mechanism", "ECDSA", "--signature-format", "openssl"]
        run("openssl", "dgst", f"-{digest}", "-binary", "-out", given, f"{tmp_path}/message")
    place = ["--input-file", given, "--output-file", f"{tmp_path}/signature"]
    run(*tool, "--sign", "--id", "01", *how, *place)
    run(*tool, "--read-object", "--type", "cert", "--id", "01", "-o", f"{tmp_path}/cert.der")
    der = ["-inform", "DER", "-in", f"{tmp_path}/cert.der"]
    run("openssl", "x509", *der, "-pubkey", "-noout", "-out", f"{tmp_path}/p")
    openssl_verifies(tmp_path, digest)


# -- the vendor's build


def test_ykman_refuses_a_plain_card(cards: Any) -> None:
    cards(vendor=False, pairs={"9A": "p256"})
    done = subprocess.run(_ykman("piv", "info"), capture_output=True, timeout=50, check=False)
    assert done.returncode != 0


def test_yubico_piv_tool_recognises_the_vendors_card(cards: Any) -> None:
    card = cards(version=(5, 4, 3), management=0x03, pairs={"9A": "p256"})
    told = run("yubico-piv-tool", "-r", READER, "-a", "status")
    assert re.search(r"Version:\s+5\.4\.3", told), told
    assert re.search(rf"Serial Number:\s+{card.serial}\b", told), told
    assert re.search(r"PIN tries left:\s+3", told), told
    assert re.search(r"Slot 9a:\s+Algorithm:\s+ECCP256", told), told


@pytest.mark.parametrize("algorithm", ["p256", "p384", "rsa2048"])
def test_yubico_piv_tool_has_it_make_a_pair_and_sign(
    cards: Any, tmp_path: Path, algorithm: str
) -> None:
    cards(version=(5, 4, 3), management=0x03, pairs={})
    name = {"p256": "ECCP256", "p384": "ECCP384", "rsa2048": "RSA2048"}[algorithm]
    tool = ["yubico-piv-tool", "-r", READER, "-s", "9a"]
    run(*tool, "-a", "generate", "-A", name, "-o", f"{tmp_path}/p")
    verify = ["-a", "verify-pin", "-P", PIN.decode()]
    (tmp_path / "message").write_bytes(b"what was signed")
    digest = "SHA384" if algorithm == "p384" else "SHA256"
    sign = ["--sign", "-H", digest, "-A", name]
    files = ["-i", f"{tmp_path}/message", "-o", f"{tmp_path}/signature"]
    run(*tool, *verify, *sign, *files)
    openssl_verifies(tmp_path, digest.lower())


def test_yubico_piv_tool_changes_and_unblocks_the_pin(cards: Any) -> None:
    card = cards(version=(5, 4, 3), management=0x03, pairs={})
    tool = ["yubico-piv-tool", "-r", READER]
    run(*tool, "-a", "change-pin", "-P", PIN.decode(), "-N", "90210467")
    run(*tool, "-a", "verify-pin", "-P", "90210467")
    leave(card, 0)
    run(*tool, "-a", "unblock-pin", "-P", PUK.decode(), "-N", "111213")
    run(*tool, "-a", "verify-pin", "-P", "111213")
    assert card.tries_left() == 3


@pytest.mark.parametrize("by", ["p256", "rsa2048"])
def test_its_makers_word_is_what_yubico_piv_tool_asks_for_and_openssl_verifies(
    cards: Any, tmp_path: Path, by: str
) -> None:
    maker = makers.maker(pair=makers.rsa_pair(2048) if by == "rsa2048" else None)
    attester = maker.attester(makers.rsa_pair(2048) if by == "rsa2048" else None)
    cards(version=(5, 4, 3), management=0x03, pairs={}, attester=attester)
    root = maker.put(tmp_path / "makers")
    tool = ["yubico-piv-tool", "-r", READER]
    run(*tool, "-s", "9a", "-a", "generate", "-A", "ECCP256", "-o", f"{tmp_path}/p")
    run(*tool, "-s", "f9", "-a", "read-certificate", "-o", f"{tmp_path}/own")
    run(*tool, "-s", "9a", "-a", "attest", "-o", f"{tmp_path}/said")
    chain = ["-CAfile", str(root), "-untrusted", f"{tmp_path}/own"]
    assert run("openssl", "verify", *chain, f"{tmp_path}/said").endswith("/said: OK\n")
    shown = run("openssl", "x509", "-in", f"{tmp_path}/said", "-pubkey", "-noout")
    assert shown == (tmp_path / "p").read_text()
    # what somebody else has made is not vouched for
    run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{tmp_path}/k")
    run(*tool, "-s", "9c", "-a", "import-key", "-i", f"{tmp_path}/k")
    attest = [*tool, "-s", "9c", "-a", "attest"]
    assert subprocess.run(attest, capture_output=True, timeout=50, check=False).returncode != 0


def test_ykman_reads_what_the_vendors_card_is(cards: Any) -> None:
    card = cards(version=(5, 4, 3), management=0x03, pairs={"9A": "p256"})
    leave(card, 2)
    told = run(*_ykman("piv", "info"))
    assert "PIV version: 5.4.3" in told
    assert re.search(r"PIN tries remaining:\s+2(/3)?", told), told
    assert "ECCP256" in told
    assert card.tries_left() == 2


def test_ykman_makes_a_pair_signs_with_it_and_imports_another(cards: Any, tmp_path: Path) -> None:
    card = cards(version=(5, 4, 3), management=0x0A, pairs={})
    key, pem = f"{tmp_path}/p", f"{tmp_path}/cert.pem"
    managed = ["--management-key", MANAGEMENT]
    run(*_ykman("piv", "keys", "generate", *managed, "--algorithm", "ECCP256", "9a", key))
    make = ["certificates", "generate", *managed, "--pin", PIN.decode(), "--subject", "demo"]
    run(*_ykman("piv", *make, "9a", key))
    run(*_ykman("piv", "certificates", "export", "9a", pem))
    run("openssl", "verify", "-CAfile", pem, pem)
    run("openssl", "ecparam", "-name", "secp384r1", "-genkey", "-noout", "-out", f"{tmp_path}/k")
    run(*_ykman("piv", "keys", "import", *managed, "9c", f"{tmp_path}/k"))
    assert card.card.load().slots[0x9C].origin == 2


def _ykman(*arguments: str) -> list[str]:
    """As it is told of a reader that is not its maker's."""
    program = shutil.which("ykman")
    assert program
    return [program, "--reader", READER, *arguments]
