# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What several files say of the same thing."""

from __future__ import annotations

import re

import keyservice
from tests.support import CHECKOUT
from tests.support.process import run

PACKAGING = CHECKOUT / "packaging"


def test_both_packages_have_the_product_s_version() -> None:
    changelog = (PACKAGING / "debian/changelog").read_text()
    assert changelog.startswith(f"pam-ukey ({keyservice.__version__}) ")
    spec = (PACKAGING / "rpm/pam-ukey.spec").read_text()
    assert f"\nVersion:        {keyservice.__version__}%{{own_suffix}}\n" in spec
    assert re.search(rf"^\* .* - {re.escape(keyservice.__version__)}-1$", spec, re.MULTILINE)


def test_the_libraries_that_packages_bring_are_those_that_are_tested() -> None:
    dev, vendor, gmssl = (
        (PACKAGING / f"requirements-{name}.txt").read_text() for name in ("dev", "vendor", "gmssl")
    )
    pin = re.search(r"^(gmssl==\S+) .*\n +--hash=(\S+)$", gmssl, re.MULTILINE)
    assert pin is not None
    assert re.search(rf"^{re.escape(pin[1])} .*\n +--hash={pin[2]}$", dev, re.MULTILINE)
    spec = (PACKAGING / "rpm/pam-ukey.spec").read_text()
    for requirements in (vendor, gmssl):
        [(name, version)] = re.findall(r"^([a-z-]+)==(\S+) ", requirements, re.MULTILINE)
        assert re.search(rf"^Source\d: +{name.replace('-', '_')}-{version}-", spec, re.MULTILINE)


def test_the_one_command_says_what_it_does() -> None:
    command = CHECKOUT / "scripts/package"
    told = run([command, "--help"])
    assert told.returncode == 0
    assert "apt-get install ./dist/pam-ukey_*.deb" in told.stdout
    for wrong in ((), ("deb", "rpm"), ("dab",), ("deb", "--suffix", "site 1"), ("deb", "--out")):
        done = run([command, *wrong])
        assert (done.returncode, done.stdout) == (2, "")
        assert "--help explains" in done.stderr
