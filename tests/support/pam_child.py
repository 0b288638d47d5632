# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""PAM conversations by libpam itself, in processes of their own (``stacks.Pam``, ``crowd.Crowd``).

A task is a JSON object: service, user, answers, pace, items (tty, rhost), steps, flags, wait. The
result is another: codes (one a step, up to the first that fails), said (the messages as [style,
text]), asked and answered (the time of each prompt and of each answer), ended, delay.

Without an argument: one task on stdin, its result on stdout. With the argument FD, which is a
SOCK_SEQPACKET socket: any number of tasks, each in a process forked for it at once; number and uid
are two more fields of a task, number also one of its result.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_uint, c_void_p, cast, sizeof
from typing import Any

import pamela

CONV_ERR = 19
PAM_FAIL_DELAY = 10
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
_DELAY_FUNCTION = CFUNCTYPE(None, c_int, c_uint, c_void_p)
_MESSAGE_MAX = 65536


def converse(task: dict[str, Any]) -> dict[str, Any]:
    """Do the task. Times are monotonic, in seconds. No code of ours runs between the last answer,
    or the end, and the reading of the clock."""
    answers: list[str | None] = list(task["answers"])
    pace: list[float] = list(task.get("pace", ()))
    said: list[tuple[str, str]] = []
    asked: list[float] = []
    answered: list[float] = []
    delays: list[float] = []

    @pamela.CONV_FUNC  # type: ignore[untyped-decorator]
    def respond(count: int, messages: Any, responses: Any, _data: Any) -> int:
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
            asked.append(time.monotonic())
            # The end of input, as a terminal's EOF gives it.
            if not answers:
                return CONV_ERR
            answer = answers.pop(0)
            if pace:
                time.sleep(max(0.0, pace.pop(0) - time.monotonic()))
            if answer is not None:
                replies[index].resp = pamela.STRDUP(answer.encode("utf-8", "surrogateescape"))
            answered.append(time.monotonic())
        return 0

    @_DELAY_FUNCTION  # type: ignore[untyped-decorator]
    def note_delay(_code: int, microseconds: int, _data: Any) -> None:
        delays.append(microseconds / 1e6)

    handle = pamela.PamHandle()
    conversation = pamela.PamConv(respond, c_void_p())
    code = pamela.PAM_START(task["service"].encode(), task["user"].encode(), conversation, handle)
    assert code == 0, code
    for item, value in task["items"].items():
        assert pamela.PAM_SET_ITEM(handle, _ITEMS[item], value.encode()) == 0
    if not task.get("wait", True):
        assert pamela.PAM_SET_ITEM(handle, PAM_FAIL_DELAY, cast(note_delay, c_char_p)) == 0
    codes: list[int] = []
    ended = 0.0
    for step in task["steps"]:
        codes.append(_STEPS[step](handle, c_int(task["flags"])))
        ended = time.monotonic()
        if codes[-1] != 0:
            break
    pamela.PAM_END(handle, codes[-1])
    return {
        "codes": codes,
        "said": said,
        "asked": asked,
        "answered": answered,
        "ended": ended,
        "delay": max(delays, default=0.0),
    }


def serve(tasks: socket.socket) -> None:
    """Take tasks until the other side closes; a child does each task, and sends the result
    itself."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    while message := tasks.recv(_MESSAGE_MAX):
        if os.fork() == 0:
            # PAM modules wait for theirs
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            tasks.send(_done(json.loads(message)))
            os._exit(0)


def _done(task: dict[str, Any]) -> bytes:
    result: dict[str, Any] = {}
    try:
        if uid := task["uid"]:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        result = converse(task)
    except Exception as error:
        result = {"error": repr(error)}
    return json.dumps({"number": task["number"], **result}).encode()


def main() -> None:
    if len(sys.argv) > 1:
        serve(socket.socket(fileno=int(sys.argv[1])))
    else:
        json.dump(converse(json.load(sys.stdin)), sys.stdout)


main()
