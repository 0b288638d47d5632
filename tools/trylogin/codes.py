# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What libpam returns, and what each code means to the administrator of a stack."""

from __future__ import annotations

from keyservice.contract.pam import PamCode
from tools.language import N_, _

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
        "A module forbids it. pam_ukey says it of people from afar, or of those who have none of "
        "the factors that the service asks for (factors, factors_from_afar)."
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
