# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The factors that people can prove at a login, beside the password: a line each."""

from __future__ import annotations

from keyservice.access.context import Context
from keyservice.access.identity import judge
from keyservice.contract.pam import SSHD

from .factor import Factor
from .ssh_key import SshKey
from .ukey import Ukey

UKEY, SSH_KEY = Ukey(), SshKey()
#: In the order in which we look for a person: the first factor that they are enrolled in is asked.
FACTORS: tuple[Factor, ...] = (SSH_KEY, UKEY)


def asked(context: Context) -> tuple[Factor, ...]:
    """The factors that are asked of the caller, where it is and by its service. It depends on no
    person: under ``uniform`` it decides whether there is a prompt.

    From afar, sshd asks for the key that it has verified, and of people who have none for a ukey.
    """
    if not judge(context).local and context.request.service in SSHD:
        return FACTORS
    return tuple(factor for factor in FACTORS if factor is not SSH_KEY)
