# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The RPM, as far as Debian's tools go: built, checked, compared with the .deb, installed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import keyservice
from tests.packages.conftest import SANDBOX, package
from tests.support import CHECKOUT
from tests.support.process import must, run

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]

RPM = CHECKOUT / "packaging/rpm"
#: Where the two have what only one of them needs, below which nothing is compared.
DEBIAN_ONLY = (
    "/usr/share/pam-configs",
    "/usr/share/python3",
    "/usr/share/lintian",
    "/usr/share/doc/pam-ukey/changelog.gz",
    "/usr/share/doc/pam-ukey/copyright",
    "/usr/share/doc/pam-ukey/README.Debian",
    "/usr/share/doc/pam-ukey/NOTICE",
)
RPM_ONLY = ("/usr/share/authselect", "/usr/share/licenses", "/usr/lib/ukey/vendor/gmssl")

#: On a host without systemd and authselect, the hand-written stack alone.
LIFE = """
rpm --install --nodeps "$1"
test "$(stat -c %a%u%g /etc/usbkey /var/lib/ukey | sort -u)" = 70000
echo record >/etc/usbkey/alice
echo edited >/etc/ukey/keyservice.toml
echo 'auth required pam_ukey.so' >/etc/pam.d/mine
if rpm --erase pam-ukey 2>/tmp/told; then echo erased; exit 1; fi
grep -F '/etc/pam.d/mine:1:auth required pam_ukey.so' /tmp/told
rpm --query pam-ukey
rm /etc/pam.d/mine
rpm --erase pam-ukey
test ! -e /usr/lib/ukey/keyservice/__main__.py
grep record /etc/usbkey/alice
grep edited /etc/ukey/keyservice.toml.rpmsave
"""
#: authselect as far as the scriptlet asks it.
WITH_AUTHSELECT = """
rpm --install --nodeps "$1"
cat >/usr/bin/authselect <<'END'
#!/bin/sh
echo "$*" >>/tmp/asked
case $1 in
current) echo 'ukey-local with-ukey' ;;
disable-feature) rm -f /etc/pam.d/system-auth ;;
esac
END
chmod 755 /usr/bin/authselect
echo 'auth [success=ok default=die] pam_ukey.so' >/etc/pam.d/system-auth
echo 'auth required pam_ukey.so' >/etc/pam.d/mine
! rpm --erase pam-ukey
test ! -e /tmp/asked
rm /etc/pam.d/mine
rpm --erase pam-ukey
grep -x 'disable-feature with-ukey' /tmp/asked
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package("rpm", "--out", tmp_path_factory.mktemp("rpm"))


@pytest.fixture(scope="module")
def binary(source: Path) -> Path:
    """Built here; what people install is built on their distribution."""
    top = source.parent
    define = ["--define", f"_topdir {top / 'top'}", "--define", f"_rpmdir {top}"]
    load = ["--load", str(RPM / "debian.macros")]
    must(["rpmbuild", "--rebuild", "--nodeps", *load, *define, source], seconds=120)
    [found] = top.glob("*/*.rpm")
    return found


def test_the_spec_has_the_product_s_version(source: Path) -> None:
    assert source.name == f"pam-ukey-{keyservice.__version__}-1.src.rpm"
    parsed = must(["rpmspec", "--load", RPM / "debian.macros", "-P", RPM / "pam-ukey.spec"])
    for line in (
        f"Version:        {keyservice.__version__}",
        "%config(noreplace) /etc/ukey/keyservice.toml",
        "%dir %attr(0700, root, root) /etc/usbkey",
    ):
        assert line in parsed.splitlines()


def test_rpmlint_finds_nothing(source: Path, binary: Path) -> None:
    """packaging/rpm/rpmlint.toml says what it may find, and why."""
    config = ["--config", str(RPM / "rpmlint.toml")]
    done = run(["rpmlint", *config, source, binary, RPM / "pam-ukey.spec"], seconds=60)
    assert " 0 errors, 0 warnings" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_it_has_what_the_deb_has(binary: Path, deb: Path) -> None:
    theirs = {line.split()[5][1:]: line.split()[0] for line in lines("dpkg-deb", "-c", deb)}
    ours = {line.split()[8]: line.split()[0] for line in lines("rpm", "-qplv", binary)}
    of_deb = {
        same(path): mode
        for path, mode in theirs.items()
        if not path.endswith("/") and not path.startswith(DEBIAN_ONLY)
    }
    of_rpm = {
        same(path): mode
        for path, mode in ours.items()
        if not mode.startswith("d") and "__pycache__" not in path and not path.startswith(RPM_ONLY)
    }
    licence = "/usr/lib/ukey/vendor/dbus_fast-5.2.0.dist-info/licenses/LICENSE"
    of_rpm.pop(licence)  # the .deb has it in debian/copyright
    assert of_rpm == of_deb


def same(path: str) -> str:
    """Where both distributions would have it."""
    return (
        path.removesuffix(".gz")
        .replace("/lib/systemd/", "/usr/lib/systemd/")
        .replace("/usr/usr/", "/usr/")
        .replace("/zsh/vendor-completions/", "/zsh/site-functions/")
    )


def lines(*command: str | Path) -> list[str]:
    return must(command).splitlines()


@pytest.mark.parametrize("script", [LIFE, WITH_AUTHSELECT], ids=["life", "authselect"])
def test_it_is_installed_and_removed_without_locking_anybody_out(
    binary: Path, script: str, sandboxed: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = sandboxed(binary, script)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def sandboxed() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a script with the package's path in a sandbox that has not seen the product."""

    def inside(binary: Path, script: str) -> subprocess.CompletedProcess[str]:
        command = [SANDBOX, "--tools", "--out", str(binary.parent)]
        return run([*command, "sh", "-euxc", script, "sh", f"/out/{binary.name}"], seconds=100)

    return inside
