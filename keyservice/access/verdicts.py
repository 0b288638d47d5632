# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""From an error to a verdict: the one place where that is decided.

SUCCESS and IGNORE are not here: no error leads to them.
"""

from __future__ import annotations

from collections.abc import Mapping

from keyservice.contract.names import Code, ErrorName
from keyservice.contract.steps import Detail, Verdict
from keyservice.core import errors
from keyservice.core.errors import UkeyError

from .messages import Texts

#: By the nearest class of the error's ancestry.
CODES: Mapping[type[UkeyError], Code] = {
    UkeyError: Code.SERVICE_ERR,
    errors.BadRequest: Code.SERVICE_ERR,
    errors.ConfigurationError: Code.SERVICE_ERR,
    errors.NoSession: Code.SERVICE_ERR,
    errors.Cancelled: Code.CONV_ERR,
    errors.NotAllowed: Code.PERM_DENIED,
    errors.RemoteRefused: Code.PERM_DENIED,
    errors.AlreadyBound: Code.PERM_DENIED,
    errors.UnknownUser: Code.USER_UNKNOWN,
    errors.NotEnrolled: Code.USER_UNKNOWN,
    errors.PinWrong: Code.AUTH_ERR,
    errors.PinRefused: Code.AUTH_ERR,
    errors.DefaultPin: Code.AUTH_ERR,
    errors.SignatureWrong: Code.AUTH_ERR,
    errors.KeyMismatch: Code.AUTH_ERR,
    errors.Revoked: Code.AUTH_ERR,
    errors.PinLocked: Code.MAXTRIES,
    errors.TryWithheld: Code.MAXTRIES,
    errors.Throttled: Code.MAXTRIES,
    errors.TryLimitTooHigh: Code.AUTHINFO_UNAVAIL,
    errors.Busy: Code.AUTHINFO_UNAVAIL,
    errors.DeadlinePassed: Code.AUTHINFO_UNAVAIL,
    errors.RecordDamaged: Code.AUTHINFO_UNAVAIL,
    errors.StoreFailed: Code.AUTHINFO_UNAVAIL,
    errors.ReaderAbsent: Code.AUTHINFO_UNAVAIL,
    errors.UkeyAbsent: Code.AUTHINFO_UNAVAIL,
    errors.UkeyUnknown: Code.AUTHINFO_UNAVAIL,
    errors.UkeyFailed: Code.AUTHINFO_UNAVAIL,
    errors.UkeyAmbiguous: Code.AUTHINFO_UNAVAIL,
    errors.ReaderRefused: Code.AUTHINFO_UNAVAIL,
    errors.NoKeyPair: Code.AUTHINFO_UNAVAIL,
}

#: The facts of an error that tools are told beside its name.
_DETAILS = frozenset(
    {"user", "serial", "reader", "application", "container", "left", "maximum", "seconds", "path"}
)


def of(error: BaseException, texts: Texts) -> Verdict:
    """The verdict of a session that ended with `error`. Anything unforeseen is SERVICE_ERR."""
    if isinstance(error, UkeyError):
        code = next(CODES[kind] for kind in type(error).__mro__ if kind in CODES)
        detail: Detail = {k: v for k, v in error.facts.items() if k in _DETAILS}
        return Verdict(code, texts.error(error), error.name, detail)
    if isinstance(error, MemoryError):
        return Verdict(Code.BUF_ERR, texts.bug(), ErrorName.FAILED)
    return bug(texts)


def bug(texts: Texts) -> Verdict:
    """The verdict where this service is at fault."""
    return Verdict(Code.SERVICE_ERR, texts.bug(), ErrorName.FAILED)


def uniform(texts: Texts) -> Verdict:
    """The verdict of every failure after an answer under ``uniform``: no name, no facts."""
    return Verdict(Code.AUTH_ERR, texts.failed())
