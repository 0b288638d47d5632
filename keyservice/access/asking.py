# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which factors a login is asked for: it depends on the service, and on whether the person is at
this machine.

It depends on no person: under ``uniform``, whether there is a prompt must tell nobody who is
enrolled. ``docs/factors.md`` has the table of what follows.
"""

from __future__ import annotations

from dataclasses import dataclass

from keyservice.contract.factors import HERE, UKEY, from_afar

from .settings import Rules


@dataclass(frozen=True, slots=True)
class Asking:
    """The factors that a login is asked for: the first one that the person is enrolled in."""

    names: tuple[str, ...]
    #: A ukey counts only in a session that was opened with the same ukey (``admissions``).
    admitted: bool = False

    @property
    def nothing(self) -> bool:
        """Whether nothing is asked for, unless a ukey has opened the session."""
        return not self.names or (self.admitted and self.names == (UKEY,))


def asking(rules: Rules, service: str, *, local: bool, host: bool) -> Asking:
    """What `service` asks for. `local`: the person is at this machine. `host`: the service names
    the machine that they come from, so that it is no program inside a session of theirs."""
    rule = rules.service(service)
    if local:
        return Asking(HERE if rule.factors is None else rule.factors)
    if rule.factors_from_afar is not None:
        return Asking(rule.factors_from_afar)
    names = from_afar(service)
    return Asking(names) if host else Asking((*names, UKEY), admitted=True)
