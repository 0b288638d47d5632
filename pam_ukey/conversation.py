# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The person's side: the application's conversation function."""

from __future__ import annotations

import hmac
from contextlib import suppress

from pam_ukey.handle import Handle


def show(pamh: Handle, style: int, text: str) -> None:
    """Show `text`. What the application does with it decides nothing."""
    if text:
        with suppress(Exception):
            pamh.conversation(pamh.Message(style, text))


def ask(pamh: Handle, text: str, *, echo: bool) -> bytearray | None:
    """The answer, for the caller to wipe; None when there is none, for whatever reason.

    pam_python hands it over as ``str``, which cannot be wiped: it is encoded at once and not kept.
    """
    style = pamh.PAM_PROMPT_ECHO_ON if echo else pamh.PAM_PROMPT_ECHO_OFF
    try:
        answer = pamh.conversation(pamh.Message(style, text)).resp
        return None if answer is None else bytearray(answer, "utf-8")
    except Exception:  # its text may quote the answer
        return None


def is_password(pamh: Handle, answer: bytearray) -> bool:
    """Whether `answer` is the password that the stack holds, compared in constant time."""
    found = False
    for name in ("authtok", "oldauthtok"):
        try:
            held = getattr(pamh, name)
            password = b"" if held is None else held.encode()
        except UnicodeError:  # no answer looks like this: those are UTF-8
            continue
        found |= bool(answer) and hmac.compare_digest(answer, password)
    return found
