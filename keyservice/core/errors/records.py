# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What is wrong with people and the records of their ukeys."""

from __future__ import annotations

from keyservice.core.codes import Code, ErrorName, Exit
from keyservice.core.marks import N_

from .base import UkeyError


class UnknownUser(UkeyError):
    """The host knows no such user."""

    name, code, exit = ErrorName.UNKNOWN_USER, Code.USER_UNKNOWN, Exit.NOT_BOUND
    text = N_("This host knows no user {user}.")
    login_text = N_("This host does not know you.")


class NotEnrolled(UkeyError):
    """No ukey is bound to the user, and that is proven."""

    name, code, exit = ErrorName.NOT_ENROLLED, Code.USER_UNKNOWN, Exit.NOT_BOUND
    text = N_("No ukey is bound to {user}. An administrator binds one with: getpubkey {user}")
    login_text = N_("No ukey is bound to you on this host. Ask an administrator.")


class AlreadyBound(UkeyError):
    """The user, the ukey or its key is bound already."""

    name, code, exit = ErrorName.ALREADY_BOUND, Code.PERM_DENIED, Exit.BOUND
    text = N_("Ukey {serial} is bound to {user} already. To free it: rmpubkey {user}")


class Revoked(UkeyError):
    """The key was revoked on this host."""

    name, code, exit = ErrorName.REVOKED, Code.AUTH_ERR, Exit.BOUND
    text = N_(
        "The key of ukey {serial} was revoked on this host. If the ukey was found again, an"
        " administrator takes that back with: ukey revocation undo {key}"
    )
    login_text = N_("The key of this ukey was revoked on this host. Ask an administrator.")


class RecordDamaged(UkeyError):
    """A record cannot be trusted: damaged, or owned or writable by others than root."""

    name, code, exit = ErrorName.RECORD_DAMAGED, Code.AUTHINFO_UNAVAIL, Exit.RECORDS
    text = N_(
        "The record {path} cannot be trusted: {why}. Restore it from a backup; or remove a user's"
        " with 'rmpubkey --force USER' and bind again. 'ukey accept-state' takes what is left for"
        " right."
    )
    login_text = N_(
        "The record of your ukey on this host cannot be used. Ask an administrator: the log says"
        " what is wrong with it."
    )


class RecordForeign(RecordDamaged):
    """A record fits by name or by uid, but not by both: the user was renamed or made again."""

    text = N_(
        "The record for {record_user} (uid {record_uid}) does not fit {user} (uid {uid}). If the"
        " user was renamed or made again, remove the record with: rmpubkey {record_user}"
    )


class StoreFailed(UkeyError):
    """The records could not be read or written."""

    name, code, exit = ErrorName.STORE_FAILED, Code.AUTHINFO_UNAVAIL, Exit.RECORDS
    text = N_("The records cannot be used: {path}: {why}.")
    login_text = N_("The records of this host cannot be read. Ask an administrator.")
