# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""One PAM conversation by libpam itself, in a process of its own (``stacks.Pam``).

Reads a JSON object from stdin: service, user, answers, items (tty, rhost), steps, flags. Writes
one: codes (one a step, up to the first that fails) and said, the messages as [style, text].
"""

from __future__ import annotations

import json
import sys
from ctypes import POINTER, c_char_p, c_int, c_void_p, cast, sizeof
from typing import Any

import pamela

CONV_ERR = 19
_ITEMS = {"tty": pamela.PAM_TTY, "rhost": pamela.PAM_RHOST, "ruser": pamela.PAM_RUSER}
_STYLES = {
    pamela.PAM_PROMPT_ECHO_OFF: "secret",
    pamela.PAM_PROMPT_ECHO_ON: "echo",
    pamela.PAM_ERROR_MSG: "error",
    pamela.PAM_TEXT_INFO: "info",
}
_STEPS = {
    "authenticate": pamela.PAM_AUTHENTICATE,
    "acct_mgmt": pamela.PAM_ACCT_MGMT,
    "setcred": pamela.PAM_SETCRED,
    "open_session": pamela.PAM_OPEN_SESSION,
    "close_session": pamela.PAM_CLOSE_SESSION,
    "chauthtok": pamela.PAM_CHAUTHTOK,
}


def main() -> None:
    task: dict[str, Any] = json.load(sys.stdin)
    answers: list[str | None] = list(task["answers"])
    said: list[tuple[str, str]] = []

    @pamela.CONV_FUNC  # type: ignore[untyped-decorator]
    def converse(count: int, messages: Any, responses: Any, _data: Any) -> int:
        address = pamela.CALLOC(count, sizeof(pamela.PamResponse))
        replies = cast(address, POINTER(pamela.PamResponse))
        responses[0] = replies
        for index in range(count):
            message = messages[index].contents
            text = (cast(message.msg, c_char_p).value or b"").decode()
            style = _STYLES[message.msg_style]
            said.append((style, text))
            if style not in ("secret", "echo"):
                continue
            # The end of input, as a terminal's EOF gives it.
            if not answers:
                return CONV_ERR
            answer = answers.pop(0)
            if answer is not None:
                replies[index].resp = pamela.STRDUP(answer.encode("utf-8", "surrogateescape"))
        return 0

    handle = pamela.PamHandle()
    conversation = pamela.PamConv(converse, c_void_p())
    code = pamela.PAM_START(task["service"].encode(), task["user"].encode(), conversation, handle)
    assert code == 0, code
    for item, value in task["items"].items():
        assert pamela.PAM_SET_ITEM(handle, _ITEMS[item], value.encode()) == 0
    codes: list[int] = []
    for step in task["steps"]:
        codes.append(_STEPS[step](handle, c_int(task["flags"])))
        if codes[-1] != 0:
            break
    pamela.PAM_END(handle, codes[-1])
    json.dump({"codes": codes, "said": said}, sys.stdout)


main()
