# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which ukey differs from others of its kind: the rules of ``[[quirks]]``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from keyservice.core.patterns import fits

from .kind import Values


@dataclass(frozen=True, slots=True)
class QuirkRule:
    """`values` for the ukeys that fit all three patterns (shell globs, case matters)."""

    reader: str = "*"
    manufacturer: str = "*"
    serial: str = "*"
    values: Mapping[str, str | int] = field(default_factory=dict)

    def fits(self, reader: str, manufacturer: str, serial: str) -> bool:
        return (
            fits(reader, self.reader)
            and fits(manufacturer, self.manufacturer)
            and fits(serial, self.serial)
        )


def choose(rules: tuple[QuirkRule, ...], reader: str, manufacturer: str, serial: str) -> Values:
    """The values of the first rule that fits; no values if no rule does."""
    for rule in rules:
        if rule.fits(reader, manufacturer, serial):
            return rule.values
    return {}
