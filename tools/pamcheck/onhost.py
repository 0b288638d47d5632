# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Faults of the things that a stack needs on its host: modules that fail, files that others own."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from ..language import _
from .controls import action
from .finding import Finding, Severity
from .lines import Line
from .modules import exec_words, is_interpreter, is_ukey, without_auth
from .places import Places
from .reading import is_sticky, others_may_add, others_may_write
from .remedy import mended
from .stack import Stack

_LINKS_MAX = 40
#: Words that name a file by which a module lets in.
_FILES = {
    "pam_access": "accessfile=",
    "pam_echo": "file=",
    "pam_listfile": "file=",
    "pam_localuser": "file=",
    "pam_pwdfile": "pwdfile=",
    "pam_userdb": "db=",
}


def missing(stack: Stack, places: Places | None) -> Iterator[Finding]:
    """Modules that fail for everybody. `places`: where to look for them; without it, their names
    tell."""
    for module in stack.modules():
        line = module.line
        if line.fault is not None:
            continue
        lost = not line.loadable or (places is not None and places.lacks(line.module))
        mute = not lost and not is_ukey(line) and without_auth(line, places)
        if not lost and not mute:
            continue
        passed_over = action(line.control, None) == "ignore"
        if passed_over and line.silent:
            continue
        if passed_over:
            text = _("{module} is missing, and its failure is passed over")
            if mute:
                text = _("{module} has no part for auth lines, and its failure is passed over")
            severity = Severity.OPEN if is_ukey(line) else Severity.NOTE
        else:
            text = _("{module} is missing: nobody gets past this line")
            if mute:
                text = _("{module} has no part for auth lines: nobody gets past this line")
            severity = Severity.SHUT
        remedy, write = _("install it, or take the line out"), ""
        if not line.loadable:
            remedy, write = mended(line)
        elif mute:
            remedy = _("take the line out, or write session in place of auth where that was meant")
        yield Finding(
            "no-auth-part" if mute else "module-missing",
            severity,
            line.place,
            text.format(module=line.module),
            remedy,
            write,
        )


def changeable(stack: Stack, places: Places, *, installed: bool) -> Iterator[Finding]:
    """Files, and folders above them, that others than root can change, or put there. `installed`:
    the stack is one of this host's; of other stacks only the files that they name by a whole path
    are looked at.
    """
    if os.geteuid() != 0 and places.root != Path("/"):
        return  # an image of somebody's own: its owners are not those that it will have
    told: set[Path] = set()
    for file in stack.files if installed else ():
        for path in _others(places, file):
            if path not in told:
                told.add(path)
                yield _writable(path, "755" if path.is_dir() else "644")
    for module in stack.modules():
        for file in _named(module.line, places, installed=installed):
            for path in _others(places, file):
                if path not in told:
                    told.add(path)
                    yield _another(path, file)


def _named(line: Line, places: Places, *, installed: bool) -> Iterator[Path]:
    """The files that run as root by this line, or that decide."""
    if line.module.startswith("/") or installed:
        file = places.module(line.module)
        if file is not None:
            yield file
        elif line.module.startswith("/") and "$ISA" not in line.module:
            yield places.root / line.module.lstrip("/")
    words = exec_words(line)[1] if line.name == "pam_exec" else ()
    if is_interpreter(line):
        words = line.args
    given = _FILES.get(line.name)
    files = [word.partition("=")[2] for word in line.args if given and word.startswith(given)]
    for word in (*words[:1], *files):
        if word.startswith("/"):
            yield places.root / word.lstrip("/")


def _others(places: Places, file: Path) -> Iterator[Path]:
    """`file` and the folders above it that others than root own or may write, links followed."""
    # The path is not resolved: a link on the way is somebody's too.
    root, file = (Path(os.path.abspath(each)) for each in (places.root, file))  # noqa: PTH100
    root = root if file.is_relative_to(root) else Path("/")
    left = list(file.relative_to(root).parts)[::-1]
    path, sticky, links = root, False, 0
    while left:
        part = left.pop()
        path = path.parent if part == ".." else path / part
        try:
            status = path.lstat()
        except (FileNotFoundError, ValueError):
            if sticky:  # others can put it there
                yield path.parent
            return
        except OSError:
            return
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > _LINKS_MAX:
                return
            target = path.readlink()
            path = root if target.is_absolute() else path.parent
            left += [each for each in target.parts if each != "/"][::-1]
            continue
        sticky = is_sticky(status) and others_may_add(status)
        if others_may_write(status):
            yield path


def _writable(path: Path, mode: str) -> Finding:
    name = shlex.quote(str(path))
    return Finding(
        "file-writable",
        Severity.OPEN,
        str(path),
        _("others than root can change it, and so let in whom they like"),
        _("run:"),
        f"chown root:root {name} && chmod {mode} {name}",
    )


def _another(path: Path, file: Path) -> Finding:
    """The remedy for a file that a line names: somebody's folder is not made root's."""
    found = path.stat()
    if not stat.S_ISDIR(found.st_mode):
        return _writable(path, "755" if found.st_mode & stat.S_IXUSR else "644")
    return Finding(
        "file-writable",
        Severity.OPEN,
        str(path),
        _("others than root can change it, and so let in whom they like"),
        _("move {file} to where root alone can write").format(file=file),
    )
