# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What libpam returns, and what each code means to the administrator of a stack."""

from __future__ import annotations

from enum import IntEnum

from tools.language import N_, _


class PamCode(IntEnum):
    """Linux-PAM's return values (``_pam_types.h``), without their prefix."""

    SUCCESS = 0
    OPEN_ERR = 1
    SYMBOL_ERR = 2
    SERVICE_ERR = 3
    SYSTEM_ERR = 4
    BUF_ERR = 5
    PERM_DENIED = 6
    AUTH_ERR = 7
    CRED_INSUFFICIENT = 8
    AUTHINFO_UNAVAIL = 9
    USER_UNKNOWN = 10
    MAXTRIES = 11
    NEW_AUTHTOK_REQD = 12
    ACCT_EXPIRED = 13
    SESSION_ERR = 14
    CRED_UNAVAIL = 15
    CRED_EXPIRED = 16
    CRED_ERR = 17
    NO_MODULE_DATA = 18
    CONV_ERR = 19
    AUTHTOK_ERR = 20
    AUTHTOK_RECOVERY_ERR = 21
    AUTHTOK_LOCK_BUSY = 22
    AUTHTOK_DISABLE_AGING = 23
    TRY_AGAIN = 24
    IGNORE = 25
    ABORT = 26
    AUTHTOK_EXPIRED = 27
    MODULE_UNKNOWN = 28
    BAD_ITEM = 29
    CONV_AGAIN = 30
    INCOMPLETE = 31


#: Of pam_authenticate's codes.
_MEANINGS: dict[PamCode, str] = {
    PamCode.AUTH_ERR: N_(
        "A factor is wrong: the password, the PIN or the ukey. A uniform stack says this of every "
        "failure."
    ),
    PamCode.AUTHINFO_UNAVAIL: N_(
        "A factor could not be asked for: the ukey is not inserted, or the keyservice or pcscd "
        "does not answer."
    ),
    PamCode.USER_UNKNOWN: N_(
        "A module does not know the user. pam_ukey says it of people without a ukey."
    ),
    PamCode.MAXTRIES: N_(
        "No try is allowed now. pam_ukey says it of a PIN that is locked, kept back or in its "
        "pause."
    ),
    PamCode.PERM_DENIED: N_(
        "A module forbids it. pam_ukey says it of remote logins by a service without allow_remote."
    ),
    PamCode.CONV_ERR: N_(
        "An answer was empty or none. pam_ukey says it too where the PIN equals the password."
    ),
    PamCode.MODULE_UNKNOWN: N_("A module of the stack is missing, or cannot be loaded."),
    PamCode.SERVICE_ERR: N_(
        "A module failed. pam_ukey says it of an option that it does not know, and of bugs."
    ),
    PamCode.ABORT: N_("libpam gave up: a file of the stack cannot be read, or a line is wrong."),
}


def name_of(number: int) -> str:
    """The name of a code; of one that is not Linux-PAM's its number."""
    try:
        return PamCode(number).name
    except ValueError:
        return str(number)


def meaning_of(step: str, number: int) -> str:
    """What a refusal by `step` with that code means, in the person's language."""
    if step == "acct_mgmt" and number == PamCode.NEW_AUTHTOK_REQD:
        return _(
            "Both factors are right, and the password has expired: the login asks for a new one, "
            "which was not tried."
        )
    if step == "acct_mgmt":
        return _(
            "Both factors are right, and the account is refused: it has expired, or may not log in "
            "here or now."
        )
    try:
        return _(_MEANINGS[PamCode(number)])
    except (ValueError, KeyError):
        return _("A module says so; the log names it.")
