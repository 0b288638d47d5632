# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Modules and programs that a stack names, and that others than root can change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.pamcheck.hosts import Host
from tools.pamcheck.check import check
from tools.pamcheck.places import Places

[FOLDER] = Path("/usr/lib").glob("*-linux-*/security")
PERMIT = (FOLDER / "pam_permit.so").read_bytes()
UNIX = "auth requisite pam_unix.so\n"
MODULE = UNIX + "auth [success=ok default=die] /opt/ours/pam_ukey.so\n"
NATIVE = UNIX + "auth [success=ok default=die] pam_ukey.so\n"
PROGRAM = NATIVE + "auth optional pam_exec.so quiet /opt/ours/look\n"
LIST = NATIVE + "auth optional pam_listfile.so item=user sense=allow file=/opt/ours/list\n"
SCRIPT = NATIVE + "auth optional pam_python.so /opt/ours/look.py\n"


@pytest.fixture
def ours(place: Host) -> Path:
    """A folder of root's with what the stacks name."""
    files = dict.fromkeys(("pam_ukey.so", "look", "look.py", "list"), PERMIT)
    place.write({f"opt/ours/{name}": content for name, content in files.items()})
    return place.root / "opt/ours"


def writable(place: Host, text: str) -> set[str]:
    found = place.check("login", text).findings
    short = (
        each.place.removeprefix(f"{place.root}/") for each in found if each.kind == "file-writable"
    )
    return set(short)


@pytest.mark.parametrize(
    ("text", "name"),
    [(MODULE, "pam_ukey.so"), (PROGRAM, "look"), (SCRIPT, "look.py"), (LIST, "list")],
    ids=["module", "program", "script", "list"],
)
def test_what_a_line_names_is_roots_alone(place: Host, ours: Path, text: str, name: str) -> None:
    assert writable(place, text) == set()
    (ours / name).chmod(0o777)
    assert writable(place, text) == {f"opt/ours/{name}"}
    (ours / name).chmod(0o755)
    os.chown(ours / name, 1000, 0)
    assert writable(place, text) == {f"opt/ours/{name}"}
    os.chown(ours / name, 0, 0)
    os.chown(ours, 1000, 0)
    assert writable(place, text) == {"opt/ours"}
    os.chown(ours, 0, 0)
    (place.root / "opt").chmod(0o777)
    assert writable(place, text) == {"opt"}
    # In a folder like /tmp nobody can remove root's files, but anybody can add files that are not
    # there.
    (place.root / "opt").chmod(0o1777)
    assert writable(place, text) == set()
    ours.rename(place.root / "elsewhere")
    assert writable(place, text) == {"opt"}
    (place.root / "opt/ours").symlink_to("/elsewhere")
    assert writable(place, text) == set()
    (place.root / "elsewhere").chmod(0o777)
    assert writable(place, text) == {"elsewhere"}


def test_the_usual_folder_is_roots_alone(place: Host) -> None:
    place.write({f"usr/lib64/security/{name}.so": PERMIT for name in ("pam_unix", "pam_ukey")})
    assert writable(place, NATIVE) == set()
    (place.root / "usr/lib64/security/pam_ukey.so").chmod(0o666)
    assert writable(place, NATIVE) == {"usr/lib64/security/pam_ukey.so"}


def test_a_file_before_it_is_copied(tmp_path: Path) -> None:
    """Files that it names by a whole path are looked at on this host, if they are there."""
    evil = tmp_path / "pam_ukey.so"
    evil.write_bytes(PERMIT)
    os.chown(evil, 1000, 1000)
    file = tmp_path / "login"
    file.write_text(UNIX + f"auth required {evil}\nauth optional /nowhere/pam_x.so\n")
    checked = check(Places(), "login", file, installed=False)
    assert str(evil) in [each.place for each in checked.findings if each.kind == "file-writable"]
    assert (checked.who and checked.who.value) != "password and ukey"
    evil.unlink()
    file.write_text(UNIX + "auth required /tmp/that/nobody/has/made/pam_ukey.so\n")
    checked = check(Places(), "login", file, installed=False)
    assert [each.place for each in checked.findings if each.kind == "file-writable"] == ["/tmp"]
