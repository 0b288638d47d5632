# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Consoles: terminals that somebody stands in front of. One rule, for logins and for break-glass.

A stranger cannot make a virtual console, tty1 to tty63, their controlling terminal: only its owner
can open it for reading. The owner is root, or a person who is logged in there, or was: logind
leaves the console to what is left of a session after its end, so ``locality`` asks for that. Group
``dialout`` can open a serial line from anywhere. So on all other terminals only ``login`` counts,
which root's own getty has started, and only if the terminal is its controlling terminal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from keyservice.core import patterns
from keyservice.core.patterns import Piece

#: In a list of terminals: those that the kernel has as consoles (``console=`` of the boot line, or
#: the firmware's), such as ttyAMA0, xvc0, ttysclp0 and 3270/tty1.
KERNEL = "@kernel"
#: The service that getty starts.
LOGIN = "login"

_VIRTUAL = re.compile(r"tty(?:[1-9]|[1-5][0-9]|6[0-3])")
#: A name below /dev. No such name leads out of /dev.
_NAME = re.compile(r"(?:[A-Za-z0-9_]+/)?[A-Za-z0-9_]+")
_TTYS = Path("/sys/class/tty")

_WORD = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_REST = Piece(_WORD, often=True)
_BELOW = (*patterns.text("/"), Piece(_WORD), _REST)
_DIGITS = frozenset("0123456789")
#: All names that can be a console's, except for tty1 to tty63: none in a folder ``pts``, and no
#: other number behind ``tty``.
_SHAPES = (
    *patterns.otherwise("tty", _WORD),
    patterns.text("tty"),
    (*patterns.text("tty"), Piece(_WORD - _DIGITS), _REST),
    *((*shape, *_BELOW) for shape in patterns.otherwise("pts", _WORD)),
    (*patterns.text("pts"), Piece(_WORD), _REST, *_BELOW),
)
_NAME_MAX = 255


def name_of(tty: str) -> str:
    """The terminal's name below /dev, from either spelling; empty if `tty` is no such name."""
    name = tty.removeprefix("/dev/")
    return name if _NAME.fullmatch(name) and not name.startswith("pts/") else ""


def is_pseudo(tty: str) -> bool:
    """Whether the terminal is a window's, or of a program such as tmux: it may be anywhere."""
    return tty.removeprefix("/dev/").startswith("pts/")


def is_virtual(tty: str) -> bool:
    return _VIRTUAL.fullmatch(name_of(tty)) is not None


def number_of(tty: str) -> int:
    """The number of a virtual console: 1 to 63."""
    return int(name_of(tty).removeprefix("tty"))


def is_console(tty: str, service: str, listed: Sequence[str]) -> bool:
    """Whether `tty` is a console of this machine, for a program of the PAM service `service`.

    `listed`: shell patterns over names, with or without ``/dev/``, and ``@kernel``. For a terminal
    other than tty1 to tty63 the caller asks :func:`controls` as well.
    """
    name = name_of(tty)
    if not name or (service != LOGIN and not is_virtual(name)):
        return False
    if re.match("tty[0-9]", name) and not is_virtual(name):
        return False  # tty0 is the one in front, and there are no others
    if any(patterns.fits(name, pattern.removeprefix("/dev/")) for pattern in listed):
        return True
    return KERNEL in listed and name in _active("console")


def can_fit(pattern: str) -> bool:
    """Whether a pattern of ``locality.ttys`` can fit any console of any machine."""
    name = pattern.removeprefix("/dev/")
    if pattern == KERNEL or patterns.can_fit(name, _SHAPES, _NAME_MAX):
        return True
    return any(patterns.fits(f"tty{number}", name) for number in range(1, 64))


def is_there(pattern: str) -> bool:
    """Whether a terminal that this machine has now fits `pattern`."""
    name = pattern.removeprefix("/dev/")
    if pattern == KERNEL or "/" in name:
        return True  # no list of these is complete
    try:
        return any(patterns.fits(each.name, name) for each in _TTYS.iterdir())
    except OSError:
        return True  # nobody knows


def controls(terminal: int, tty: str) -> bool:
    """Whether `terminal`, the device number of a program's controlling terminal, is `tty`."""
    if terminal == 0:
        return False
    if _device(tty) == terminal:
        return True
    return name_of(tty) == "console" and _device(_behind_console()) == terminal


def _behind_console() -> str:
    """The terminal that /dev/console stands for: the last of the kernel's list."""
    name = _active("console")[-1:]
    if name == ["tty0"]:
        name = _active("tty0")[-1:]
    return "".join(name)


def _active(name: str) -> list[str]:
    try:
        return (_TTYS / name / "active").read_text("ascii").split()
    except (OSError, ValueError):
        return []


def _device(tty: str) -> int:
    """The number of a device below /dev, 0 where there is none."""
    try:
        return Path("/dev", tty.removeprefix("/dev/")).stat().st_rdev
    except (OSError, ValueError):
        return 0
