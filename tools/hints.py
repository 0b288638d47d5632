# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What to run next, by the name of the error, where the service's own text does not say it: the
service speaks to people at a login too, who have no commands at hand."""

from __future__ import annotations

from collections.abc import Mapping

from keyservice.contract.names import ErrorName
from keyservice.contract.shell import word

from .language import N_, _

_AFTER: dict[ErrorName, str] = {
    ErrorName.FAILED: N_("journalctl -t keyservice shows the log."),
    ErrorName.NOT_ALLOWED: N_("Run it again with sudo, or in a root shell."),
    ErrorName.READER_ABSENT: N_("'ukey status' shows what the keyservice sees."),
    ErrorName.UKEY_ABSENT: N_("'ukey list' shows which ukeys are seen."),
    ErrorName.UKEY_AMBIGUOUS: N_("'ukey list' shows which readers have it."),
    ErrorName.THROTTLED: N_("Or end the pause as root: ukey throttle reset {serial}"),
    ErrorName.CONFIGURATION: N_(
        "'/usr/libexec/ukey/keyservice --check-config' says what is wrong."
    ),
}


def after(error: ErrorName | None, facts: Mapping[str, str | int | bool]) -> str:
    """One sentence, or nothing where all is said."""
    text = _AFTER.get(error) if error is not None else None
    if text is None:
        return ""
    serial = facts.get("serial")
    return _(text).format(serial=word(str(serial)) if serial else "SERIAL")
