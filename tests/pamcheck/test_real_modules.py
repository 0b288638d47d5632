# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Debian's own modules say what pam check takes them to say: each alone, and in whole stacks, of
which only the password's and the ukey's lines are replaced."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from keyservice.contract.pam import PamCode
from tests.pam.libpam import authenticate
from tests.pamcheck.hosts import letters
from tests.support.process import must, run
from tools.pamcheck import known
from tools.pamcheck.check import check
from tools.pamcheck.controls import CODES
from tools.pamcheck.lines import parse
from tools.pamcheck.modules import behaviour, setcred
from tools.pamcheck.places import Places
from tools.pamcheck.world import PASSWORD, UKEY

[FOLDER] = Path("/usr/lib").glob("*-linux-*/security")
HERE = frozenset(path.stem for path in FOLDER.glob("pam_*.so"))
#: A test's process must not do what they do beside answering.
HARMFUL = frozenset(("pam_group", "pam_keyinit"))
USER = "ordinary"
CONSOLE: Mapping[str, Any] = {"tty": "/dev/tty1"}
#: Files that a test makes.
FAILURES = Path("/run/faillock") / USER


@pytest.fixture(autouse=True, scope="module")
def ordinary() -> Iterator[None]:
    """Somebody ordinary with an account on this host."""
    must(["useradd", "--shell", "/bin/bash", "--uid", "1777", USER])
    yield
    run(["userdel", USER])
    FAILURES.unlink(missing_ok=True)


# -- each alone

LINES = (
    "pam_nologin.so successok",
    "pam_faillock.so",
    "pam_faillock.so preauth silent",
    "pam_faillock.so deny=999 preauth",
    "pam_faillock.so nodelay deny=999 authfail",
    "pam_faillock.so authfail nodelay deny=999",
    "pam_faillock.so deny=999 preauth authfail",
    "pam_faillock.so deny=999 authsucc",
    "pam_localuser.so",
    "pam_localuser.so file=/etc/passwd",
    "pam_localuser.so file=/nowhere",
    "pam_echo.so",
    "pam_echo.so said",
    "pam_echo.so file=/nowhere",
    "pam_debug.so",
    "pam_debug.so auth=maxtries cred=cred_err",
    "pam_rootok.so",
    "pam_usertype.so",
    "pam_usertype.so isregular",
    "pam_usertype.so issystem",
    "pam_exec.so",
    "pam_exec.so quiet",
    "pam_exec.so quiet seteuid stdout /bin/true /usr/libexec/ukey/breakglass",
    "pam_exec.so Quiet LOG=/dev/null /bin/true",
    "pam_exec.so quiet type=auth /bin/false",
    "pam_exec.so type=account /bin/true",
    "pam_succeed_if.so",
    "pam_succeed_if.so quiet",
    "pam_succeed_if.so uid",
    "pam_succeed_if.so uid >=",
    "pam_succeed_if.so uid >= 0",
    "pam_succeed_if.so uid >= -1",
    "pam_succeed_if.so uid > 0",
    "pam_succeed_if.so uid >= 0x3e8",
    "pam_succeed_if.so uid >= 01000",
    "pam_succeed_if.so uid < 1000",
    "pam_succeed_if.so uid < 1e9",
    "pam_succeed_if.so uid ge x",
    "pam_succeed_if.so uid ne 0",
    "pam_succeed_if.so uid eq 0",
    "pam_succeed_if.so uid = 0",
    "pam_succeed_if.so uid != 0",
    "pam_succeed_if.so use_uid uid = 0",
    "pam_succeed_if.so use_uid uid != 0",
    "pam_succeed_if.so use_uid user = root",
    "pam_succeed_if.so use_uid user notin root:admin",
    "pam_succeed_if.so use_uid uid eq 0",
    "pam_succeed_if.so use_uid uid >= 1000",
    "pam_succeed_if.so uid >= 0 uid < 0",
    "pam_succeed_if.so uid >= 0 uid >= 1000",
    "pam_succeed_if.so uid < 0 uid >= 1000",
    "pam_succeed_if.so user ingroup root",
    "pam_succeed_if.so user notingroup root",
    "pam_succeed_if.so user = root",
    "pam_succeed_if.so user eq root",
    "pam_succeed_if.so [user = root]",
    "pam_succeed_if.so moon = full",
    "pam_succeed_if.so tty eq tty1",
    "pam_succeed_if.so service = login",
    "pam_succeed_if.so service = LOGIN",
    "pam_succeed_if.so service != login",
    "pam_succeed_if.so service eq login",
    "pam_succeed_if.so service ne login",
    "pam_succeed_if.so service in su:login",
    "pam_succeed_if.so service notin su:login",
    "pam_succeed_if.so service =~ log*",
    "pam_succeed_if.so service !~ log*",
    *(f"{name}.so" for name in sorted((HERE - HARMFUL) & {*known.CONSTANT, *known.REFUSING})),
)


def said(folder: Path, line: str, user: str = USER, items: Mapping[str, Any] = CONSOLE) -> str:
    """The code that the real module returns to pam_sm_authenticate; from a console, unless `items`
    say something else."""
    jumps = " ".join(f"{code}={number}" for number, code in enumerate(CODES, 1))
    texts = [f"auth [{jumps} default=die] {line}", "auth requisite pam_deny.so"]
    texts += [f"auth [default=done] pam_echo.so ->{code}" for code in CODES]
    (folder / "login").write_text("\n".join(texts) + "\n")
    FAILURES.unlink(missing_ok=True)
    shown = authenticate(folder, "login", user, **items).shown
    return next(text[2:] for text in shown if text.startswith("->"))


@pytest.mark.parametrize("line", LINES)
def test_a_module_says_what_it_is_taken_to_say(tmp_path: Path, line: str) -> None:
    """Somebody ordinary is neither in a group nor by a name that lines ask for."""
    made = behaviour(parse(tmp_path / "login", 1, f"auth required {line}"), "login", Places())
    ordinary = {variable.key: variable.values[0] for variable in made.variables}
    code = made.code({**ordinary, PASSWORD: "success", UKEY: "success"})
    assert code == said(tmp_path, line)


@pytest.mark.parametrize("name", sorted(HERE))
def test_the_function_for_auth_lines_is_seen(tmp_path: Path, name: str) -> None:
    """libpam itself: without it, no code but module_unknown comes."""
    there = Places().has_auth(f"{name}.so")
    text = f"auth [module_unknown=1 default=die] {name}.so\nauth requisite pam_deny.so\n"
    (tmp_path / "login").write_text(text + "auth required pam_permit.so\n")
    if name in known.WITHOUT_AUTH:
        assert not there
    if not there:
        assert authenticate(tmp_path, "login", USER).code == PamCode.SUCCESS
    assert there == (b"pam_sm_authenticate\0" in (FOLDER / f"{name}.so").read_bytes())


def test_what_is_no_module_is_none(tmp_path: Path) -> None:
    folder = tmp_path / "usr/lib/security"
    folder.mkdir(parents=True)
    real = (FOLDER / "pam_permit.so").read_bytes()
    files = {"empty": b"", "text": b"#!/bin/sh\n" * 99, "whole": real, "cut": real[:2000]}
    files["renamed"] = real.replace(b"pam_sm_authenticate", b"pam_sm_authenticata")
    # A word elsewhere in the file is no function.
    files["said"] = files["renamed"] + b"\0pam_sm_authenticate\0"
    for name, content in files.items():
        (folder / f"{name}.so").write_bytes(content)
    places = Places(tmp_path)
    assert [name for name in files if places.lacks(f"{name}.so")] == ["empty", "text"]
    seen = {name: places.has_auth(f"{name}.so") for name in files}
    assert seen["whole"] is True
    assert seen["renamed"] is False
    assert seen["said"] is False
    assert seen["cut"] is None or seen["cut"] is False


@pytest.mark.parametrize(
    "name", sorted((HERE - HARMFUL) & {*known.CONSTANT, *known.REFUSING, *known.SETCRED})
)
def test_credentials_are_what_they_are_taken_to_be(tmp_path: Path, name: str) -> None:
    line = f"{name}.so"
    code = setcred(parse(tmp_path / "login", 1, f"auth required {line}"))
    text = f"auth [{code}=1 default=die] {line}\nauth requisite pam_deny.so\n"
    (tmp_path / "login").write_text(text + "auth [default=done] pam_permit.so\n")
    assert authenticate(tmp_path, "login", USER, setcred_alone=True).setcred == PamCode.SUCCESS


# -- in whole stacks

UNIX = "auth required pam_unix.so\n"
UKEY_LINE = "auth required pam_ukey.so\n"
BOTH = UNIX + UKEY_LINE
ISA = "/lib/security/$ISA/"
WITHOUT_AUTH = ("motd", "loginuid", "umask", "time", "limits", "mkhomedir", "namespace")
STACKS = {
    "nologin first": "auth sufficient pam_nologin.so successok\n" + BOTH,
    "nologin between": UNIX + "auth sufficient pam_nologin.so successok\n" + UKEY_LINE,
    "nologin jumps": UNIX
    + "auth [success=1 default=ignore] pam_nologin.so successok\n"
    + UKEY_LINE
    + "auth required pam_permit.so\n",
    **{f"{name} required": f"auth required pam_{name}.so\n" + BOTH for name in WITHOUT_AUTH},
    **{f"{name} optional": f"auth optional pam_{name}.so\n" + BOTH for name in WITHOUT_AUTH},
    "selinux": "auth required pam_selinux.so close\n" + BOTH,
    "by architecture": f"auth required {ISA}pam_permit.so\n" + BOTH,
    "by architecture, from the folder": "auth required $ISA/pam_permit.so\n" + BOTH,
    "by architecture, sufficient": f"auth sufficient {ISA}pam_permit.so\n" + BOTH,
    "by a folder's folder": "auth required sub/pam_permit.so\n" + BOTH,
    **{
        f"sufficient {line}": UNIX + f"auth sufficient {line}\n" + UKEY_LINE
        for line in (
            "pam_faillock.so nodelay deny=999 authfail",
            "pam_faillock.so authfail nodelay deny=999",
            "pam_faillock.so nodelay deny=999 preauth",
            "pam_localuser.so file=/nowhere",
            "pam_echo.so file=/nowhere",
            "pam_usertype.so",
            "pam_exec.so",
            "pam_exec.so /bin/true",
            "pam_exec.so /bin/false",
            "pam_succeed_if.so",
            "pam_succeed_if.so uid >= 0",
            "pam_succeed_if.so uid > 0",
            "pam_succeed_if.so uid ne 0",
            "pam_succeed_if.so use_uid uid = 0",
            "pam_succeed_if.so service eq login",
            "pam_succeed_if.so service != su",
            "pam_succeed_if.so shell notin /sbin/nologin:/bin/false",
            "pam_succeed_if.so [user = ordinary]",
        )
    },
}
ROWS = (PamCode.SUCCESS, PamCode.AUTH_ERR)
COLUMNS = (PamCode.SUCCESS, PamCode.AUTH_ERR, PamCode.AUTHINFO_UNAVAIL, PamCode.USER_UNKNOWN, None)


def truth(folder: Path, text: str, module: Path) -> str:
    """Who gets in, as libpam decides."""
    found = ""
    for password, ukey in product(ROWS, COLUMNS):
        line = "/nowhere/missing.so" if ukey is None else f"{module} ukey {int(ukey)} 0"
        made = text.replace("pam_unix.so", f"{module} unix {int(password)} 0")
        (folder / "login").write_text(made.replace("pam_ukey.so", line))
        FAILURES.unlink(missing_ok=True)
        code = authenticate(folder, "login", USER, tty="/dev/tty1").code
        found += "i" if code == PamCode.SUCCESS else "-"
    return f"{found[:5]} {found[5:]}"


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_lets_in_whom_the_table_says(tmp_path: Path, pam_row: Path, name: str) -> None:
    file = tmp_path / "mine/login"
    file.parent.mkdir()
    file.write_text(STACKS[name])
    checked = check(Places(), "login", file, installed=True)
    assert checked.table is not None
    assert os.geteuid() == 0  # the caller is root, as of login
    found, wanted = letters(checked.table), truth(tmp_path, STACKS[name], pam_row)
    # A result that hangs on somebody's shell depends.
    sure = [(got, real) for got, real in zip(found, wanted, strict=True) if got != "?"]
    assert all(got == real for got, real in sure)
    assert found == wanted or "shell" in STACKS[name]
    findings = [finding for finding in checked.findings if finding.severity.value != "note"]
    assert bool(findings) == (letters(checked.table) != "i---- -----")
    # Nor does an open stack get a good word.
    assert (checked.who is not None and checked.who.value == "password and ukey") == (not findings)


@pytest.mark.parametrize("folder", [ISA, "$ISA/", "/nowhere/"])
def test_a_ukeys_module_by_another_name_lets_nobody_in(tmp_path: Path, folder: str) -> None:
    """Debian's libpam puts no folder in the place of $ISA."""
    file = tmp_path / "login"
    file.write_text(BOTH.replace("pam_ukey.so", f"{folder}pam_ukey.so"))
    checked = check(Places(), "login", file, installed=True)
    assert checked.table is not None
    assert letters(checked.table) == "----- -----"
    permit = file.read_text().replace("pam_ukey", "pam_permit").replace("pam_unix", "pam_permit")
    file.write_text(permit)
    assert authenticate(tmp_path, "login", USER).code == PamCode.MODULE_UNKNOWN
