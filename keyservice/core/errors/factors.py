# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a service asks for, and somebody who is enrolled does not have."""

from __future__ import annotations

from keyservice.core.codes import Code, ErrorName, Exit
from keyservice.core.marks import N_

from .base import UkeyError


class FactorMissing(UkeyError):
    """The user is enrolled, but in no factor that the service asks for. Facts: user, service.

    It never ends in the code of people who are not enrolled: a stack may let those in.
    """

    name, code, exit = ErrorName.FACTOR_MISSING, Code.PERM_DENIED, Exit.NOT_BOUND
    text = N_(
        "{service} lets in nobody who is at this machine: 'factors' in [services.{service}] of"
        " keyservice.toml is empty."
    )
    login_text = N_(
        "Nobody may do this at this machine: 'factors' of {service} is empty. Ask an administrator."
    )


class UkeyMissing(FactorMissing):
    """The service asks for a ukey; the user has ssh keys only. Facts: user, service."""

    text = N_(
        "{service} asks for a ukey here, and none is bound to {user}, who has an ssh key only. An"
        " administrator binds one with: getpubkey {user}"
    )
    login_text = N_(
        "Only a ukey lets you in here, and none is bound to you on this host: your ssh key is for"
        " ssh. Ask an administrator."
    )


class SshKeyUnregistered(FactorMissing):
    """The service asks for an ssh key; the user has a ukey only. Facts: user, service."""

    text = N_(
        "{service} asks people from another machine for an ssh key, and none is registered for"
        " {user}. An administrator adds one with 'ukey ssh-key add {user} --from-file FILE'."
    )
    login_text = N_(
        "From another machine, only an ssh key lets you in, and none is registered for you on this"
        " host. Log in at this machine itself, or ask an administrator."
    )
