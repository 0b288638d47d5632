# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The part of pam_python's ``pamh`` that is used here, and the log.

Never print it: ``repr(pamh)``, ``str(message)`` and ``f"{pamh.env}"`` crash the process. Texts
that are not UTF-8, a NULL conversation and the like are exceptions of many kinds.
"""

from __future__ import annotations

import ctypes
from typing import Protocol

_LOG_AUTHPRIV = 10 << 3
LOG_ERR, LOG_NOTICE, LOG_DEBUG = 3, 5, 7  # <syslog.h>


class Response(Protocol):
    resp: str | None


class Environment(Protocol):
    def __getitem__(self, name: str) -> str: ...


class Handle(Protocol):
    """A PAM transaction."""

    PAM_SUCCESS: int
    PAM_IGNORE: int
    PAM_AUTH_ERR: int
    PAM_SERVICE_ERR: int
    PAM_BUF_ERR: int
    PAM_AUTHINFO_UNAVAIL: int
    PAM_CONV_ERR: int
    PAM_PERM_DENIED: int
    PAM_AUTHTOK_ERR: int

    PAM_PROMPT_ECHO_OFF: int
    PAM_PROMPT_ECHO_ON: int
    PAM_ERROR_MSG: int
    PAM_TEXT_INFO: int

    PAM_SILENT: int
    PAM_PRELIM_CHECK: int
    PAM_CHANGE_EXPIRED_AUTHTOK: int

    user: str | None
    service: str | None
    tty: str | None
    rhost: str | None
    authtok: str | None
    oldauthtok: str | None
    env: Environment

    def get_user(self, prompt: str | None = None) -> str | None: ...

    def Message(self, style: int, text: str) -> object: ...

    def conversation(self, message: object) -> Response: ...


def log(pamh: Handle, level: int, text: str) -> None:
    """A line in the application's log, as pam_syslog writes it.

    libc's syslog, called bare: the ``syslog`` module would replace what the application opened.
    """
    line = f"pam_ukey({pamh.service or ''}): {text}"
    ctypes.CDLL(None).syslog(_LOG_AUTHPRIV | level, b"%s", line.encode("utf-8", "backslashreplace"))
