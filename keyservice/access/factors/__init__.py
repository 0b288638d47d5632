# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The factors that people can prove at a login, beside the password: a line each."""

from __future__ import annotations

from keyservice.access.asking import Asking, asking
from keyservice.access.context import Context
from keyservice.access.identity import judge
from keyservice.core.errors import FactorMissing, UkeyError
from keyservice.core.username import Person

from .factor import Factor
from .session import Session, refusal
from .ssh_key import SshKey
from .ukey import Ukey

FACTORS: tuple[Factor, ...] = (Ukey(), SshKey(), Session())
#: By the names that a configuration has for them.
BY_NAME = {factor.name: factor for factor in FACTORS}


def asked(context: Context) -> tuple[Factor, ...]:
    """The factors that the login is asked for, in their order. It depends on no person: under
    ``uniform`` it decides whether there is a prompt."""
    return tuple(BY_NAME[name] for name in _asking(context).names)


def missing(context: Context, person: Person) -> UkeyError:
    """Why somebody who is enrolled, but in no factor that is asked for, is refused."""
    place, service, wanted = judge(context), context.request.service, _asking(context)
    if not place.local and wanted.nothing:
        return refusal(context, person)
    kind = BY_NAME[wanted.names[0]].missing if wanted.names else FactorMissing
    return kind(user=person.name, service=service)


def _asking(context: Context) -> Asking:
    rules, request, place = context.services.rules, context.request, judge(context)
    return asking(rules, request.service, local=place.local, host=bool(request.rhost))
