# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What ``ukey probe`` found, for a bug report: in English, without serials, labels and names."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .bus import Row
from .output import printable

#: A reader's serial stands in brackets, or in its name as it is told elsewhere.
_BRACKETS = re.compile(r"[(\[][^)\]]*[)\]]")
#: Digits and letters in which a serial may stand: eight and more, with a digit.
_NUMBER = re.compile(r"\b(?=\w*\d)\w{8,}\b")


def report(status: Mapping[str, Any], readers: Sequence[Row]) -> str:
    """Lines of plain text."""
    return "\n".join(map(printable, _lines(status, readers)))


def _lines(status: Mapping[str, Any], readers: Sequence[Row]) -> Iterator[str]:
    yield f"pam-ukey {status.get('version')}, {_system()}, {platform.machine()}"
    yield f"pcscd answers: {_yes(status.get('pcscd'))}, readers: {len(readers)}"
    for reader in readers:
        yield ""
        yield f"reader: {_name(reader)}"
        for key in ("card", "refused", "virtual"):
            yield f"  {key}: {_yes(reader[key])}"
        for key in ("kind", "manufacturer", "atr", "error"):
            if reader[key]:
                yield f"  {key}: {_without(reader, str(reader[key]))}"
        looks = reader["looks"]
        assert isinstance(looks, list)
        for look in looks:
            yield f"  {look['kind']}: {'is one' if look['known'] else 'is none'}"
            if look["error"]:
                yield f"    error: {_without(reader, str(look['error']))}"
            yield from (f"    {line}" for line in look["asked"])
            yield from (f"    points to {line}" for line in look["points"])


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"


def _name(reader: Row) -> str:
    return _NUMBER.sub("…", _BRACKETS.sub("(…)", _without(reader, str(reader["reader"]))))


def _without(reader: Row, text: str) -> str:
    """`text` without what names this one ukey."""
    for name in (reader["serial"], reader["label"]):
        if name:
            text = text.replace(str(name), "…")
    return text


def _yes(value: object) -> str:
    return "unknown" if value is None else "yes" if value else "no"
