# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The factors that a configuration names (``[services.NAME]``), and where each can be shown."""

from __future__ import annotations

from .pam import SSHD

UKEY = "ukey"  #: the ukey in a reader of this host, its PIN, and a signature
SSH_KEY = "ssh-key"  #: a key that sshd has verified
#: a login session that the person has opened from afar, with a key that sshd has verified
SESSION = "session"
NAMES = frozenset({UKEY, SSH_KEY, SESSION})
#: What people at this machine are asked for where the configuration does not say.
HERE = (UKEY,)


def from_afar(service: str) -> tuple[str, ...]:
    """What people from afar are asked for where the configuration does not say."""
    return (SSH_KEY,) if service in SSHD else ()


def misplaced(name: str, service: str, *, local: bool) -> str:
    """Why `service` can never be shown the factor `name` there; "" if it can."""
    if local and service in SSHD:
        return "has no say: people who come by sshd are from afar. Write factors_from_afar"
    if name == SSH_KEY and (local or service not in SSHD):
        return f'has "{SSH_KEY}", which nobody but sshd can be shown, from afar'
    if name == SESSION and (local or service in SSHD):
        return f'has "{SESSION}", which only programs in a session from afar can be shown'
    return ""
