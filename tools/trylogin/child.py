# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The process that libpam runs in: the steps of a login, by pamela, without a session.

pamela's own conversations make ``str`` of answers, which cannot be wiped. Ours takes them from a
socket as bytes, into a buffer that is wiped, and copies them from there into the memory that libpam
frees.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import syslog
from dataclasses import dataclass
from typing import Any, NoReturn

import pamela

from keyservice.contract.names import ANSWER_MAX
from keyservice.contract.pam import PamCode

#: Its name in the log.
IDENT = "ukey-pam-try"
#: The environment's variables that stay: those of the language. A login starts without the rest.
_KEPT = ("LC_ALL", "LC_MESSAGES", "LANG")
#: libpam's own limit (``PAM_MAX_NUM_MSG``), and the bytes of a message that are passed on.
_MESSAGES_MAX = 32
_TEXT_MAX = 4096
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_DISALLOW_NULL_AUTHTOK = 1

#: The first byte of a packet: what is said, how it ended, an answer.
SAID, ENDED, ANSWER = b"S", b"E", b"A"
PACKET_MAX = 1 << 14

_free = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(("free", pamela.LIBC))


def _step(name: str) -> Any:
    """A function of libpam's that, unlike pamela's own, keeps the interpreter's lock: pam_python,
    which finds an interpreter in its process, goes on in it without asking for that lock."""
    prototype = ctypes.PYFUNCTYPE(ctypes.c_int, pamela.PamHandle, ctypes.c_int)
    return prototype((name, pamela.LIBPAM))


_AUTHENTICATE, _ACCT_MGMT = _step("pam_authenticate"), _step("pam_acct_mgmt")
_SETCRED, _END = _step("pam_setcred"), _step("pam_end")


@dataclass(frozen=True)
class Attempt:
    """The user and the service of a login, and what the program that asks would say of where it
    runs."""

    service: str
    user: str
    tty: str = ""  #: PAM_TTY, unset where empty; as the next two
    rhost: str = ""
    ruser: str = ""
    ruid: int = 0  #: the real uid: of the person who runs a setuid program
    empty_passwords: bool = True  #: whether the program lets pam_unix take one
    folder: str = ""  #: where the stacks are; empty: where libpam looks for them


def _start(attempt: Attempt, conversation: Any) -> Any:
    """pam_start(3), or with a folder what libpam 1.4 has for that, and pamela does not."""
    if not attempt.folder:
        return pamela.pam_start(attempt.service, attempt.user, conversation)
    handle, carrier = pamela.PamHandle(), pamela.PamConv(conversation, 0)
    words = (word.encode() for word in (attempt.service, attempt.user))
    code = pamela.LIBPAM.pam_start_confdir(
        *words, ctypes.byref(carrier), attempt.folder.encode(), ctypes.byref(handle)
    )
    if code != PamCode.SUCCESS:
        raise pamela.PAMError(errno=code)
    return handle


def adopt_orphans() -> None:
    """Processes that modules leave running come to this process when theirs is gone (prctl(2))."""
    pamela.LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def main(attempt: Attempt, wire: socket.socket) -> NoReturn:
    """Do it, and end the process. The other side kills it when the time is up."""
    status = 1
    try:
        _settle(attempt)
        login = _Login(attempt, wire)
        wire.send(ENDED + json.dumps(login.run()).encode())
        status = 0
    finally:
        os._exit(status)


def _settle(attempt: Attempt) -> None:
    """Set up the process as a login program finds itself: default signals, a plain environment,
    nothing to read.

    A process group of its own, so that Ctrl-C reaches the other side alone; the controlling
    terminal stays, which the break-glass gate looks at.
    """
    for number in signal.valid_signals():
        if signal.getsignal(number) not in (signal.SIG_DFL, None):
            signal.signal(number, signal.SIG_DFL)
    pamela.LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setpgid(0, 0)
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    os.environ.clear()
    os.environ.update(kept, PATH="/usr/sbin:/usr/bin:/sbin:/bin")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)  # standard output is for the verdict
    os.chdir("/")
    os.umask(0o022)
    syslog.openlog(IDENT, syslog.LOG_PID, syslog.LOG_AUTHPRIV)
    if attempt.ruid:
        os.setresuid(attempt.ruid, 0, 0)


class _Login:
    """One transaction with libpam."""

    def __init__(self, attempt: Attempt, wire: socket.socket) -> None:
        self._attempt, self._wire = attempt, wire
        # libpam keeps its address.
        self._callback = pamela.CONV_FUNC(self._converse)

    def run(self) -> dict[str, Any]:
        """The code of each step up to the first that fails, and whom the modules made of the
        user."""
        attempt, steps = self._attempt, [("start", int(PamCode.SUCCESS))]
        try:
            handle = _start(attempt, self._callback)
            for item, value in (
                (pamela.PAM_TTY, attempt.tty),
                (pamela.PAM_RHOST, attempt.rhost),
                (pamela.PAM_RUSER, attempt.ruser),
            ):
                if value:
                    handle.set_item(item, value)
        except pamela.PAMError as error:
            return {"steps": [("start", error.errno)], "user": attempt.user}
        flags = 0 if attempt.empty_passwords else _DISALLOW_NULL_AUTHTOK
        for name, function, flag in (
            ("authenticate", _AUTHENTICATE, flags),
            ("acct_mgmt", _ACCT_MGMT, flags),
            ("setcred", _SETCRED, pamela.PAM_ESTABLISH_CRED),
        ):
            steps.append((name, function(handle, flag)))
            if steps[-1][1] != PamCode.SUCCESS:
                break
        else:
            # Nobody needs what was set up, such as a Kerberos ticket.
            _SETCRED(handle, pamela.PAM_DELETE_CRED)
        user = handle.get_item(pamela.PAM_USER) or attempt.user
        _END(handle, steps[-1][1])
        return {"steps": steps, "user": user}

    def _converse(self, count: int, messages: Any, responses: Any, _data: Any) -> int:
        """libpam's conversation (pam_conv(3)). An exception would be taken for success."""
        try:
            return self._carry(count, messages, responses)
        except Exception:
            return PamCode.CONV_ERR

    def _carry(self, count: int, messages: Any, responses: Any) -> int:
        if not 0 < count <= _MESSAGES_MAX:
            return PamCode.CONV_ERR
        address = pamela.CALLOC(count, ctypes.sizeof(pamela.PamResponse))
        if not address:
            return PamCode.BUF_ERR
        replies = ctypes.cast(address, ctypes.POINTER(pamela.PamResponse))
        taken: list[tuple[int, int]] = []
        try:
            for index in range(count):
                message = messages[index].contents
                text = ctypes.cast(message.msg, ctypes.c_char_p).value or b""
                style = message.msg_style
                self._wire.send(SAID + bytes((style & 0xFF,)) + text[:_TEXT_MAX])
                if style in (pamela.PAM_PROMPT_ECHO_OFF, pamela.PAM_PROMPT_ECHO_ON):
                    taken.append(self._take())
                    replies[index].resp = ctypes.cast(taken[-1][0], ctypes.POINTER(ctypes.c_char))
                elif style not in (pamela.PAM_ERROR_MSG, pamela.PAM_TEXT_INFO):
                    raise ValueError("a style that no terminal has")
        except BaseException:
            for answer, length in taken:
                ctypes.memset(answer, 0, length)
                _free(answer)
            _free(address)
            raise
        responses[0] = replies
        return PamCode.SUCCESS

    def _take(self) -> tuple[int, int]:
        """The address of the next answer, in memory of the C library's, and its length."""
        buffer = bytearray(len(ANSWER) + ANSWER_MAX)
        try:
            length = self._wire.recv_into(buffer) - len(ANSWER)
            if length < 0 or buffer[: len(ANSWER)] != ANSWER:
                raise EOFError
            address: int | None = pamela.CALLOC(length + 1, 1)
            if not address:
                raise MemoryError
            view = (ctypes.c_char * len(buffer)).from_buffer(buffer)
            ctypes.memmove(address, ctypes.addressof(view) + len(ANSWER), length)
            return address, length
        finally:
            buffer[:] = bytes(len(buffer))
