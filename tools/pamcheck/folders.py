# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which folders a host's libpam reads services and modules from: its own file says so.

libpam is built with their names, one format for each (``/etc/pam.d/%s``), in its order; it has no
function that tells them. ``tests/pamcheck/test_folders.py`` compares what is read here with what
libpam then opens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_LIBRARIES = tuple(
    f"{folder}/libpam.so.0"
    for folder in ("lib/*", "usr/lib/*", "lib64", "usr/lib64", "lib", "usr/lib")
)
_FORMAT = re.compile(rb"\0(/[!-~]*/pam\.d)/%s(?=\0)")
_MODULES = re.compile(rb"\0(/[!-~]*/security)/?(?=\0)")
#: No libpam is as large as this.
_BYTES_MAX = 1 << 24
#: Every libpam's, and the administrator's.
ADMINISTRATORS = "etc/pam.d"
#: The folders in which distributions keep services, if their libpam is built for that.
_ALL = (ADMINISTRATORS, "usr/lib/pam.d", "usr/etc/pam.d", "usr/share/pam.d")


def read_by_libpam(root: Path) -> tuple[str, ...] | None:
    """Folders below `root` that its libpam reads; None where that cannot be seen.

    Of a root without a libpam, such as a copy of somebody's /etc, this host's counts, which runs
    the stacks here.
    """
    there = _libraries(root) or _libraries(Path("/"))
    found = {tuple(_named(library, _FORMAT)) for library in there}
    folders = found.pop() if len(found) == 1 else ()  # there may be one for two architectures each
    return folders if folders[:1] == (ADMINISTRATORS,) else None


def modules_of_libpam(root: Path) -> tuple[str, ...] | None:
    """Folders below `root` in which its own libpam looks for modules; None where that cannot be
    seen."""
    found = [name for library in _libraries(root) for name in _named(library, _MODULES)]
    return tuple(dict.fromkeys(found)) or None


def others(read: Sequence[str]) -> tuple[str, ...]:
    """Folders of services that a libpam which reads `read` passes by."""
    return tuple(folder for folder in _ALL if folder not in read)


def _libraries(root: Path) -> list[Path]:
    return [path for pattern in _LIBRARIES for path in root.glob(pattern)]


def _named(library: Path, pattern: re.Pattern[bytes]) -> list[str]:
    """The folders that a libpam is built with, without the slash in front."""
    try:
        with library.open("rb") as file:
            content = file.read(_BYTES_MAX)
    except OSError:
        return []
    names = dict.fromkeys(match[1].decode() for match in pattern.finditer(content))
    return [name.lstrip("/") for name in names]
