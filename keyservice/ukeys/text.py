# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What text from a ukey may look like, on both sides of the wall between service and worker."""

from __future__ import annotations

import unicodedata

SERIAL_MAX = 32  #: bytes, printable ASCII
NAME_MAX = 48  #: bytes of UTF-8, of an application or a container

_UNSHOWN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})


def is_plain(text: str) -> bool:
    """Whether a terminal shows `text` as it is: no control, formatting or unassigned characters."""
    return (text.isascii() and text.isprintable()) or not any(map(_unshown, text))


def plain(text: str) -> str:
    """`text` with a question mark for each character that is not plain."""
    return "".join("?" if _unshown(char) else char for char in text)


def is_serial(text: str) -> bool:
    """Whether `text` can be a serial: 1 to 32 printable ASCII characters, no space."""
    return 1 <= len(text) <= SERIAL_MAX and all("!" <= char <= "~" for char in text)


def is_name(text: str, limit: int = NAME_MAX) -> bool:
    """Whether `text` can name an application or a container."""
    return 1 <= len(text.encode("utf-8", "replace")) <= limit and is_plain(text)


def _unshown(char: str) -> bool:
    return char == "\ufffd" or unicodedata.category(char) in _UNSHOWN
