# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whether a shared object defines a function, read from the file: nothing is loaded.

libpam asks dlsym for the functions of a module. A module that lacks the one for auth lines fails
there like one that is missing.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
from contextlib import closing
from enum import Enum
from pathlib import Path

_DYNSYM = 11
_UNDEFINED = 0


class Has(Enum):
    YES = "yes"
    NO = "no"
    BROKEN = "broken"  #: no shared object at all: no program can load it
    UNKNOWN = "unknown"  #: it cannot be read, or is built in a way that is not understood


def defines(path: Path, symbol: str) -> Has:
    """Whether the regular file `path` defines `symbol` among its dynamic symbols."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return Has.UNKNOWN
    with os.fdopen(descriptor, "rb"):
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size < 64:
            return Has.BROKEN
        try:
            content = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):
            return Has.UNKNOWN
    with closing(content):
        if content[:4] != b"\x7fELF":
            return Has.BROKEN
        name = symbol.encode() + b"\0"
        if content.find(name) < 0:
            return Has.NO
        try:
            return _among_symbols(content, name)
        except (struct.error, IndexError):
            return Has.UNKNOWN


def _among_symbols(content: mmap.mmap, name: bytes) -> Has:
    wide, order = content[4] == 2, "<" if content[5] == 1 else ">"
    if content[4] not in (1, 2) or content[5] not in (1, 2):
        return Has.UNKNOWN
    (start,) = struct.unpack_from(order + ("Q" if wide else "I"), content, 40 if wide else 32)
    size, count = struct.unpack_from(order + "HH", content, 58 if wide else 46)
    # type, offset, size, link: where they stand in a section's header
    header = order + ("4xI16xQQI" if wide else "4xI8xIII")
    headers = [struct.unpack_from(header, content, start + size * n) for n in range(count)]
    found = Has.UNKNOWN
    for kind, offset, length, link in headers:
        if kind != _DYNSYM:
            continue
        _kind, names, names_length, _link = headers[link]
        for at in range(offset, offset + length, 24 if wide else 16):
            if wide:
                text, section = struct.unpack_from(order + "I2xH", content, at)
            else:
                text, section = struct.unpack_from(order + "I10xH", content, at)
            begin = names + text
            if text < names_length and content[begin : begin + len(name)] == name:
                # A function that is only used may come from a library that is loaded with it.
                return Has.UNKNOWN if section == _UNDEFINED else Has.YES
        found = Has.NO
    return found
