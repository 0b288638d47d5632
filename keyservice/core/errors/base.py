# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What every error has."""

from __future__ import annotations

from typing import ClassVar

from keyservice.core import reasons
from keyservice.core.codes import Code, ErrorName, Exit
from keyservice.core.marks import N_


class UkeyError(Exception):
    """Base of all expected failures. ``str()`` is one English sentence, for the log."""

    #: What programs are told: by bus, frames and ``--json``; by PAM; by a command's exit status.
    name: ClassVar[ErrorName] = ErrorName.FAILED
    code: ClassVar[Code] = Code.SERVICE_ERR
    exit: ClassVar[Exit] = Exit.FAILED
    #: What people are told, with facts in braces; and what somebody is told who only logs in.
    text: ClassVar[str] = N_("This failed. The keyservice's log says why.")
    login_text: ClassVar[str] = ""

    def __init__(self, message: str = "", **facts: str | int) -> None:
        #: why, where that has a name
        self.reason = message if isinstance(message, reasons.Reason) else None
        self.message = reasons.told(message, facts) or self.default()
        #: serial, reader, user, path, left, maximum, seconds, …: for logs and translated texts; or
        #: ``why``, the name of a reason, and beside it what its text needs
        self.facts: dict[str, str | int] = dict(facts)
        super().__init__(self.message)

    @classmethod
    def default(cls) -> str:
        return (cls.__doc__ or cls.__name__).split(" Facts:")[0].rstrip(".\n ")

    def __str__(self) -> str:
        if not self.facts:
            return self.message
        facts = reasons.in_english(self.facts)
        return f"{self.message} ({', '.join(f'{k}={v}' for k, v in facts.items())})"


def named(name: ErrorName) -> type[UkeyError]:
    """The error that has this name, and all its kinds."""
    for kind in UkeyError.__subclasses__():
        if kind.name is name and name is not UkeyError.name:
            return kind
    return UkeyError
