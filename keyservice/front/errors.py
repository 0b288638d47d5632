# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""From an exception to what a caller is told: a stable name and a text, nothing from below."""

from __future__ import annotations

import logging

from keyservice.contract.frames import FrameError
from keyservice.contract.names import ErrorName
from keyservice.contract.requests import RequestError
from keyservice.core.errors import UkeyError

_LOG = logging.getLogger(__name__)

_INTERNAL = "The keyservice failed; its log says how."


def told(error: Exception) -> tuple[ErrorName, str]:
    """(name, text) for the caller.

    The texts of requests and frames that are malformed name the field and never quote it. An
    exception that nobody expected is logged here with its traceback, and told as ``Failed``.
    """
    match error:
        case UkeyError():
            return error.name, error.message
        case FrameError() | RequestError():
            return ErrorName.BAD_REQUEST, str(error)
        case _:
            _LOG.error("a request failed unexpectedly", exc_info=error)
            return ErrorName.FAILED, _INTERNAL
