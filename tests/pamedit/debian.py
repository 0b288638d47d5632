# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Stacks as Debian 12 ships them, without comments and session modules."""

from __future__ import annotations

from tests.support import CHECKOUT
from tools.pamcheck.places import Places
from tools.pamedit import block
from tools.pamedit.files import Change
from tools.pamedit.private import private
from tools.pamedit.verdicts import Judge, reached

EXAMPLES = CHECKOUT / "pam.d-examples/debian/helpful"

STACKS = {
    "common-auth": """\
# here are the per-package modules (the "Primary" block)
auth	[success=1 default=ignore]	pam_unix.so nullok
auth	requisite			pam_deny.so
auth	required			pam_permit.so
# and here are more per-package modules (the "Additional" block)
auth	optional			pam_cap.so
""",
    "common-account": "account required pam_unix.so\n",
    "other": "auth required pam_deny.so\naccount required pam_deny.so\n",
    "login": """\
auth       optional   pam_faildelay.so  delay=3000000
auth       requisite  pam_nologin.so
# Standard Un*x authentication.
@include common-auth
auth       optional   pam_group.so
@include common-account
session    required   pam_limits.so
""",
    "su": """\
auth       sufficient pam_rootok.so
# auth       required   pam_wheel.so
@include common-auth
@include common-account
""",
    "su-l": "auth include su\naccount include su\n",
    "sshd": "@include common-auth\naccount required pam_nologin.so\n@include common-account\n",
    "sudo": "session required pam_limits.so\n@include common-auth\n@include common-account\n",
    "cron": "@include common-auth\n@include common-account\n",
    "plain": "auth requisite pam_unix.so nullok\naccount required pam_unix.so\n",
}


def changes(places: Places, *services: str) -> list[Change]:
    """What enable would change; raises as :func:`block.enabled`."""
    found = []
    for service in services:
        file = places.folders[0] / service
        before = file.read_bytes()
        found.append(Change(file, before, block.enabled(places, service, file, before)))
    return found


def forbidden(places: Places, made: list[Change]) -> list[tuple[str, str]]:
    """Service and kind of what forbids it."""
    services = reached(places, made)
    with private(places, made) as folder:
        named = {change.file.name for change in made}
        found = Judge(places, services, folder).enabling(named)
    return [(service, finding.kind) for service, finding in found]
