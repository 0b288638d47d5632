# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What libpam calls, by way of ``pam_python_entry``, and the only places that let anyone in."""

from __future__ import annotations

from collections.abc import Sequence

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
    ending = session.run(pamh, options, operations.AUTHENTICATION, silent=silent)
    return _conclude(pamh, options, ending, exempt=options.nouserok)


def change(pamh: Handle, flags: int, words: Sequence[str]) -> int:
    """``pam_sm_chauthtok``: the PIN, on the line that asks for it. A PIN does not age.

    libpam calls all modules of a password stack twice, and the second pass, which writes, goes on
    whatever a module says there. So the PIN is changed in the first pass, which ends the change at
    any failure, and the second only reports what the first one did.
    """
    options = _options(pamh, words)
    if options is None:
        return pamh.PAM_SERVICE_ERR
    if not options.change_pin or flags & pamh.PAM_CHANGE_EXPIRED_AUTHTOK:
        return pamh.PAM_IGNORE
    if not flags & pamh.PAM_PRELIM_CHECK:
        return _first_pass.pop(id(pamh), pamh.PAM_AUTHTOK_ERR)
    silent = options.silent or bool(flags & pamh.PAM_SILENT)
    ending = session.run(pamh, options, operations.CHANGE_PIN, silent=silent)
    code = _conclude(pamh, options, ending, exempt=True)
    _first_pass[id(pamh)] = code
    return code


#: What the first pass did, by the handle, which is the same object in both and takes no attribute.
_first_pass: dict[int, int] = {}


def _options(pamh: Handle, words: Sequence[str]) -> Options | None:
    try:
        return parse(words)
    except OptionError as error:
        log(pamh, LOG_ERR, str(error))
        return None


def _conclude(pamh: Handle, options: Options, ending: Ending, *, exempt: bool) -> int:
    """The one place that lets in, and the one that passes over, where `exempt` says that it may.

    In `uniform`, nobody learns what failed.
    """
    if ending.how is How.VERIFIED and not options.decoy:
        return pamh.PAM_SUCCESS
    if ending.how is How.EXEMPT and exempt:
        return pamh.PAM_IGNORE
    if options.uniform:
        return pamh.PAM_AUTH_ERR
    code: int = getattr(pamh, f"PAM_{ending.failure}")
    return code
