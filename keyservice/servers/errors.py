# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Turns an exception into a caller's error: a stable name and a text, nothing from below."""

from __future__ import annotations

import logging

from keyservice.contract.frames import FrameError
from keyservice.contract.names import ErrorName
from keyservice.contract.requests import RequestError
from keyservice.contract.steps import Detail
from keyservice.core.errors import UkeyError
from keyservice.core.reasons import Reason, carried

_LOG = logging.getLogger(__name__)


def told(error: Exception) -> tuple[ErrorName, str, Detail]:
    """(name, text, reason) for the caller: a text for logs, and the reason as a name and facts,
    where it has a name.

    The texts of requests and frames that are malformed name the field and never quote it. An
    exception that nobody expected is logged here with its traceback, and told as ``Failed``.
    """
    match error:
        case UkeyError():
            return error.name, error.message, carried(error.reason or "", error.facts)
        case RequestError():
            return ErrorName.BAD_REQUEST, str(error), {**error.facts}
        case FrameError():
            return ErrorName.BAD_REQUEST, str(error), {}
        case _:
            _LOG.error("a request failed unexpectedly", exc_info=error)
            return ErrorName.FAILED, Reason.INTERNAL.text, carried(Reason.INTERNAL, {})
