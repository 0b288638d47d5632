# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What the configuration says of consoles. It can be read by itself, since break-glass may not wait
for all that the keyservice needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from keyservice.access.consoles import KERNEL
from keyservice.access.settings import Rules
from keyservice.core import tables
from keyservice.core.tables import Table

_TTY = re.compile(rf"(?!@).*|{KERNEL}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Glass:
    """The settings that break-glass needs."""

    ttys: tuple[str, ...] = Rules().local_ttys
    serial: bool = True


def load_glass(path: Path) -> Glass:
    """What the file says of consoles, whatever else is wrong with it: break-glass may be needed
    because of such a mistake. Raises :class:`ConfigurationError`."""
    return tables.load(path, _glass, required=False, trusted=True) or Glass()


def _glass(top: Table) -> Glass:
    return Glass(ttys_of(top.table("locality")), serial_of(top.table("breakglass")))


def ttys_of(table: Table) -> tuple[str, ...]:
    return table.texts(
        "ttys", Rules().local_ttys, _TTY, f'terminals such as "ttyS0", or "{KERNEL}"'
    )


def serial_of(table: Table) -> bool:
    return table.boolean("serial", True)
