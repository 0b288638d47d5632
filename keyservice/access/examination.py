# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What ``ukey probe`` is told: the readers, and what each kind of ukeys finds in them."""

from __future__ import annotations

import asyncio

from keyservice.core.errors import UkeyError
from keyservice.core.reasons import WHY, carried
from keyservice.ukeys.examination import Examination, Look
from keyservice.ukeys.reader import Examined

from .services import Ukeys

#: A row of an answer: text, numbers and yes or no, by name.
Row = dict[str, str | int | bool]

#: Seconds that all cards together may take: less than the tools wait for an answer.
DEADLINE = 12.0


async def rows(ukeys: Ukeys) -> tuple[list[Row], list[Row]]:
    """One row for each reader, and one for each kind's look at what is in it."""
    readers: list[Row] = []
    looks: list[Row] = []
    for each in await ukeys.examine(asyncio.get_running_loop().time() + DEADLINE):
        readers.append(_reader(each))
        if isinstance(each.result, Examination):
            looks += (_look(each.status.reader, look) for look in each.result.looks)
    return readers, looks


def _reader(examined: Examined) -> Row:
    status, result = examined.status, examined.result
    row: Row = {
        "reader": status.reader,
        "card": status.card_present,
        "refused": status.refused,
        "virtual": status.virtual,
    }
    if status.info is not None:
        row |= {"kind": status.info.kind, "serial": status.info.serial}
        row |= {"label": status.info.label, "manufacturer": status.info.manufacturer}
    if isinstance(result, Examination):
        row["atr"] = result.atr.hex()
    if isinstance(result, UkeyError):
        row["error"] = result.name
        why = result.facts.get(WHY)
        if why is not None:
            row |= {WHY: str(why), **carried(str(why), result.facts)}
    return row


def _look(reader: str, look: Look) -> Row:
    """`asked`: the header of each command, the status word, the bytes of the answer."""
    asked = (f"{each.header.hex()} {each.sw:04x} {each.length}" for each in look.exchanges)
    points = (f"{name} = {_toml(value)}" for name, value in look.values.items())
    row: Row = {"reader": reader, "kind": look.kind, "known": look.known}
    row |= {"asked": "\n".join(asked), "points": "\n".join(points)}
    if look.error:
        row["error"] = look.error
    return row


def _toml(value: str | int) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
