# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The one table of exit statuses: the code exits by it, and every ``--help`` prints it."""

from __future__ import annotations

from keyservice.core import errors
from keyservice.core.codes import Code, ErrorName
from keyservice.core.codes import Exit as Exit

from .language import N_

#: What each status means, in the order of ``--help``.
MEANINGS: dict[Exit, str] = {
    Exit.OK: N_("done"),
    Exit.FAILED: N_("something failed that no other status names; the message says what"),
    Exit.USAGE: N_("the command line, or an answer, cannot be right; nothing was tried"),
    Exit.UNREACHABLE: N_("the keyservice, or the bus, is not running or does not answer"),
    Exit.NOT_ALLOWED: N_("you may not do this; most often it needs root"),
    Exit.NOT_BOUND: N_("no such user, or no ukey is bound to the user"),
    Exit.BOUND: N_("the user or the ukey is bound already, or the key is revoked"),
    Exit.ABSENT: N_("no reader, or the ukey is not in any reader"),
    Exit.UNUSABLE: N_("the ukey or its reader cannot be used for this; the message says why"),
    Exit.PIN: N_("the PIN is wrong, cannot be one, or is still the one it was shipped with"),
    Exit.NO_TRY: N_("no try of the PIN is allowed: locked, kept back, or after a pause only"),
    Exit.TOO_LATE: N_("the time was up, or too many sessions are open; run it again"),
    Exit.RECORDS: N_("a record on disk is damaged, or cannot be read or written"),
    Exit.STACK: N_("a login is open, shut or telling where it should not be: see the findings"),
    Exit.REFUSED: N_("the login that was tried would be refused; the message says by which code"),
    Exit.CANCELLED: N_("cancelled: Ctrl-C, or the input ended before an answer"),
}

#: For a verdict that names no error.
_BY_CODE: dict[Code, Exit] = {
    Code.SUCCESS: Exit.OK,
    Code.AUTH_ERR: Exit.PIN,
    Code.AUTHINFO_UNAVAIL: Exit.ABSENT,
    Code.USER_UNKNOWN: Exit.NOT_BOUND,
    Code.MAXTRIES: Exit.NO_TRY,
    Code.PERM_DENIED: Exit.NOT_ALLOWED,
    Code.CONV_ERR: Exit.CANCELLED,
}


def of_error(name: ErrorName) -> Exit:
    """The exit status of a named error."""
    return errors.named(name).exit


def of_verdict(code: Code, error: ErrorName | None) -> Exit:
    """The exit status of a verdict. Only SUCCESS is ever 0."""
    if code is Code.SUCCESS:
        return Exit.OK
    if error is not None:
        return of_error(error)
    return _BY_CODE.get(code, Exit.FAILED)
