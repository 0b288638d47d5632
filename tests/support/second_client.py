# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A login by python-pam: ``second_client.py SERVICE USER``, a line of input for each hidden prompt.

python-pam has one password, which it gives to every prompt. Here it gets a new one for each prompt;
all else is its own: bindings, conversation, steps. The name of its code goes to standard output.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from tools.trylogin.codes import name_of

internals: Any = importlib.import_module("pam.__internals")
_conversation = internals.my_conv


def _in_turn(count: int, messages: Any, responses: Any, libc: Any, said: list[str], *_: Any) -> int:
    """Its own conversation, with the next answer for a password."""
    hidden = messages[0].contents.msg_style == internals.PAM_PROMPT_ECHO_OFF
    answer = sys.stdin.buffer.readline().rstrip(b"\n") if hidden else b""
    code: int = _conversation(count, messages, responses, libc, said, answer, "utf-8")
    return code


internals.my_conv = _in_turn
client = internals.PamAuthenticator()
client.authenticate(sys.argv[2], b"", service=sys.argv[1])
print(name_of(client.code))
