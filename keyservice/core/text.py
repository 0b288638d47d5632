# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Other people's text, in a form that a terminal may show."""

from __future__ import annotations

import unicodedata

_UNSHOWN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})


def is_plain(text: str) -> bool:
    """Whether a terminal shows `text` as it is: no control, formatting or unassigned characters."""
    return (text.isascii() and text.isprintable()) or not any(map(_unshown, text))


def plain(text: str) -> str:
    """`text` with a question mark for each character that is not plain."""
    return "".join("?" if _unshown(char) else char for char in text)


def _unshown(char: str) -> bool:
    return char == "\ufffd" or unicodedata.category(char) in _UNSHOWN
