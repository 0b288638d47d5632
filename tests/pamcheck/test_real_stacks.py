# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whole tables of the distributions' own stacks, and of the same with each example in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pamcheck import distributions as made
from tests.pamcheck.hosts import EXAMPLE, NOBODY, PASSWORD_ALONE, Host, letters
from tests.support import CHECKOUT
from tools.pamcheck.check import check
from tools.pamcheck.places import Places
from tools.pamcheck.stack import load
from tools.pamcheck.table import Who

pytestmark = pytest.mark.slow

EXAMPLES = CHECKOUT / "pam.d-examples"
DEBIAN = ("login", "other", "sshd", "su", "su-l", "sudo", "sudo-i")
REDHAT = ("login", "sshd", "su", "sudo", "polkit-1", "gdm-password")
#: The files that Debian's services include beside common-auth.
_COMMON = dict.fromkeys(("common-account", "common-session", "common-password"), "")
#: The findings that a stack without a ukey line may get.
_PLAIN = {"no-ukey"}


@pytest.mark.parametrize("service", DEBIAN)
def test_debians_own(service: str) -> None:
    """The files of this host, as Debian installs them."""
    path = Path("/etc/pam.d") / service
    checked = check(Places(), service, path, installed=True)
    assert checked.table is not None
    assert letters(checked.table) == PASSWORD_ALONE
    assert checked.table.root_passes == (service in ("su", "su-l"))
    [finding] = checked.findings
    assert finding.kind == "no-ukey"
    assert finding.place == "/etc/pam.d/common-auth:17"
    assert "pam_unix.so" in Path("/etc/pam.d/common-auth").read_text().splitlines()[16]


@pytest.mark.parametrize("profile", made.DEBIAN)
@pytest.mark.parametrize("service", ["login", "su"])
def test_debian_with_others_modules(place: Host, profile: str, service: str) -> None:
    place.write({"common-auth": made.DEBIAN[profile]})
    text = (Path("/etc/pam.d") / service).read_text()
    place.write(_COMMON)
    checked = place.check(service, text)
    assert checked.table is not None
    assert letters(checked.table) == PASSWORD_ALONE
    assert {finding.kind for finding in checked.findings} == _PLAIN


@pytest.mark.parametrize("variant", made.REDHAT)
@pytest.mark.parametrize("service", REDHAT)
def test_red_hats_family(place: Host, variant: str, service: str) -> None:
    place.write(made.REDHAT[variant])
    checked = place.check(service)
    assert checked.table is not None
    # Fedora's gdm lets the users of sepermit.conf in without a password.
    kiosk = service == "gdm-password"
    assert letters(checked.table) == ("iiiii ?????" if kiosk else PASSWORD_ALONE)
    assert checked.table.root_passes == (service == "su")
    assert {finding.kind for finding in checked.findings} == _PLAIN


def test_a_finger_is_enough(place: Host) -> None:
    place.write(made.FINGERPRINT)
    assert place.letters("login") == "iiiii ?????"


@pytest.mark.parametrize(
    ("files", "services"),
    [
        (made.ARCH, ("login", "sshd", "su", "sudo")),
        (made.SUSE, ("login", "sshd", "su", "sudo")),
        (made.ALPINE, ("login",)),
    ],
    ids=["arch", "suse", "alpine"],
)
def test_other_families(place: Host, files: made.Files, services: tuple[str, ...]) -> None:
    place.write(files)
    for service in (*services, *({"other"} & set(files))):
        checked = place.check(service)
        assert checked.table is not None, service
        found = {finding.kind for finding in checked.findings}
        if service == "other":
            assert (letters(checked.table), found) == (NOBODY, set())
        else:
            assert (letters(checked.table), found) == (PASSWORD_ALONE, _PLAIN), service


# -- with each example in them


@pytest.mark.parametrize("kind", ["helpful", "uniform"])
@pytest.mark.parametrize("service", ["login", "su", "sshd"])
def test_debian_with_an_example(place: Host, kind: str, service: str) -> None:
    place.write(_COMMON)
    _assert_good(place, service, (EXAMPLES / "debian" / kind / service).read_text(), kind)


@pytest.mark.parametrize("kind", ["helpful", "uniform"])
@pytest.mark.parametrize("service", DEBIAN)
def test_debian_with_the_common_example(place: Host, kind: str, service: str) -> None:
    place.write({path.name: path.read_bytes() for path in Path("/etc/pam.d").iterdir()})
    place.write({"common-auth": (EXAMPLES / "debian" / kind / "common-auth").read_bytes()})
    _assert_good(place, service, None, kind)


def test_debian_with_the_profile(place: Host) -> None:
    """A roll-out: people who are not enrolled get in by the password, and that is reported."""
    profile = (EXAMPLES / "debian/pam-auth-update/ukey").read_text()
    lines = [f"auth\t{line}\n" for line in profile.splitlines() if line.startswith("\t[")]
    place.write({path.name: path.read_bytes() for path in Path("/etc/pam.d").iterdir()})
    place.write({"common-auth": made.debian_auth("pam_unix.so") + "".join(lines)})
    for service in DEBIAN:
        checked = place.check(service)
        assert checked.table is not None
        assert letters(checked.table) == "i??i? -----"
        assert checked.table.who is Who.ENROLLED
        found = {finding.kind for finding in checked.findings}
        # login's own line comes behind common-auth, and break-glass jumps to it.
        jump = {"jump-leaves-file"} if service == "login" else set()
        assert found == {"not-enrolled", "tells"} | jump


@pytest.mark.parametrize("kind", ["helpful", "uniform"])
@pytest.mark.parametrize("variant", ["local", "local-faillock", "sssd", "sssd-faillock"])
def test_red_hats_family_with_an_example(place: Host, kind: str, variant: str) -> None:
    folder = EXAMPLES / "redhat" / kind / variant
    place.write(made.redhat((folder / "system-auth").read_text()))
    place.write({"password-auth": (folder / "password-auth").read_bytes()})
    for service in REDHAT:
        if service != "gdm-password":
            _assert_good(place, service, None, kind)
    checked = place.check("gdm-password")
    assert checked.table is not None
    assert letters(checked.table) == "i???? ?????"
    assert "anybody" in {finding.kind for finding in checked.findings}


@pytest.mark.parametrize("kind", ["helpful", "uniform"])
def test_arch_with_an_example(place: Host, kind: str) -> None:
    """The example's lines replace its own module for encrypted homes."""
    text = (EXAMPLES / "redhat" / kind / "local/system-auth").read_text()
    place.write({**made.ARCH, "system-auth": text})
    for service in ("login", "sshd", "sudo"):
        _assert_good(place, service, None, kind)


def _assert_good(place: Host, service: str, text: str | None, kind: str) -> None:
    checked = place.check(service, text)
    assert checked.table is not None, checked.findings
    assert letters(checked.table) == EXAMPLE, service
    assert checked.table.who is Who.BOTH
    found = {finding.kind for finding in checked.findings}
    expected = {"nobody-without-ukey"} | ({"tells"} if kind == "helpful" else set())
    assert found == expected, checked.findings
    for key, cell in checked.table.cells.items():
        for flips in cell.ways:
            conditions = checked.table.text(flips)
            assert not conditions or "a member of group ukey-breakglass" in conditions, key


def test_every_table_reaches_every_line() -> None:
    """No line of an example is there for nothing."""
    for path in sorted(EXAMPLES.glob("*/*/*/system-auth")):
        read = load(Places(), "system-auth", path)
        checked = check(Places(), "system-auth", path, installed=False)
        assert checked.table is not None
        assert len(read.modules()) > 5
        assert checked.table.never.modules == ()
