# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whether a card is a ukey of this kind, and which."""

from __future__ import annotations

from keyservice.transport.iso7816 import SW, Commands, ResponseError

from .data import CLA, DeviceInfo, Ins


def device_of(commands: Commands) -> DeviceInfo | None:
    """What GetDevInfo tells; None where the card is not of this kind.

    A card of another kind may answer anything, and is not a ukey that failed: it is left as it was,
    for the kinds that are tried after this one. Raises :class:`ResponseError` where a ukey of this
    kind has no serial that can be shown.
    """
    try:
        body, sw = commands.exchange(CLA, Ins.GET_DEV_INFO, 0, 0, le=DeviceInfo.LENGTH)
        if sw == SW.WRONG_LENGTH:
            body, sw = commands.exchange(CLA, Ins.GET_DEV_INFO, 0, 0, le=0)
    except ResponseError:
        return None
    if sw != SW.OK or len(body) != DeviceInfo.LENGTH:
        return None
    return DeviceInfo.parse(body)
