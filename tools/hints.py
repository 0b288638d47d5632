# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which command to run next, by the name of the error. The service says what failed and why; it
does not know these commands."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from keyservice.contract.names import ErrorName

from .language import N_, _

_AFTER: dict[ErrorName, str] = {
    ErrorName.NOT_ALLOWED: N_("Run it again with sudo, or in a root shell."),
    ErrorName.UKEY_ABSENT: N_("“ukey list” shows which ukeys are seen."),
    ErrorName.READER_ABSENT: N_("“ukey status” shows what the keyservice sees."),
    ErrorName.UKEY_AMBIGUOUS: N_("“ukey list” shows the serials; name one with --serial."),
    ErrorName.ALREADY_BOUND: N_("“ukey bindings” shows who owns what; rmpubkey unbinds."),
    ErrorName.NOT_ENROLLED: N_("“ukey bindings” shows who owns what; getpubkey binds."),
    ErrorName.REVOKED: N_("“ukey revoked” lists such keys; “ukey unrevoke” takes it back."),
    ErrorName.NO_KEY_PAIR: N_("getpubkey with --generate lets the ukey make one."),
    ErrorName.DEFAULT_PIN: N_("Change the PIN with chpinpw first."),
    ErrorName.PIN_LOCKED: N_("As root, “chpinpw --unblock {serial}” sets a new PIN."),
    ErrorName.THROTTLED: N_("As root, “ukey throttle reset {serial}” ends the pause."),
    ErrorName.RECORD_DAMAGED: N_("“ukey bindings” names the file and what is wrong with it."),
    ErrorName.CONFIGURATION: N_("“keyservice --check-config” says what is wrong."),
    ErrorName.BUSY: N_("Wait until the other sessions have ended, then run it again."),
}


def after(error: ErrorName | None, facts: Mapping[str, str | int | bool]) -> str:
    """One sentence, or nothing where the error says all."""
    text = _AFTER.get(error) if error is not None else None
    if text is None:
        return ""
    serial = facts.get("serial")
    return _(text).format(serial=shlex.quote(str(serial)) if serial else "SERIAL")
