# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Turns an error into a verdict, by the error's own row.

SUCCESS and IGNORE are not here: no error leads to them.
"""

from __future__ import annotations

from dataclasses import replace

from keyservice.contract.names import Code, ErrorName
from keyservice.contract.pam import SSHD
from keyservice.contract.steps import Detail, Verdict
from keyservice.core.errors import UkeyError

from .conversation import Request
from .messages import Texts

#: The facts of an error that tools get beside its name.
_DETAILS = frozenset(
    {"user", "serial", "reader", "application", "container", "left", "maximum", "seconds", "path"}
)


def of(error: BaseException, texts: Texts) -> Verdict:
    """The verdict of a session that ended with `error`. Anything unforeseen is SERVICE_ERR."""
    if isinstance(error, UkeyError):
        detail: Detail = {k: v for k, v in error.facts.items() if k in _DETAILS} | texts.reason(
            error
        )
        return Verdict(error.code, texts.error(error), error.name, detail)
    if isinstance(error, MemoryError):
        return Verdict(Code.BUF_ERR, texts.bug(), ErrorName.FAILED)
    return bug(texts)


def bug(texts: Texts) -> Verdict:
    """The verdict if this service is at fault."""
    return Verdict(Code.SERVICE_ERR, texts.bug(), ErrorName.FAILED)


def for_program(verdict: Verdict, request: Request) -> Verdict:
    """`verdict` with the code that serves the person at the program that asks: ``pam.SSHD``."""
    if verdict.code is Code.MAXTRIES and request.service in SSHD:
        return replace(verdict, code=Code.AUTHINFO_UNAVAIL)
    return verdict


def uniform(texts: Texts) -> Verdict:
    """The verdict of every failure after an answer under ``uniform``: no name, no facts."""
    return Verdict(Code.AUTH_ERR, texts.failed())
