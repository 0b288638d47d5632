# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The .deb: built by the one command, checked by lintian, lived with on Debian 12 and 13."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import keyservice
from tests.packages.conftest import SANDBOX, package
from tests.support.process import must, run

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]

#: Debian 12 with Python 3.11, for which the vendored library is compiled, and 13 with 3.13.
SUITES = ("bookworm", "trixie")


@dataclass(frozen=True)
class Journey:
    process: subprocess.Popen[str]

    def ended(self) -> tuple[int, str]:
        told, _ = self.process.communicate(timeout=300)
        return self.process.returncode, told


@pytest.fixture(scope="module", autouse=True)
def journeys(deb: Path) -> Iterator[dict[str, Journey]]:
    """One on each Debian, at the same time, and beside what else is asked of the package."""
    later = package("deb", "--offline", "--suffix", "+later", "--out", deb.parent)
    under_way = {}
    for suite in SUITES:
        inside = [f"/out/{path.name}" for path in (deb, later)]
        command = [SANDBOX, "--for", "host", "--suite", suite, "--out"]
        under_way[suite] = Journey(
            subprocess.Popen(
                [*command, deb.parent, "--", "sh", "tests/packages/journey.sh", *inside],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    yield under_way
    for journey in under_way.values():
        journey.process.kill()
        journey.process.wait()


def test_it_has_the_product_s_version_and_changes_no_pam_stack(deb: Path, tmp_path: Path) -> None:
    fields = must(["dpkg-deb", "--field", deb, "Package", "Version"])
    assert fields == f"Package: pam-ukey\nVersion: {keyservice.__version__}\n"
    files = [line.split()[5] for line in must(["dpkg-deb", "--contents", deb]).splitlines()]
    assert not [name for name in files if name.startswith("./etc/pam.d")]
    profile = must(
        ["sh", "-c", f"dpkg-deb --fsys-tarfile {deb} | tar -xO ./usr/share/pam-configs/ukey"]
    )
    assert re.search("^Default: no$", profile, re.MULTILINE)
    assert not [name for name in files if "softkey" in name or "tests" in name]


def test_the_same_checkout_gives_the_same_bytes_wherever_it_is_built(
    deb: Path, tmp_path: Path
) -> None:
    again = package("deb", "--offline", "--out", tmp_path)
    assert again.name == deb.name
    assert again.read_bytes() == deb.read_bytes()


def test_lintian_finds_nothing(deb: Path) -> None:
    """Overrides say why, each."""
    command = ["lintian", "--allow-root", "--fail-on", "error,warning,info,pedantic"]
    done = run([*command, "--display-info", "--pedantic", deb], seconds=120)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize("suite", SUITES)
def test_a_host_lives_with_it(journeys: dict[str, Journey], suite: str) -> None:
    """Installed, turned on, upgraded under logins, removed, installed again, purged."""
    status, told = journeys[suite].ended()
    assert status == 0, told
    assert "purge: " in told
