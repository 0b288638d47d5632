# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The settings of all kinds of ukey in a message: the index of the choice for each, a byte, in the
order in which they are known."""

from __future__ import annotations

from . import kinds
from .kind import Values


def pack(values: Values) -> bytes:
    """The usual choice for what is not in `values`."""
    return bytes(
        setting.choices.index(values.get(name, setting.usual))
        for name, setting in kinds.settings().items()
    )


def unpack(packed: bytes) -> Values:
    """A choice for each setting. Raises ValueError and IndexError for what :func:`pack` cannot have
    made."""
    known = kinds.settings().values()
    return {
        setting.name: setting.choices[index] for setting, index in zip(known, packed, strict=True)
    }


def unusual(values: Values) -> Values:
    """Those that are not the usual ones."""
    known = kinds.settings()
    return {name: value for name, value in values.items() if value != known[name].usual}
