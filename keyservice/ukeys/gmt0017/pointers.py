# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which settings a ukey's answers point to, as far as it tells without a PIN.

What makes a key of the PIN, what is encrypted and what a MAC counts shows at PIN commands only,
where a wrong guess costs a try. They are told by the maker's name alone, where its own library is
known to speak so.
"""

from __future__ import annotations

from dataclasses import replace

from keyservice.core.errors import UkeyFailed
from keyservice.ukeys.kind import Ukey, Values

from .settings import (
    NAME_LENGTHS,
    ByteOrder,
    ExpectedLength,
    MacLength,
    PinBlock,
    Quirks,
    SizeOrder,
)
from .ukey import Gmt0017

#: What stands in the names of makers, in lower case, and how their own libraries speak.
_MAKERS: tuple[tuple[str, Values], ...] = (
    (
        "longmai",
        {
            "mac_length": MacLength.WIRE.value,
            "pin_block": PinBlock.SIZED.value,
            "size_order": SizeOrder.OTHER.value,
        },
    ),
)


def pointed(ukey: Ukey) -> Values:
    """See :meth:`keyservice.ukeys.kind.Kind.pointed`."""
    assert isinstance(ukey, Gmt0017)
    found: dict[str, str | int] = {}
    for maker, values in _MAKERS:
        if maker in ukey.info().manufacturer.lower():
            found |= values
    usual = Quirks(name_length=NAME_LENGTHS[-1])
    try:
        ukey.quirks = usual
        names = _names(ukey)
    except UkeyFailed:  # it may refuse the length that it is told to answer with
        ukey.quirks = usual = replace(usual, expected_length=ExpectedLength.ANY)
        names = _names(ukey)
        found["expected_length"] = ExpectedLength.ANY.value
    if any(len(name.encode()) > NAME_LENGTHS[0] for name in names):
        found["name_length"] = NAME_LENGTHS[-1]
    if not _has_key(ukey, usual) and _has_key(ukey, replace(usual, byte_order=ByteOrder.BIG)):
        found["byte_order"] = ByteOrder.BIG.value
    return found


def _names(ukey: Gmt0017) -> list[str]:
    """All names on the ukey, of applications and containers."""
    containers = [each.ref.container for each in ukey.containers()]
    return [*ukey.applications(), *containers]


def _has_key(ukey: Gmt0017, quirks: Quirks) -> bool:
    ukey.quirks = quirks
    return any(each.has_key for each in ukey.containers())
