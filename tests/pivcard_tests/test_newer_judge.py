# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A newer ykman from the package index judges what Debian's does not know: Ed25519, and RSA with
more than 2048 bits."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import CHECKOUT
from tests.support.daemons import start_pcscd
from tests.support.pivcards import Pivcard
from tests.support.process import must

PIN, PUK = b"528491", b"80352917"
READER = "Virtual PCD 00 00"
MANAGEMENT = "010203040506070801020304050607080102030405060708"
#: What the machine trusts, the network between it and the index may need.
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def ykman(tmp_path_factory: pytest.TempPathFactory) -> str:
    """In an environment of its own, over Debian's libraries."""
    folder = tmp_path_factory.mktemp("ykman")
    must(["/usr/bin/python3", "-m", "venv", "--system-site-packages", folder], seconds=60)
    pinned = CHECKOUT / "packaging/requirements-judges.txt"
    command = [str(folder / "bin/pip"), "install", "--quiet", "--no-deps", "--require-hashes"]
    env = os.environ | ({"PIP_CERT": str(AUTHORITIES)} if AUTHORITIES.exists() else {})
    must([*command, "--requirement", str(pinned)], env=env, seconds=240)
    return str(folder / "bin/ykman")


@pytest.fixture(scope="module", autouse=True)
def _pcscd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    daemon = start_pcscd(tmp_path_factory.mktemp("pcscd"))
    yield
    daemon.stop()


@pytest.mark.timeout(400)
def test_a_newer_ykman_has_it_make_pairs_of_all_kinds(ykman: str, tmp_path: Path) -> None:
    card = Pivcard(tmp_path / "card", 0, pin=PIN, admin_pin=PUK, inserted=True, pairs={})
    try:
        card.wait_seen()
        told = must([ykman, "--reader", READER, "piv", "info"], seconds=60)
        assert re.search(r"PIN tries remaining:\s+3/3", told), told
        for slot, algorithm in (("9a", "ED25519"), ("9d", "RSA3072"), ("82", "RSA4096")):
            key, pem = f"{tmp_path}/{slot}.pub", f"{tmp_path}/{slot}.pem"
            piv = [ykman, "--reader", READER, "piv"]
            managed = ["--management-key", MANAGEMENT]
            make = ["keys", "generate", *managed, "--algorithm", algorithm, slot, key]
            must([*piv, *make], seconds=120)
            make = ["certificates", "generate", *managed, "--pin", PIN.decode()]
            must([*piv, *make, "--subject", "CN=demo", slot, key], seconds=60)
            must([*piv, "certificates", "export", slot, pem], seconds=60)
            assert "OK" in must(["openssl", "verify", "-CAfile", pem, pem], seconds=30)
        assert algorithm in must([*piv, "info"], seconds=60)
    finally:
        card.close()
