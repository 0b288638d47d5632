# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The folders that libpam reads services from are those that it opens, not those that are usual."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from keyservice.contract.pam import PamCode
from tests.pam.libpam import authenticate
from tests.pamcheck.hosts import NOBODY, STRICT, STRICT_STACK, Host, letters, services
from tests.support.process import run
from tests.tools.running import Commands
from tools.exits import Exit
from tools.pamcheck import folders
from tools.pamcheck.places import Places
from tools.pamcheck.table import Who

OPEN_STACK = "auth sufficient pam_unix.so\nauth required pam_ukey.so\n"
LIBRARY = "usr/lib/x86_64-linux-gnu/libpam.so.0"


def test_what_is_read_of_libpam_is_what_it_opens(tmp_path: Path) -> None:
    """Watched from outside: where it looks for a service that is nowhere."""
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-e", "trace=open,openat", "-o", str(trace)]
    run([*command, "pamtester", "nowhere-at-all", "nobody", "authenticate"])
    opened = re.findall(r'"/(\S+)/nowhere-at-all"', trace.read_text())
    assert folders.read_by_libpam(Path("/")) == tuple(dict.fromkeys(opened))
    assert opened[0] == folders.ADMINISTRATORS


@pytest.mark.parametrize("folder", ["usr/lib/pam.d", "usr/etc/pam.d", "usr/share/pam.d"])
def test_libpam_takes_a_service_of_each_folder_that_is_read(folder: str) -> None:
    """And it reads no other folder, whatever distributions have there."""
    path = Path("/") / folder
    made = not path.exists()
    path.mkdir(parents=True, exist_ok=True)
    file = path / "onlythere"
    file.write_text("auth required pam_permit.so\n")
    try:
        done = run(["pamtester", "onlythere", "nobody", "authenticate"])
        assert (done.returncode == 0) == (folder in (folders.read_by_libpam(Path("/")) or ()))
        assert (Places().find("onlythere") == file) == (done.returncode == 0)
    finally:
        file.unlink()
        if made:
            path.rmdir()


def _library(place: Host, names: bytes) -> None:
    path = place.root / LIBRARY
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\x7fELF\0" + names + b"\0\0")


def test_a_service_that_libpam_passes_by(place: Host) -> None:
    """It is not what people meet: "other" is."""
    _library(place, b"/etc/pam.d/%s\0/usr/lib/pam.d/%s\0")
    place.write({"usr/etc/pam.d/login": OPEN_STACK, "usr/lib/pam.d/sshd": STRICT_STACK})
    assert place.letters("sshd") == STRICT
    path = Places(place.root).unread("login")
    assert path == place.root / "usr/etc/pam.d/login"
    assert Places(place.root).find("login") is None
    checked = place.check_file("login", path)
    assert checked.who is None and checked.table is None
    assert [(f.kind, f.severity.value) for f in checked.findings] == [("never-read", "shut")]
    place.write({"other": "auth required pam_deny.so\n"})
    checked = place.check_file("login", path)
    assert checked.table is not None and letters(checked.table) == NOBODY
    assert checked.who is Who.NOBODY
    assert checked.findings[0].kind == "never-read"


def test_a_libpam_that_says_nothing_is_not_guessed_about(place: Host) -> None:
    """Files in the administrator's folder count for every libpam."""
    _library(place, b"nothing")
    place.write({"login": STRICT_STACK, "usr/lib/pam.d/sshd": STRICT_STACK, "other": STRICT_STACK})
    assert place.letters("login") == STRICT
    path = Places(place.root).unread("sshd")
    assert path is not None
    checked = place.check_file("sshd", path)
    assert checked.who is None
    [finding] = checked.findings
    assert (finding.kind, finding.severity.value) == ("never-read", "shut")
    assert "is not known" in finding.text


def test_a_file_that_cannot_be_opened_gives_way_to_the_next(place: Host) -> None:
    """As in libpam, a link to nowhere in /etc/pam.d hides nothing behind it."""
    place.write({"usr/lib/pam.d/su": OPEN_STACK})
    (place.pam_d / "su").symlink_to("/nowhere")
    assert Places(place.root).find("su") == place.root / "usr/lib/pam.d/su"
    assert place.check("su").who is Who.PASSWORD


def test_a_whole_host_says_what_is_not_read(commands: Commands, place: Host) -> None:
    _library(place, b"/etc/pam.d/%s\0")
    place.write({"login": STRICT_STACK, "usr/lib/pam.d/su": OPEN_STACK, "other": STRICT_STACK})
    root = ("--root", str(place.root), "--stacks-only", "--json")
    done = commands.piped("ukey", "pam", "check", *root)
    by_name = {each["service"]: each for each in services(done.stdout)}
    assert by_name["su"]["findings"][0]["kind"] == "never-read"
    assert by_name["su"]["who"] == by_name["other"]["who"] == "password and ukey"
    assert done.returncode == Exit.OK
    assert commands.piped("ukey", "pam", "check", *root, "su").returncode == Exit.OK


def test_a_module_where_libpam_does_not_look_is_missing(tmp_path: Path) -> None:
    """This holds whatever other libraries' programs find there."""
    [real] = Path("/usr/lib").glob("*-linux-*/security/pam_permit.so")
    for name in ("usr/lib64/security", "lib/security", str(real.parent).lstrip("/")):
        folder = Path("/") / name
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "pam_onlythere.so"
        file.write_bytes(real.read_bytes())
        (tmp_path / "login").write_text("auth required pam_onlythere.so\n")
        try:
            loaded = authenticate(tmp_path, "login").code == PamCode.SUCCESS
            assert Places().lacks("pam_onlythere.so") == (not loaded)
            assert loaded == (name != "usr/lib64/security")
        finally:
            file.unlink()
            if made:
                folder.rmdir()
