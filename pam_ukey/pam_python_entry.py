# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The file that a stack names: ``auth … pam_python.so /usr/lib/ukey/pam_ukey/pam_python_entry.py``.

pam_python compiles it again at each login, so it is small. It returns nothing but an int of PAM's:
to pam_python, False and every multiple of 2**32 are PAM_SUCCESS.
"""

from __future__ import annotations

import ctypes
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pam_ukey.handle import Handle

_LIBRARY = "/usr/lib/ukey"
_AT_SECURE = 23  # <elf.h>: the program got rights that its caller lacks
_CODES = range(32)  # of Linux-PAM
_AUTHPRIV_ERR = 10 << 3 | 3


def _secure() -> bool:
    getauxval = ctypes.CDLL(None).getauxval
    getauxval.argtypes, getauxval.restype = [ctypes.c_ulong], ctypes.c_ulong
    return bool(getauxval(_AT_SECURE))


def _call(name: str, pamh: Handle, flags: int, argv: Sequence[str]) -> int:
    try:
        if _secure():
            # In su or sudo the caller chose the environment that this interpreter started in,
            # and files that it opened: no decision here would count. Use pam_ukey.so there.
            _log("not in a setuid program; use pam_ukey.so there")
            return pamh.PAM_SERVICE_ERR
        if _LIBRARY not in sys.path:
            sys.path.insert(0, _LIBRARY)
        from pam_ukey import calls

        code = getattr(calls, name)(pamh, flags, argv[1:])
    except MemoryError:
        return _failed(pamh, argv, pamh.PAM_BUF_ERR)
    except BaseException as error:
        # Log where it was and of what kind, not its text, as pam_python would: that may quote an
        # answer.
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
        _log(f"{type(error).__name__} at {where}")
        return _failed(pamh, argv, pamh.PAM_SERVICE_ERR)
    if type(code) is int and code in _CODES:
        return code
    return _failed(pamh, argv, pamh.PAM_SERVICE_ERR)


def _failed(pamh: Handle, argv: Sequence[str], code: int) -> int:
    """Where all failures have to look alike, a bug of ours looks like the others."""
    return pamh.PAM_AUTH_ERR if {"uniform", "decoy"} & {*argv[1:]} else code


def _log(text: str) -> None:
    ctypes.CDLL(None).syslog(_AUTHPRIV_ERR, b"pam_ukey: %s", text.encode())


def pam_sm_authenticate(pamh: Handle, flags: int, argv: Sequence[str]) -> int:
    return _call("authenticate", pamh, flags, argv)


def pam_sm_setcred(pamh: Handle, flags: int, argv: Sequence[str]) -> int:
    return pamh.PAM_SUCCESS  # no credential is kept; sshd calls it in another process


def pam_sm_chauthtok(pamh: Handle, flags: int, argv: Sequence[str]) -> int:
    return _call("change", pamh, flags, argv)


def pam_sm_acct_mgmt(pamh: Handle, flags: int, argv: Sequence[str]) -> int:
    return pamh.PAM_IGNORE


def pam_sm_open_session(pamh: Handle, flags: int, argv: Sequence[str]) -> int:
    return pamh.PAM_IGNORE


def pam_sm_close_session(pamh: Handle, flags: int, argv: Sequence[str]) -> int:
    return pamh.PAM_IGNORE
