# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The one table of exit statuses: the code exits by it, and every ``--help`` prints it."""

from __future__ import annotations

from enum import IntEnum

from keyservice.contract.names import Code, ErrorName

from .language import N_


class Exit(IntEnum):
    """How a command ends. The numbers are an interface: never reused, never renumbered."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_ALLOWED = 4
    NOT_BOUND = 5
    BOUND = 6
    ABSENT = 7
    UNUSABLE = 8
    PIN = 9
    NO_TRY = 10
    TOO_LATE = 11
    RECORDS = 12
    STACK = 13
    REFUSED = 14
    CANCELLED = 130


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

_BY_ERROR: dict[ErrorName, Exit] = {
    ErrorName.FAILED: Exit.FAILED,
    ErrorName.CONFIGURATION: Exit.FAILED,
    ErrorName.BAD_REQUEST: Exit.USAGE,
    ErrorName.NOT_ALLOWED: Exit.NOT_ALLOWED,
    ErrorName.REMOTE_REFUSED: Exit.NOT_ALLOWED,
    ErrorName.UNKNOWN_USER: Exit.NOT_BOUND,
    ErrorName.NOT_ENROLLED: Exit.NOT_BOUND,
    ErrorName.ALREADY_BOUND: Exit.BOUND,
    ErrorName.REVOKED: Exit.BOUND,
    ErrorName.READER_ABSENT: Exit.ABSENT,
    ErrorName.UKEY_ABSENT: Exit.ABSENT,
    ErrorName.UKEY_UNKNOWN: Exit.UNUSABLE,
    ErrorName.UKEY_FAILED: Exit.UNUSABLE,
    ErrorName.UKEY_AMBIGUOUS: Exit.UNUSABLE,
    ErrorName.READER_REFUSED: Exit.UNUSABLE,
    ErrorName.KEY_MISMATCH: Exit.UNUSABLE,
    ErrorName.NO_KEY_PAIR: Exit.UNUSABLE,
    ErrorName.TRY_LIMIT: Exit.UNUSABLE,
    ErrorName.SIGNATURE_WRONG: Exit.UNUSABLE,
    ErrorName.PIN_WRONG: Exit.PIN,
    ErrorName.PIN_REFUSED: Exit.PIN,
    ErrorName.DEFAULT_PIN: Exit.PIN,
    ErrorName.PIN_LOCKED: Exit.NO_TRY,
    ErrorName.TRY_WITHHELD: Exit.NO_TRY,
    ErrorName.THROTTLED: Exit.NO_TRY,
    ErrorName.DEADLINE_PASSED: Exit.TOO_LATE,
    ErrorName.BUSY: Exit.TOO_LATE,
    ErrorName.NO_SESSION: Exit.TOO_LATE,
    ErrorName.RECORD_DAMAGED: Exit.RECORDS,
    ErrorName.STORE_FAILED: Exit.RECORDS,
    ErrorName.CANCELLED: Exit.CANCELLED,
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
    return _BY_ERROR.get(name, Exit.FAILED)


def of_verdict(code: Code, error: ErrorName | None) -> Exit:
    """The exit status of a verdict. Only SUCCESS is ever 0."""
    if code is Code.SUCCESS:
        return Exit.OK
    if error is not None:
        return of_error(error)
    return _BY_CODE.get(code, Exit.FAILED)
