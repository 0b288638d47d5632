# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A person's record as text, which can be read and compared."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from keyservice.core.errors import UkeyError
from keyservice.core.reasons import Reason, Unfit
from keyservice.core.username import check
from keyservice.crypto import algorithms

from . import lines
from .records import Binding

VERSION = 1
RECORD_MAX = 8192  #: bytes
#: The fields of a record, in their order.
_FIELDS = (
    ("user", str),
    ("uid", int),
    ("serial", str),
    ("kind", str),
    ("application", str),
    ("container", str),
    ("algorithm", str),
    ("public_key", str),
    ("attested", bool),
    ("bound_at", str),
    ("bound_by", int),
)


def serialize(bindings: Sequence[Binding]) -> bytes:
    """The record's text: JSON, one field a line, ASCII. `bindings`: all of one person."""
    (binding,) = bindings
    fields: dict[str, Any] = {name: getattr(binding, name) for name, _ in _FIELDS}
    return lines.text({"version": VERSION, **fields}, indent=2)


def parse(content: bytes) -> tuple[Binding, ...]:
    """The bindings in a record's text, one at least. Raises :class:`Unfit`."""
    found = lines.read(content)
    lines.check_version(found, VERSION)
    binding = Binding(**lines.checked(found, dict(_FIELDS)))
    _check(binding)
    return (binding,)


def _check(binding: Binding) -> None:
    try:
        check(binding.user)
    except UkeyError as error:
        raise Unfit(error.reason or Reason.USER_CHARACTERS) from None
    if not 0 <= binding.uid < 2**32 - 1 or not -1 <= binding.bound_by < 2**32:
        raise Unfit(Reason.UID)
    if not binding.serial or not binding.kind:
        raise Unfit(Reason.EMPTY)
    _check_key(binding)
    try:
        datetime.fromisoformat(binding.bound_at)
    except ValueError:
        raise Unfit(Reason.TIME) from None


def _check_key(binding: Binding) -> None:
    if binding.algorithm not in algorithms.ALGORITHMS:
        raise Unfit(Reason.ALGORITHM)
    try:
        key = binding.key
    except ValueError:
        raise Unfit(Reason.KEY) from None
    if len(binding.public_key) != 2 * len(key.encoded):  # bytes.fromhex ignores spaces
        raise Unfit(Reason.KEY)
    if not algorithms.has_form(key):
        raise Unfit(Reason.KEY)
