# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A run that is killed at any of its steps, or cannot write, leaves each file whole: the old one or
the new one; and the command that it printed puts all of them back, in a shell without our tools."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.pamcheck.hosts import Host
from tests.pamedit.debian import changes
from tests.support.process import must
from tools.pamedit import files
from tools.pamedit.files import Change, Changed

NOW = datetime(2026, 1, 2, 3, 4, 5)
SERVICES = ("login", "su", "sshd", "sudo")
#: What the functions of files.py ask the kernel for, and what shutil asks in their names.
_CALLS = (
    "open",
    "read",
    "write",
    "fsync",
    "rename",
    "unlink",
    "mkdir",
    "chown",
    "chmod",
    "utime",
    "setxattr",
    "close",
)


def whole_run(backups: Path, made: list[Change]) -> None:
    with files.locked(backups):
        files.keep([change.file for change in made], backups, NOW)
        for change in made:
            files.replace(change)


def killed_at(step: int, work: Callable[[], None]) -> bool:
    """Whether `work` was killed before its system call of that number."""
    pid = os.fork()
    if pid == 0:
        count = 0

        def counting(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **named: Any) -> Any:
                nonlocal count
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **named)

            return call

        for name in _CALLS:
            setattr(os, name, counting(getattr(os, name)))
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def test_killed_at_each_step(debian: Host, tmp_path: Path) -> None:
    made = changes(debian.places, *SERVICES)
    backups = tmp_path / "backups"
    before = {path.name: path.read_bytes() for path in debian.pam_d.iterdir()}
    step, mixed = 0, 0
    killed = True
    while killed:
        step += 1
        killed = killed_at(step, lambda: whole_run(backups, made))
        now = [change.file.read_bytes() for change in made]
        pairs = list(zip(now, made, strict=True))
        assert all(text in (change.before, change.after) for text, change in pairs), step
        mixed += len({text == change.after for text, change in pairs}) == 2
        new = any(text == change.after for text, change in pairs)
        backup = max(backups.iterdir(), default=None) if backups.exists() else None
        if new:
            assert backup is not None
            undone(debian.pam_d, backup)
        left = {path.name for path in debian.pam_d.iterdir()} - set(before)
        assert all(name.startswith(".") for name in left), left
        assert {name: (debian.pam_d / name).read_bytes() for name in before} == before, step
        whole_run(tmp_path / "again", made)  # nothing that was left is in its way
        assert {path.name for path in debian.pam_d.iterdir()} == set(before), step
        undone(debian.pam_d, max((tmp_path / "again").iterdir(), key=os.path.getmtime))
        must(["rm", "-rf", backups, tmp_path / "again"])
    assert step > 60
    assert mixed > 10


def undone(pam_d: Path, backup: Path) -> None:
    """With a PATH of what every rescue system has."""
    must(["/bin/sh", "-c", files.undo(backup, pam_d)], env={"PATH": "/bin"})
    assert pam_d.stat().st_mode & 0o777 == 0o755


def test_owner_and_mode_stay(debian: Host, tmp_path: Path) -> None:
    (change,) = changes(debian.places, "login")
    change.file.chmod(0o640)
    os.chown(change.file, 0, 42)
    (tmp_path / "backups").mkdir()
    backup = files.keep([change.file], tmp_path / "backups", NOW)
    files.replace(change)
    undoing = change.file.read_bytes()
    assert undoing == change.after
    for path in (change.file, backup / "login"):
        status = path.stat()
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o640, 0, 42)
    assert (backup.stat().st_mode & 0o777, backup.name) == (0o700, "pam.d-20260102-030405")
    undone(debian.pam_d, backup)
    assert change.file.read_bytes() == change.before


def test_backups_do_not_nest_and_none_is_written_over(debian: Host, tmp_path: Path) -> None:
    (change,) = changes(debian.places, "login")
    (tmp_path / "b").mkdir()
    first, second = (files.keep([change.file], tmp_path / "b", NOW) for _turn in range(2))
    assert first != second
    assert [path.name for path in first.iterdir()] == ["login"]
    assert not files.BACKUPS.is_relative_to("/etc")


def test_a_file_that_somebody_else_changed_is_left(debian: Host) -> None:
    (change,) = changes(debian.places, "login")
    change.file.write_text("auth required pam_deny.so\n")
    with pytest.raises(Changed):
        files.replace(change)
    assert change.file.read_text() == "auth required pam_deny.so\n"
    assert {path.name[0] for path in debian.pam_d.iterdir()} >= {"l"}
    assert not list(debian.pam_d.glob(".*"))


@pytest.mark.parametrize("make", [Path.symlink_to, Path.hardlink_to])
def test_a_link_is_not_followed(debian: Host, make: Callable[[Path, Path], None]) -> None:
    real = debian.root / "elsewhere"
    (debian.pam_d / "login").rename(real)
    make(debian.pam_d / "login", real)
    with pytest.raises(OSError, match="link"):
        files.look(debian.pam_d / "login")


def test_one_at_a_time(tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    with files.locked(backups), pytest.raises(BlockingIOError), files.locked(backups):
        pass


def test_root_alone_can_open_what_is_locked(tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    backups.mkdir(mode=0o755)
    with files.locked(backups):
        assert backups.stat().st_mode & 0o777 == 0o700
