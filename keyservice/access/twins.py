# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Several readers that show one serial: one ukey that is seen twice, or several of one serial."""

from __future__ import annotations

from keyservice.contract.names import Flag
from keyservice.core.errors import SeenTwice, SerialShared, SerialTwice, UkeyError
from keyservice.crypto.key import PublicKey
from keyservice.ukeys.operations import CONTAINERS, Arguments

from . import lookups
from .context import Context
from .services import UkeyHandle


async def told_apart(context: Context, error: SerialTwice) -> SerialTwice:
    """`error` as what it is, by the keys that the ukeys show; as it is if they show none.

    Under ``uniform`` nothing of it is told, so nothing is looked at.
    """
    if Flag.UNIFORM in context.request.flags:
        return error
    try:
        handles = context.services.ukeys.claiming(str(error.facts["serial"]))
        keys = [await _keys(context, each) for each in handles]
    except UkeyError:
        return error
    if len(keys) < 2 or not all(keys):
        return error
    same = all(each == keys[0] for each in keys)
    return (SeenTwice if same else SerialShared)("", **error.facts)


async def _keys(context: Context, handle: UkeyHandle) -> set[PublicKey]:
    """All signing keys that it shows."""
    until = lookups.deadline(context)
    places = await handle.do(CONTAINERS, Arguments(), until)
    return {await handle.public_key(each.ref, until) for each in places if each.has_key}
