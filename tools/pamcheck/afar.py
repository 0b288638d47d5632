# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whether the keyservice lets people in from afar by a service, as its configuration says."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from enum import Enum

from keyservice.contract.factors import NAMES, SESSION, from_afar, misplaced
from keyservice.contract.names import CONFIG_FILE
from keyservice.contract.pam import SAME_SERVICE

from ..language import _
from .places import Places
from .programs import AT_HAND, FROM_AFAR
from .reading import Unreadable, read
from .world import AFAR, HERE, PLACE, Role, Variable


class Afar(Enum):
    """What the keyservice does with people who are not at this machine."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    NOT_KNOWN = "not known"


def afar(places: Places, service: str) -> Afar:
    """What the file says of `service`. Without a file, the defaults hold."""
    asked = factors(places, service)
    if asked is None:
        return Afar.NOT_KNOWN
    # programs that serve people elsewhere, and nobody else, run in no session of theirs
    usable = [each for each in asked if each != SESSION or service not in FROM_AFAR]
    return Afar.ALLOWED if usable else Afar.REFUSED


def factors(places: Places, service: str) -> Sequence[str] | None:
    """The factors that people from afar are asked for; None where that is not known."""
    try:
        path = places.follow(places.root / CONFIG_FILE.lstrip("/"))
        content = tomllib.loads(read(path).decode())
    except Unreadable as error:
        return from_afar(service) if error.missing else None
    except ValueError:  # no TOML, or no UTF-8: the keyservice does not start
        return None
    services = content.get("services", {})
    names = (service, SAME_SERVICE.get(service, ""))
    rule = _first(services, names) if isinstance(services, dict) else None
    if not isinstance(rule, dict) or "allow_remote" in rule:  # which was a key once
        return None
    asked = rule.get("factors_from_afar", list(from_afar(service)))
    if not isinstance(asked, list):
        return None
    usable = all(isinstance(each, str) and each in NAMES for each in asked)
    if not usable or len(set(asked)) < len(asked):
        return None
    if any(misplaced(each, service, local=False) for each in asked):
        return None
    return asked


def _first(services: Mapping[str, object], names: Sequence[str]) -> object:
    """The table that the keyservice goes by: the service's, or that of the service of which this is
    another name."""
    return next((services[name] for name in names if name in services), {})


def place(places: Places, service: str, *, installed: bool) -> Variable | None:
    """Where people who come to `service` can be, if it matters. `installed`: on this host."""
    found = afar(places, service)
    if found is Afar.ALLOWED or service in AT_HAND:
        return None
    if service not in FROM_AFAR:
        texts = (_("where the person is at this machine"), _("where the person is elsewhere"))
        return Variable(PLACE, (HERE, AFAR), Role.PLACE, texts)
    texts = (_("where the keyservice lets in from afar"), _("where it refuses that"))
    if found is Afar.REFUSED and installed:
        return Variable(PLACE, (AFAR,), Role.PLACE, texts[1:])
    return Variable(PLACE, (HERE, AFAR), Role.PLACE, texts)
