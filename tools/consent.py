# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A yes that a command needs before it changes something that is not easily taken back."""

from __future__ import annotations

from keyservice.contract.names import ErrorName

from .command import Failure
from .exits import Exit
from .language import _
from .terminal import confirmed


def need_yes(question: str) -> None:
    """Return only if the person says yes to `question`. Raises ``Failure``."""
    if not confirmed(question):
        raise Failure(
            _("Nothing was changed."),
            Exit.CANCELLED,
            error=ErrorName.CANCELLED,
            hint=_("Answer y, or say --yes on the command line."),
        )
