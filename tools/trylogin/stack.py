# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Facts about a service's stack that can be told before any question."""

from __future__ import annotations

from dataclasses import dataclass

from tools.language import _
from tools.pamcheck.modules import is_ukey
from tools.pamcheck.places import Places
from tools.pamcheck.reading import Unreadable
from tools.pamcheck.stack import OTHER, TooLong, load


@dataclass(frozen=True)
class Outlook:
    """Which file libpam takes, whether an auth line of it names pam_ukey, and what is odd."""

    file: str | None  #: None where there is none that can be read
    ukey: bool | None
    warnings: tuple[str, ...]


def outlook(service: str) -> Outlook:
    """Look at the stack of `service` as libpam would."""
    places = Places()
    own = places.find(service)
    file = own or places.find(OTHER)
    warnings = []
    if own is None:
        text = _("There is no file /etc/pam.d/{service}: libpam takes 'other' in its place.")
        warnings.append(text.format(service=service))
    try:
        stack = None if file is None else load(places, service, file)
    except (Unreadable, TooLong):
        stack = None
    if stack is None or file is None:
        warnings.append(_("The stack cannot be read; the log will say what libpam makes of it."))
        return Outlook(None, None, tuple(warnings))
    if own is not None and stack.fallen_back:
        text = _("{file} has no auth line: libpam takes those of 'other'.")
        warnings.append(text.format(file=own))
    ukey = any(is_ukey(module.line) for module in stack.modules())
    if not ukey:
        warnings.append(_("No auth line of this stack names pam_ukey: nobody is asked for a ukey."))
    return Outlook(str(file), ukey, tuple(warnings))
