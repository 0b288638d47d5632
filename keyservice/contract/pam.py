# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What libpam and modules return."""

from __future__ import annotations

from enum import IntEnum


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


#: The services of sshd. It keeps texts until it asks for something, or fails. Once it is told
#: MAXTRIES it asks PAM no more, and takes no password either, which ssh then asks for in vain.
SSHD = frozenset({"sshd"})

#: Services whose name a program uses when it starts a login shell: what is said of the second holds
#: for the first as well.
SAME_SERVICE = {"su-l": "su", "sudo-i": "sudo", "runuser-l": "runuser"}
