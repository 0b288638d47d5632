# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""All services at once, by Debian's pam-auth-update, which knows what else is in common-auth.

It runs in a copy first, so that its result can be judged; then in /etc, where it has to come to the
same one.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.language import _

from .block import Already, NotUnderstood
from .files import Change, Changed, look, replace

TOOL = Path("/usr/sbin/pam-auth-update")
PROFILE = Path("/usr/share/pam-configs/ukey")
_STACKS, STATE = Path("/etc/pam.d"), Path("/var/lib/pam")
_AUTHSELECT = Path("/usr/bin/authselect")
_SECONDS = 60
#: A database of answers of its own, for the run in the copy.
_DEBCONF = """\
Config: configdb
Templates: templatedb

Name: configdb
Driver: File
Filename: {folder}/config.dat

Name: templatedb
Driver: File
Filename: {folder}/templates.dat
"""


class NotThere(Exception):
    """This host has no tool that does it. The text says what to do, for people."""


def plan(*, enable: bool) -> list[Change]:
    """What pam-auth-update would change. Raises :class:`NotThere`, :class:`NotUnderstood`,
    :class:`Already` and ``OSError``."""
    if not TOOL.exists():
        if _AUTHSELECT.exists():
            text = _("authselect does it here: authselect select ukey-sssd with-ukey")
            raise NotThere(text)
        raise NotThere(_("neither pam-auth-update nor authselect is on this host"))
    if not PROFILE.exists():
        raise NotThere(_("{file} is missing; it comes with the package").format(file=PROFILE))
    if b"'--root'" not in TOOL.read_bytes():  # an older one would change /etc at once
        raise NotThere(_("this pam-auth-update is too old to be tried in a copy"))
    named = b"pam_ukey.so" in look(_STACKS / "common-auth")
    if named is enable:
        raise Already
    with tempfile.TemporaryDirectory(prefix="ukey-pam-") as name:
        root = Path(name)
        for folder in (_STACKS, STATE, PROFILE.parent):
            shutil.copytree(folder, root / folder.relative_to("/"), symlinks=True)
        (root / "debconf.conf").write_text(_DEBCONF.format(folder=root))
        _run(enable, "--root", name, variables={"DEBCONF_SYSTEMRC": f"{root}/debconf.conf"})
        changes = []
        for new in sorted((root / _STACKS.relative_to("/")).iterdir()):
            file = _STACKS / new.name
            if new.is_file() and not new.is_symlink():
                before, after = look(file) if file.exists() else b"", new.read_bytes()
                changes += [Change(file, before, after)] if before != after else []
    if not changes:
        text = _("pam-auth-update leaves files alone that were changed by hand, as they were here")
        raise NotUnderstood(text)
    return changes


def carry_out(changes: Sequence[Change], *, enable: bool) -> None:
    """Have it done, and see that it is what was planned; if not, the files are as before.

    Raises :class:`Changed` and ``OSError``.
    """
    for change in changes:
        if look(change.file) != change.before:
            raise Changed(str(change.file))
    remembered = {file: look(file) for file in state()}
    try:
        _run(enable)
        for change in changes:
            if look(change.file) != change.after:
                raise Changed(str(change.file))
            # The same once more, for what pam-auth-update leaves out: it is on the disk then.
            replace(Change(change.file, change.after, change.after))
    except BaseException:  # a second Ctrl-C too
        for change in changes:
            _put_back(change.file, change.before)
        for file, before in remembered.items():
            _put_back(file, before)
        raise


def state() -> list[Path]:
    """The files in which pam-auth-update remembers what it has done."""
    return [file for file in sorted(STATE.iterdir()) if file.is_file()] if STATE.is_dir() else []


def _put_back(file: Path, before: bytes) -> None:
    now = look(file)
    if now != before:
        replace(Change(file, now, before))


def _run(enable: bool, *words: str, variables: dict[str, str] | None = None) -> None:
    try:
        subprocess.run(
            [TOOL, *words, "--enable" if enable else "--disable", "ukey"],
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "LC_ALL": "C.UTF-8",
                "DEBIAN_FRONTEND": "noninteractive",
                **(variables or {}),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=True,
            start_new_session=True,  # Ctrl-C is for us: it would stop between file and state
        )
    except subprocess.SubprocessError as error:
        raise OSError(f"pam-auth-update: {type(error).__name__}") from None
