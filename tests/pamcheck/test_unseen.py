# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""If something could not be looked at, that is no good news: the exit status says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pamcheck.hosts import STRICT_STACK, Host, services
from tests.support.restore import Restorer
from tests.tools.running import Commands, only_json
from tools.exits import Exit

NOBODY = 65534
CONFIG = Path("/etc/ukey/keyservice.toml")
SSH = Path("/etc/ssh/sshd_config.d/05-planted.conf")


@pytest.fixture
def restorer() -> Iterator[Restorer]:
    made = Restorer()
    yield made
    made.restore()


def test_a_way_that_could_not_be_looked_at(commands: Commands, restorer: Restorer) -> None:
    """sshd says nothing without its folder, and lets in by a key alone."""
    restorer.write(Path("/etc/pam.d/sshd"), STRICT_STACK, 0o644)
    restorer.write(SSH, "AuthenticationMethods publickey\n", 0o644)
    restorer.write(CONFIG, "[services.sshd]\nfactors_from_afar = ['ukey']\n", 0o644)
    folder = Path("/run/sshd")
    folder.mkdir(exist_ok=True)
    assert commands.piped("ukey", "pam", "check", "sshd").returncode == Exit.STACK
    folder.rmdir()
    try:
        done = commands.piped("ukey", "pam", "check", "sshd", "--json")
    finally:
        folder.mkdir()
    assert done.returncode == Exit.NOT_ALLOWED
    document = only_json(done.stdout)
    assert (document["ok"], document["status"]) == (False, Exit.NOT_ALLOWED)
    assert "/usr/sbin/sshd" in done.stderr
    assert services(done.stdout)[0]["who"] == "password and ukey"


def test_what_only_root_may_read(commands: Commands, restorer: Restorer) -> None:
    restorer.write(Path("/etc/pam.d/sudo"), STRICT_STACK, 0o644)
    done = commands.piped("ukey", "pam", "check", "sudo", user=NOBODY)
    assert done.returncode == Exit.NOT_ALLOWED
    assert "visudo" not in done.stdout
    assert "→ run it as root" in done.stdout
    assert "in a root shell" in done.stderr
    assert commands.piped("ukey", "pam", "check", "sudo").returncode == Exit.OK


def test_a_host_without_sshd_and_sudo(commands: Commands, place: Host) -> None:
    """A thing that is not there hides nothing."""
    place.write({"sshd": STRICT_STACK, "sudo": STRICT_STACK})
    root = ("--root", str(place.root))
    done = commands.piped("ukey", "pam", "check", *root, "sshd", "sudo")
    assert done.returncode == Exit.OK, done.stdout + done.stderr
    assert "Not looked at: ssh (no sshd is installed)." in done.stdout
    assert "→ \n" not in done.stdout and not any(
        line.strip() == "→" for line in done.stdout.splitlines()
    )


def test_a_name_in_capitals(commands: Commands, place: Host) -> None:
    """libpam asks for names in lower case only."""
    open_stack = "auth sufficient pam_unix.so\nauth required pam_ukey.so\n"
    place.write({"login": STRICT_STACK, "Login": open_stack, "Other": open_stack})
    root = ("--root", str(place.root), "--stacks-only", "--json")
    done = commands.piped("ukey", "pam", "check", *root, "Login")
    assert done.returncode == Exit.OK
    [found] = services(done.stdout)
    assert (found["service"], found["file"]) == ("login", str(place.pam_d / "login"))
    assert commands.piped("ukey", "pam", "check", *root, "Gdm").returncode == Exit.USAGE
    done = commands.piped("ukey", "pam", "check", *root, str(place.pam_d / "Login"))
    [found] = services(done.stdout)
    assert "never-read" in [finding["kind"] for finding in found["findings"]]


@pytest.mark.parametrize(
    ("line", "who"),
    [
        ("auth include {closed}/more", "anybody"),
        ("@include {closed}/more", "anybody"),
        ("auth substack {closed}/more", "password and ukey"),
        ("auth sufficient {closed}/pam_permit.so", "depends"),
    ],
)
def test_what_is_in_a_closed_folder(
    commands: Commands, tmp_path: Path, line: str, who: str
) -> None:
    """It need not be missing for libpam, which runs as root. `who`: as root sees it."""
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents[:-2]:
        folder.chmod(0o755)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "more").write_text("auth sufficient pam_permit.so\n")
    [permit] = Path("/usr/lib").glob("*-linux-*/security/pam_permit.so")
    (closed / "pam_permit.so").write_bytes(permit.read_bytes())
    file = Path("/etc/pam.d/closed")
    file.write_text(line.format(closed=closed) + "\n" + STRICT_STACK)
    try:
        done = commands.piped("ukey", "pam", "check", "--json", "closed", user=NOBODY)
        assert done.returncode in (Exit.NOT_ALLOWED, Exit.STACK)
        [found] = services(done.stdout)
        assert found["who"] in (None, "depends")
        done = commands.piped("ukey", "pam", "check", "--json", "closed")
        assert services(done.stdout)[0]["who"] == who
    finally:
        file.unlink()
