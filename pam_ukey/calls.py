# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What libpam calls, by way of ``pam_python_entry``, and the only places that let anyone in."""

from __future__ import annotations

from collections.abc import Sequence

from keyservice.client.session import Bus, ClientError
from keyservice.contract import operations
from pam_ukey import session
from pam_ukey.handle import LOG_ERR, Handle, log
from pam_ukey.options import OptionError, Options, parse
from pam_ukey.session import Ending, How


def authenticate(pamh: Handle, flags: int, words: Sequence[str]) -> int:
    """``pam_sm_authenticate``."""
    options = _options(pamh, words)
    if options is None:
        return pamh.PAM_SERVICE_ERR
    silent = options.silent or bool(flags & pamh.PAM_SILENT)
    return _conclude(
        pamh, options, session.run(pamh, options, operations.AUTHENTICATION, silent=silent)
    )


def change(pamh: Handle, flags: int, words: Sequence[str]) -> int:
    """``pam_sm_chauthtok``: the PIN, on the line that asks for it. A PIN does not age."""
    options = _options(pamh, words)
    if options is None:
        return pamh.PAM_SERVICE_ERR
    if not options.change_pin or flags & pamh.PAM_CHANGE_EXPIRED_AUTHTOK:
        return pamh.PAM_IGNORE
    if flags & pamh.PAM_PRELIM_CHECK:
        return pamh.PAM_SUCCESS if _reachable(options) else pamh.PAM_TRY_AGAIN
    silent = options.silent or bool(flags & pamh.PAM_SILENT)
    return _conclude(
        pamh, options, session.run(pamh, options, operations.CHANGE_PIN, silent=silent)
    )


def _options(pamh: Handle, words: Sequence[str]) -> Options | None:
    try:
        return parse(words)
    except OptionError as error:
        log(pamh, LOG_ERR, str(error))
        return None


def _reachable(options: Options) -> bool:
    try:
        Bus(timeout=options.timeout, grace=0).close()
    except ClientError:
        return False
    return True


def _conclude(pamh: Handle, options: Options, ending: Ending) -> int:
    """The one place that lets in, and the one that passes over.

    In `uniform`, nobody learns what failed.
    """
    if ending.how is How.VERIFIED and not options.decoy:
        return pamh.PAM_SUCCESS
    if ending.how is How.EXEMPT and options.nouserok:
        return pamh.PAM_IGNORE
    if options.uniform:
        return pamh.PAM_AUTH_ERR
    code: int = getattr(pamh, f"PAM_{ending.failure}")
    return code
